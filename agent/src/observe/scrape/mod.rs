//! Scrape: what `/proc`, `/sys` and the control groups say, once a tick. One file a source; this list is all there is.

pub mod cgroups;
pub mod cpu;
pub mod disks;
mod document;
mod error;
mod file;
pub mod files;
pub mod filesystems;
pub mod interfaces;
pub mod limits;
pub mod load;
pub mod memory;
pub mod pressure;
pub mod processes;
mod scraper;
pub mod sockets;
pub mod tcp;
pub mod vmstat;

use std::{collections::HashSet, fmt::Debug};

pub use cgroups::{CgroupDirectory, CgroupMounts, CgroupVersion, Controller};
pub use document::{Document, Field, Fields, Line};
pub use error::ScrapeError;
pub use processes::TaskTable;
pub use scraper::{Scraper, SourceState, SourceStatus};

use super::Sample;
use crate::text::Text;
use cgroups::CgroupTree;
use file::KernelFile;

/// Every source, in the order in which they are read: a later one may use what an earlier one put in the sample.
pub const SOURCES: &[Source] = &[
    memory::SOURCE,
    vmstat::SOURCE,
    load::SOURCE,
    cpu::SOURCE,
    pressure::SOURCE,
    disks::SOURCE,
    interfaces::SOURCE,
    sockets::SOURCE,
    tcp::SOURCE,
    files::SOURCE,
    filesystems::SOURCE,
    limits::SOURCE,
    processes::SOURCE,
    cgroups::SOURCE,
];

/// One source: its name and how to begin it. It is begun once and then read every tick.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub name: &'static str,
    pub start: fn() -> Box<dyn Scrape>,
}

/// What a source does. It puts its part in the sample only when it has read it whole; the runner times it, records its
/// state and asks again after a failure.
pub trait Scrape: Debug + Send {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError>;
}

/// How complete a reading was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scraped {
    Whole,
    /// It serves, but for what the reason says.
    Partial {
        reason: String,
    },
}

/// What sources share.
#[derive(Debug)]
pub struct Context {
    /// The text of the file being read.
    buffer: Vec<u8>,
    /// Ticks since the start.
    tick: u64,
    page_bytes: u64,
    ticks_per_second: u64,
    /// Files that processes and cgroups may each keep open.
    kept_files: usize,
    cgroups: CgroupTree,
    /// The kernel's own table of tasks of this tick; none where its iterator is off.
    tasks: Option<TaskTable>,
    /// Processes whose open files and limit are to be read this tick because something was said of them (`EMFILE`).
    pub watch_files_of: HashSet<u32>,
    /// Whether somebody fails for want of space (`ENOSPC`): something is full now, whatever it was before.
    pub no_room: bool,
    /// Cgroups that are to be read in full every tick, idle or not: those of open incidents.
    pub watch_cgroups: HashSet<Text>,
}
