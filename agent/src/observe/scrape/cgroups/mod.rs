//! `cgroups`: every control group, v1 and v2: usage, limits, events, CPU time, pressure, frozen or not.
//!
//! Memory in use and CPU time are read each tick. The rest is read each tick of cgroups in trouble (and of watched
//! ones), and in turns of the others, so that it may be some ticks old where all is well.

mod mounts;
pub mod parse;
mod reader;
mod tree;

use std::collections::HashMap;

use super::{Context, Scrape, ScrapeError, Scraped, Source};
use crate::{observe::Sample, text::Text};
use reader::{Pulse, Reader};
use tree::MEMORY;

pub(super) use mounts::unescape_octal;
pub use mounts::{CgroupDirectory, CgroupMounts, CgroupVersion, Controller, mounts};
pub(super) use tree::CgroupTree;

pub const SOURCE: Source = Source { name: "cgroups", start: || Box::new(CgroupsSource::default()) };

/// Cgroups that are read in full in one tick, by kind; more take turns, the longest waiting first.
const PER_TICK: [(Kind, usize); 3] = [(Kind::Troubled, 64), (Kind::Moved, 8), (Kind::Idle, 2)];
/// Files that a reader keeps open.
const KEPT_FILES: usize = 2;

/// How much a cgroup asks to be read in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Troubled,
    Moved,
    Idle,
}

#[derive(Debug, Default)]
struct CgroupsSource {
    readers: Vec<Reader>,
    generation: u64,
}

impl Scrape for CgroupsSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        let (tree, buffer, tick) = (&mut context.cgroups, &mut context.buffer, context.tick);
        tree.refresh(tick, buffer)?;
        if self.generation != tree.generation() {
            self.follow(tree, context.kept_files);
        }
        let mut turns = Vec::new();
        let mut gone = Vec::new();
        for (at, reader) in self.readers.iter_mut().enumerate() {
            let pulse = reader.pulse(tree, buffer)?;
            gone.push(pulse == Pulse::Gone);
            let kind = match pulse {
                Pulse::Gone => continue,
                _ if reader.read_whole.is_none() || context.watch_cgroups.contains(&reader.node.path) => {
                    reader.read_whole(tree, tick, buffer)?;
                    continue;
                }
                _ if reader.troubled => Kind::Troubled,
                // The root always moves, and what it tells the node's own sources tell.
                Pulse::Moved if reader.node.path.as_str() != "/" => Kind::Moved,
                Pulse::Moved | Pulse::Same => Kind::Idle,
            };
            turns.push((kind, reader.read_whole, at));
        }
        turns.sort_unstable();
        for (kind, most) in PER_TICK {
            for (_, _, at) in turns.iter().filter(|(of, _, _)| *of == kind).take(most) {
                self.readers[*at].read_whole(tree, tick, buffer)?;
            }
        }
        count_processes(&mut self.readers, tree, sample, buffer)?;
        sample.cgroups = self
            .readers
            .iter()
            .zip(&gone)
            .filter(|(_, gone)| !**gone)
            .map(|(reader, _)| reader.sample.clone())
            .collect();
        sample.cgroups_left_out = tree.left_out();
        Ok(match tree.left_out() {
            0 => Scraped::Whole,
            left_out => Scraped::Partial { reason: format!("{left_out} cgroups, the deepest, have no room") },
        })
    }
}

impl CgroupsSource {
    /// Takes over the tree as it is now; readers of cgroups that stayed go on.
    fn follow(&mut self, tree: &CgroupTree, kept_files: usize) {
        let mut before: HashMap<Text, Reader> =
            self.readers.drain(..).map(|reader| (reader.node.path.clone(), reader)).collect();
        for (at, node) in tree.nodes().iter().enumerate() {
            let reader = before.remove(&node.path).filter(|reader| reader.node.is_same(node));
            let keep = (at + 1) * KEPT_FILES <= kept_files;
            self.readers.push(reader.unwrap_or_else(|| Reader::new(node.clone(), tree, keep)));
        }
        self.generation = tree.generation();
    }
}

/// By the processes of this sample, which name the cgroup of one hierarchy; a cgroup of another is asked itself.
fn count_processes(
    readers: &mut [Reader],
    tree: &CgroupTree,
    sample: &Sample,
    buffer: &mut Vec<u8>,
) -> Result<(), ScrapeError> {
    let mut by_path: HashMap<&Text, u32> = HashMap::new();
    for process in &sample.processes {
        *by_path.entry(&process.cgroup).or_default() += 1;
    }
    let named_by = if tree.root(MEMORY).is_some() { MEMORY } else { tree::UNIFIED };
    for reader in readers {
        let told = !sample.processes.is_empty() && reader.node.in_hierarchy[named_by];
        reader.sample.processes = match by_path.get(&reader.node.path) {
            Some(count) => *count,
            None if told => 0,
            None => reader.count_processes(tree, buffer)?,
        };
    }
    Ok(())
}
