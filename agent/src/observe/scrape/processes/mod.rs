//! `processes`: every process, from the kernel's own table of tasks, or from `/proc` where its iterator is off.

mod arguments;
mod descriptors;
pub mod parse;
mod procfs;

use super::{Context, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::{
    observe::{
        Sample,
        sample::{CgroupIds, ProcessSample},
    },
    text::Text,
};
pub use arguments::arguments;
use descriptors::Descriptors;
use procfs::Procfs;

pub const SOURCE: Source = Source { name: "processes", start: || Box::new(ProcessesSource::default()) };

/// Processes of unknown cgroups that `/proc` is asked about in one tick.
const CGROUPS_ASKED_PER_TICK: usize = 64;

/// The kernel's own table of tasks, by the eBPF iterator: all of a process but the path of its cgroup, which stands at
/// the same place of `cgroups` by its ids.
#[derive(Clone, Debug, Default)]
pub struct TaskTable {
    pub processes: Vec<ProcessSample>,
    pub cgroups: Vec<CgroupIds>,
}

#[derive(Debug, Default)]
struct ProcessesSource {
    procfs: Procfs,
    descriptors: Descriptors,
}

impl Scrape for ProcessesSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        // Without any hierarchy every process is in the root; the source `cgroups` says so.
        let tree = context.cgroups.refresh(context.tick, &mut context.buffer);
        if let Err(error) = tree
            && !error.is_off()
        {
            return Err(error);
        }
        let (mut processes, scraped) = match context.tasks.take() {
            Some(table) => {
                self.procfs.forget();
                (resolve(table, context), Scraped::Whole)
            }
            None => {
                let processes = self.procfs.read(context)?;
                let reason = "read from /proc: switches and run delay of threaded processes are not known".to_owned();
                (processes, Scraped::Partial { reason })
            }
        };
        processes.sort_unstable_by_key(|process| process.id.pid);
        self.descriptors.fill(&mut processes, context);
        sample.processes = processes;
        Ok(scraped)
    }
}

/// The rows with their cgroups' paths.
fn resolve(table: TaskTable, context: &mut Context) -> Vec<ProcessSample> {
    let TaskTable { mut processes, cgroups } = table;
    let mut asked = 0;
    let ids = cgroups.into_iter().chain(std::iter::repeat(CgroupIds::default()));
    let mut last: Option<(CgroupIds, Text)> = None;
    for (process, ids) in processes.iter_mut().zip(ids) {
        if let Some((_, path)) = last.as_ref().filter(|(of, _)| *of == ids) {
            process.cgroup = path.clone();
            continue;
        }
        if let Some(path) = context.cgroups.path_of(ids, context.tick) {
            process.cgroup = path.clone();
            last = Some((ids, path));
            continue;
        }
        // Removed, made this instant, or outside of what is mounted here.
        asked += 1;
        let path = (asked <= CGROUPS_ASKED_PER_TICK).then(|| cgroup_of(process.id.pid, &mut context.buffer));
        process.cgroup = path.and_then(Result::ok).unwrap_or_else(|| Text::from("/"));
    }
    processes
}

/// The cgroup of a process as `/proc` tells it.
fn cgroup_of(pid: u32, buffer: &mut Vec<u8>) -> Result<Text, ScrapeError> {
    parse::cgroup(KernelFile::once(format!("/proc/{pid}/cgroup")).read(buffer)?)
}
