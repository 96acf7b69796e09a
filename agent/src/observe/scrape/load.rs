//! `load`: `/proc/loadavg`.

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{Sample, sample::Load};

pub const SOURCE: Source =
    Source { name: "load", start: || Box::new(LoadSource { file: KernelFile::kept("/proc/loadavg") }) };

#[derive(Debug)]
struct LoadSource {
    file: KernelFile,
}

impl Scrape for LoadSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        sample.node.load = Some(parse(self.file.read(&mut context.buffer)?)?);
        Ok(Scraped::Whole)
    }
}

/// The text of `/proc/loadavg`, such as `0.08 0.35 0.31 3/87 12017`.
pub fn parse(document: Document<'_>) -> Result<Load, ScrapeError> {
    let line = document.line()?;
    let mut fields = line.fields();
    let (one, five, fifteen) = (fields.number()?, fields.number()?, fields.number()?);
    let tasks = fields.field("runnable/tasks")?;
    let halves = tasks.text.iter().position(|byte| *byte == b'/').map(|at| tasks.text.split_at(at));
    let (runnable, tasks) = halves.ok_or_else(|| line.is_not("runnable/tasks"))?;
    Ok(Load {
        one,
        five,
        fifteen,
        runnable: line.fields_of(runnable).number()?,
        tasks: line.fields_of(&tasks[1..]).number()?,
    })
}
