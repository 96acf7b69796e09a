//! `memory`: `/proc/meminfo`.

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{Sample, sample::Memory};

pub const SOURCE: Source =
    Source { name: "memory", start: || Box::new(MemorySource { file: KernelFile::kept("/proc/meminfo") }) };

#[derive(Debug)]
struct MemorySource {
    file: KernelFile,
}

impl Scrape for MemorySource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        sample.node.memory = Some(parse(self.file.read(&mut context.buffer)?)?);
        Ok(Scraped::Whole)
    }
}

/// The text of `/proc/meminfo`, whose figures are KiB.
pub fn parse(document: Document<'_>) -> Result<Memory, ScrapeError> {
    let kib = document.keyed_all([
        "MemTotal:",
        "MemFree:",
        "MemAvailable:",
        "Buffers:",
        "Cached:",
        "AnonPages:",
        "SReclaimable:",
        "Dirty:",
        "Writeback:",
        "SwapTotal:",
        "SwapFree:",
    ])?;
    let [total, free, available, buffers, cached, anonymous, slab, dirty, writeback, swap_total, swap_free] =
        kib.map(|kib| kib.saturating_mul(1024));
    Ok(Memory {
        total_bytes: total,
        free_bytes: free,
        available_bytes: available,
        buffers_bytes: buffers,
        cached_bytes: cached,
        anonymous_bytes: anonymous,
        slab_reclaimable_bytes: slab,
        dirty_bytes: dirty,
        writeback_bytes: writeback,
        swap_total_bytes: swap_total,
        swap_free_bytes: swap_free,
    })
}
