//! `pressure`: `/proc/pressure/{cpu,memory,io}`, pressure stall information.

use nix::libc;

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{
    Sample,
    sample::{NodePressure, Psi},
};

pub const SOURCE: Source = Source {
    name: "pressure",
    start: || {
        let file = |name: &str| KernelFile::kept(format!("/proc/pressure/{name}"));
        Box::new(PressureSource { cpu: file("cpu"), memory: file("memory"), io: file("io") })
    },
};

#[derive(Debug)]
struct PressureSource {
    cpu: KernelFile,
    memory: KernelFile,
    io: KernelFile,
}

impl Scrape for PressureSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        let mut read = |file: &mut KernelFile| parse(file.read(&mut context.buffer).map_err(why_off)?);
        let (cpu, memory, io) = (read(&mut self.cpu)?, read(&mut self.memory)?, read(&mut self.io)?);
        sample.node.pressure = Some(NodePressure { cpu, memory, io });
        Ok(Scraped::Whole)
    }
}

/// The text of a pressure file. Before 5.13 the CPU's has no `full` line, and newer kernels
/// give zeros for the whole node: while tasks wait for a CPU, others run.
pub fn parse(document: Document<'_>) -> Result<Psi, ScrapeError> {
    let mut psi = Psi::default();
    let mut some = false;
    for line in document.lines() {
        let mut fields = line.fields();
        let kind = fields.field("some or full")?.text;
        let (mut avg10, mut avg60, mut total) = (None, None, None);
        for field in fields {
            let at = field.text.iter().position(|byte| *byte == b'=').ok_or_else(|| line.is_not("pressure"))?;
            let mut value = line.fields_of(&field.text[at + 1..]);
            match &field.text[..at] {
                b"avg10" => avg10 = Some(value.number()?),
                b"avg60" => avg60 = Some(value.number()?),
                b"total" => total = Some(value.number()?),
                _ => {}
            }
        }
        let (Some(avg10), Some(avg60), Some(total)) = (avg10, avg60, total) else {
            return Err(line.is_not("avg10, avg60 and total"));
        };
        match kind {
            b"some" => {
                some = true;
                (psi.some_avg10_percent, psi.some_avg60_percent, psi.some_total_us) = (avg10, avg60, total);
            }
            b"full" => (psi.full_avg10_percent, psi.full_avg60_percent, psi.full_total_us) = (avg10, avg60, total),
            _ => return Err(line.is_not("some or full")),
        }
    }
    if some { Ok(psi) } else { Err(document.missing("line `some`")) }
}

/// The kernel can have it and not keep it, and says so only by an error number.
fn why_off(error: ScrapeError) -> ScrapeError {
    let number = match &error {
        ScrapeError::Read { error, .. } => error.raw_os_error(),
        _ => None,
    };
    let reason = match number {
        Some(libc::EOPNOTSUPP) => "PSI is disabled on this kernel: boot it with psi=1",
        // Turned off at boot, it leaves no trace either.
        Some(libc::ENOENT) => "PSI is off on this kernel: it needs CONFIG_PSI, and psi=1 where that is off by default",
        _ => return error,
    };
    ScrapeError::Off { reason: reason.to_owned() }
}
