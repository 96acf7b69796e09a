//! `cpu`: `/proc/stat`.

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{Sample, sample::Cpu};

pub const SOURCE: Source =
    Source { name: "cpu", start: || Box::new(CpuSource { file: KernelFile::kept("/proc/stat") }) };

#[derive(Debug)]
struct CpuSource {
    file: KernelFile,
}

impl Scrape for CpuSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        sample.node.cpu = Some(parse(self.file.read(&mut context.buffer)?, context.ticks_per_second)?);
        Ok(Scraped::Whole)
    }
}

/// The text of `/proc/stat`, whose times are in ticks. Guest time is part of user and nice time there, and so here.
pub fn parse(document: Document<'_>, ticks_per_second: u64) -> Result<Cpu, ScrapeError> {
    let tick_ns = 1_000_000_000 / ticks_per_second.max(1);
    let mut cpu = Cpu::default();
    let mut times = None;
    for line in document.lines() {
        let mut fields = line.fields();
        let Some(name) = fields.next() else { continue };
        match name.text {
            b"cpu" => {
                let mut ns = [0; 8];
                for slot in &mut ns {
                    *slot = fields.number::<u64>()?.saturating_mul(tick_ns);
                }
                times = Some(ns);
            }
            b"ctxt" => cpu.context_switches = fields.number()?,
            b"processes" => cpu.forks = fields.number()?,
            b"procs_running" => cpu.running = fields.number()?,
            b"procs_blocked" => cpu.blocked = fields.number()?,
            other if other.starts_with(b"cpu") => cpu.online += 1,
            _ => {}
        }
    }
    let [user, nice, system, idle, iowait, hard_irq, soft_irq, steal] =
        times.ok_or_else(|| document.missing("line `cpu`"))?;
    cpu.user_ns = user;
    cpu.nice_ns = nice;
    cpu.system_ns = system;
    cpu.idle_ns = idle;
    cpu.iowait_ns = iowait;
    cpu.irq_ns = hard_irq + soft_irq;
    cpu.steal_ns = steal;
    Ok(cpu)
}
