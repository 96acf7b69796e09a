//! `files`: `/proc/sys/fs/file-nr`.

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::observe::{Sample, sample::Files};

pub const SOURCE: Source =
    Source { name: "files", start: || Box::new(FilesSource { file: KernelFile::kept("/proc/sys/fs/file-nr") }) };

#[derive(Debug)]
struct FilesSource {
    file: KernelFile,
}

impl Scrape for FilesSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        sample.node.files = Some(parse(self.file.read(&mut context.buffer)?)?);
        Ok(Scraped::Whole)
    }
}

/// The text of `/proc/sys/fs/file-nr`: allocated, of them unused (always 0 today), most.
pub fn parse(document: Document<'_>) -> Result<Files, ScrapeError> {
    let mut fields = document.line()?.fields();
    let allocated: u64 = fields.number()?;
    let unused: u64 = fields.number()?;
    Ok(Files { allocated: allocated.saturating_sub(unused), maximum: fields.number()? })
}
