//! Processes by `/proc/PID`, where the kernel's table is not to be had.
//!
//! `stat` is read for every process each tick; the dearer files (`status`, `io`, `schedstat`) only for those whose
//! `stat` changed, the busiest first, and for the others in turns.

use std::{collections::HashMap, fs};

use super::{cgroup_of, parse};
use crate::observe::{
    sample::ProcessSample,
    scrape::{Context, KernelFile, ScrapeError},
};

/// Processes whose dearer files are read in one tick, apart from those never read.
const DETAILS_PER_TICK: usize = 128;
/// And of those never read: a storm of forks must not become a storm of readings.
const NEW_DETAILS_PER_TICK: usize = 512;
/// An idle process's details and cgroup are read anew once in so many ticks.
const TURN_TICKS: u64 = 10;

#[derive(Debug, Default)]
pub(super) struct Procfs {
    known: HashMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    stat: KernelFile,
    /// As last read, to see that nothing changed.
    line: Vec<u8>,
    sample: ProcessSample,
    /// CPU time since the reading before.
    cpu_ns: u64,
    detailed: Option<u64>,
    changed: bool,
    seen: u64,
}

impl Procfs {
    /// Lets go of everything: the kernel's table serves again.
    pub(super) fn forget(&mut self) {
        self.known = HashMap::new();
    }

    /// Every process of `/proc`, in no order.
    pub(super) fn read(&mut self, context: &mut Context) -> Result<Vec<ProcessSample>, ScrapeError> {
        let failed = |error| ScrapeError::Read { path: "/proc".to_owned(), error };
        for entry in fs::read_dir("/proc").map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            match self.read_stat(pid, context) {
                // Ended meanwhile, or not for us to see (`hidepid`).
                Err(error) if error.is_gone() || error.is_off() => {
                    self.known.remove(&pid);
                }
                other => other?,
            }
        }
        let tick = context.tick;
        self.known.retain(|_, known| known.seen == tick);
        self.read_details(context);
        Ok(self.known.values().map(|known| known.sample.clone()).collect())
    }

    fn read_stat(&mut self, pid: u32, context: &mut Context) -> Result<(), ScrapeError> {
        let (page_bytes, ticks_per_second) = (context.page_bytes, context.ticks_per_second);
        let kept = self.known.len() < context.kept_files;
        if let Some(known) = self.known.get_mut(&pid) {
            match known.stat.read(&mut context.buffer) {
                Ok(document) if document.text() == known.line => {
                    (known.changed, known.seen) = (false, context.tick);
                    return Ok(());
                }
                Ok(document) => {
                    let sample = parse::stat(document, page_bytes, ticks_per_second)?;
                    if sample.id == known.sample.id {
                        known.line.clear();
                        known.line.extend_from_slice(document.text());
                        known.cpu_ns = sample.cpu_time_ns.saturating_sub(known.sample.cpu_time_ns);
                        known.sample = ProcessSample {
                            cgroup: known.sample.cgroup.clone(),
                            swap_bytes: known.sample.swap_bytes,
                            run_delay_ns: known.sample.run_delay_ns,
                            voluntary_switches: known.sample.voluntary_switches,
                            involuntary_switches: known.sample.involuntary_switches,
                            read_bytes: known.sample.read_bytes,
                            written_bytes: known.sample.written_bytes,
                            ..sample
                        };
                        (known.changed, known.seen) = (true, context.tick);
                        return Ok(());
                    }
                }
                // Its pid may be another's by now: begin anew.
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
        let path = format!("/proc/{pid}/stat");
        let mut stat = if kept { KernelFile::kept(path) } else { KernelFile::once(path) };
        let document = stat.read(&mut context.buffer)?;
        let mut sample = parse::stat(document, page_bytes, ticks_per_second)?;
        let line = document.text().to_vec();
        sample.cgroup = cgroup_of(pid, &mut context.buffer)?;
        let cpu_ns = sample.cpu_time_ns;
        self.known.insert(pid, Known { stat, line, sample, cpu_ns, detailed: None, changed: true, seen: context.tick });
        Ok(())
    }

    fn read_details(&mut self, context: &mut Context) {
        let tick = context.tick;
        let (mut new, mut busy): (Vec<&mut Known>, Vec<&mut Known>) = self
            .known
            .values_mut()
            .filter(|known| {
                let turn = (tick + u64::from(known.sample.id.pid)).is_multiple_of(TURN_TICKS);
                known.changed || turn || known.detailed.is_none()
            })
            .partition(|known| known.detailed.is_none());
        new.truncate(NEW_DETAILS_PER_TICK);
        // Those that waited longest among equals.
        busy.sort_unstable_by_key(|known| (std::cmp::Reverse(known.cpu_ns), known.detailed));
        busy.truncate(DETAILS_PER_TICK);
        for known in new.into_iter().chain(busy) {
            // What ended meanwhile is gone at the next tick; what we may not read stays unknown.
            known.read_details(&mut context.buffer);
            known.detailed = Some(tick);
        }
    }
}

impl Known {
    fn read_details(&mut self, buffer: &mut Vec<u8>) {
        let sample = &mut self.sample;
        let pid = sample.id.pid;
        let file = |name: &str| KernelFile::once(format!("/proc/{pid}/{name}"));
        if let Ok(cgroup) = cgroup_of(pid, buffer) {
            sample.cgroup = cgroup;
        }
        let status = file("status").read(buffer).and_then(parse::status).ok();
        if let Some(status) = status {
            sample.swap_bytes = status.swap_bytes;
        }
        // These files tell of the first thread only.
        let single = sample.threads <= 1;
        let status = status.filter(|_| single);
        sample.voluntary_switches = status.and_then(|status| status.voluntary_switches);
        sample.involuntary_switches = status.and_then(|status| status.involuntary_switches);
        sample.run_delay_ns =
            if single { file("schedstat").read(buffer).and_then(parse::run_delay).ok() } else { None };
        let io = file("io").read(buffer).and_then(parse::io).ok();
        (sample.read_bytes, sample.written_bytes) = io.unzip();
    }
}
