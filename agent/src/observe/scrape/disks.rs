//! `disks`: `/proc/diskstats`, whole devices only.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use super::{Context, Document, KernelFile, Scrape, ScrapeError, Scraped, Source};
use crate::{
    observe::{Sample, sample::Disk},
    text::Text,
};

pub const SOURCE: Source = Source {
    name: "disks",
    start: || Box::new(DisksSource { file: KernelFile::kept("/proc/diskstats"), whole: HashMap::new() }),
};

const SECTOR_BYTES: u64 = 512;

#[derive(Debug)]
struct DisksSource {
    file: KernelFile,
    /// Device numbers seen, and whether each is a whole device (not a partition).
    whole: HashMap<(u32, u32, Text), bool>,
}

impl Scrape for DisksSource {
    fn scrape(&mut self, context: &mut Context, sample: &mut Sample) -> Result<Scraped, ScrapeError> {
        let all = parse(self.file.read(&mut context.buffer)?)?;
        let key = |disk: &Disk| (disk.major, disk.minor, disk.name.clone());
        if all.len() != self.whole.len() || all.iter().any(|disk| !self.whole.contains_key(&key(disk))) {
            let blocks = whole_devices()?;
            self.whole = all.iter().map(|disk| (key(disk), blocks.contains(&disk.name))).collect();
        }
        sample.node.disks = all.into_iter().filter(|disk| self.whole[&key(disk)]).collect();
        Ok(Scraped::Whole)
    }
}

/// Every line of `/proc/diskstats`, partitions too. Lines have 14 fields or more, by the kernel's age.
pub fn parse(document: Document<'_>) -> Result<Vec<Disk>, ScrapeError> {
    document
        .lines()
        .map(|line| {
            let mut fields = line.fields();
            let (major, minor) = (fields.number()?, fields.number()?);
            let name = Text::from_bytes(fields.field("a device name")?.text);
            let mut counters = [0u64; 11];
            for counter in &mut counters {
                *counter = fields.number()?;
            }
            let [
                reads,
                _,
                read_sectors,
                read_time_ms,
                writes,
                _,
                written_sectors,
                write_time_ms,
                in_flight,
                busy_ms,
                queue_time_ms,
            ] = counters;
            Ok(Disk {
                name,
                major,
                minor,
                reads,
                read_bytes: read_sectors.saturating_mul(SECTOR_BYTES),
                read_time_ms,
                writes,
                written_bytes: written_sectors.saturating_mul(SECTOR_BYTES),
                write_time_ms,
                in_flight,
                busy_ms,
                queue_time_ms,
            })
        })
        .collect()
}

/// The names in `/sys/block`, which holds whole devices only and writes `!` for the `/` of names like `cciss/c0d0`.
fn whole_devices() -> Result<HashSet<Text>, ScrapeError> {
    let failed = |error| ScrapeError::Read { path: "/sys/block".to_owned(), error };
    fs::read_dir("/sys/block")
        .map_err(failed)?
        .map(|entry| {
            let name = entry.map_err(failed)?.file_name();
            let name: Vec<u8> =
                name.as_encoded_bytes().iter().map(|byte| if *byte == b'!' { b'/' } else { *byte }).collect();
            Ok(Text::from_bytes(&name))
        })
        .collect()
}
