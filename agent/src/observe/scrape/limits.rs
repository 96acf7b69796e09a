//! `limits`: the settings of the kernel that bound what the node can do.

use super::{Context, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{Sample, sample::KernelLimits};

pub const SOURCE: Source = Source {
    name: "limits",
    start: || {
        let file = |name: &str| KernelFile::kept(format!("/proc/sys/{name}"));
        Box::new(LimitsSource {
            pid_max: file("kernel/pid_max"),
            somaxconn: file("net/core/somaxconn"),
            local_ports: file("net/ipv4/ip_local_port_range"),
            tcp_memory: file("net/ipv4/tcp_mem"),
            tcp_orphans: file("net/ipv4/tcp_max_orphans"),
            swappiness: file("vm/swappiness"),
            read: None,
            left: 0,
        })
    },
};

#[derive(Debug)]
struct LimitsSource {
    pid_max: KernelFile,
    somaxconn: KernelFile,
    local_ports: KernelFile,
    tcp_memory: KernelFile,
    tcp_orphans: KernelFile,
    swappiness: KernelFile,
    /// As last read, and the ticks until they are read again.
    read: Option<KernelLimits>,
    left: u32,
}

/// An administrator changes these, or an action: seldom.
const READ_EVERY_TICKS: u32 = 5;

impl Scrape for LimitsSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        if self.left == 0 {
            self.read = None;
            self.read = Some(self.read(&mut context.buffer)?);
            self.left = READ_EVERY_TICKS;
        }
        self.left -= 1;
        sample.node.limits.clone_from(&self.read);
        Ok(Scraped::Whole)
    }
}

impl LimitsSource {
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<KernelLimits, ScrapeError> {
        let mut ports = self.local_ports.read(buffer)?.line()?.fields();
        let (local_port_low, local_port_high) = (ports.number()?, ports.number()?);
        Ok(KernelLimits {
            pid_max: self.pid_max.read(buffer)?.number()?,
            somaxconn: self.somaxconn.read(buffer)?.number()?,
            local_port_low,
            local_port_high,
            // Low, pressure, high: above the third no socket gets memory.
            tcp_mem_max_pages: of_node(self.tcp_memory.read(buffer))?
                .map(|file| file.line()?.fields().over(2).number())
                .transpose()?,
            tcp_max_orphans: of_node(self.tcp_orphans.read(buffer))?.map(|file| file.number()).transpose()?,
            swappiness: self.swappiness.read(buffer)?.number()?,
        })
    }
}

/// What only the node's own network namespace tells.
fn of_node<T>(read: Result<T, ScrapeError>) -> Result<Option<T>, ScrapeError> {
    match read {
        Err(error) if error.is_gone() => Ok(None),
        read => read.map(Some),
    }
}
