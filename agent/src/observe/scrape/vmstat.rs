//! `vmstat`: `/proc/vmstat`.

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{Sample, sample::Vmstat};

pub const SOURCE: Source =
    Source { name: "vmstat", start: || Box::new(VmstatSource { file: KernelFile::kept("/proc/vmstat") }) };

#[derive(Debug)]
struct VmstatSource {
    file: KernelFile,
}

impl Scrape for VmstatSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        sample.node.vmstat = Some(parse(self.file.read(&mut context.buffer)?)?);
        Ok(Scraped::Whole)
    }
}

/// The text of `/proc/vmstat`.
pub fn parse(document: Document<'_>) -> Result<Vmstat, ScrapeError> {
    // `allocstall` has a line for each zone that the kernel was built with; kernels before 5.9 count refaults of files
    // and anonymous pages in one.
    let [
        pswpin,
        pswpout,
        faults,
        major,
        scan_direct,
        steal_direct,
        scan_kswapd,
        oom,
        anon,
        file,
        both,
        d,
        d32,
        n,
        m,
        dev,
    ] = document.keyed([
        "pswpin",
        "pswpout",
        "pgfault",
        "pgmajfault",
        "pgscan_direct",
        "pgsteal_direct",
        "pgscan_kswapd",
        "oom_kill",
        "workingset_refault_anon",
        "workingset_refault_file",
        "workingset_refault",
        "allocstall_dma",
        "allocstall_dma32",
        "allocstall_normal",
        "allocstall_movable",
        "allocstall_device",
    ])?;
    let need = |value: Option<u64>, name| value.ok_or_else(|| document.missing(name));
    Ok(Vmstat {
        // A kernel built without swap has no such lines, and no page ever swapped.
        swap_in_pages: pswpin.unwrap_or(0),
        swap_out_pages: pswpout.unwrap_or(0),
        faults: need(faults, "pgfault")?,
        major_faults: need(major, "pgmajfault")?,
        direct_scan_pages: need(scan_direct, "pgscan_direct")?,
        direct_steal_pages: need(steal_direct, "pgsteal_direct")?,
        kswapd_scan_pages: need(scan_kswapd, "pgscan_kswapd")?,
        refault_anon_pages: anon.unwrap_or(0),
        refault_file_pages: need(file.or(both), "workingset_refault_file")?,
        oom_kills: need(oom, "oom_kill")?,
        allocation_stalls: [d, d32, n, m, dev].into_iter().flatten().sum(),
    })
}
