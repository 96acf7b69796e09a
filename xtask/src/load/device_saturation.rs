//! `device_saturation`: many threads that write past the cache, each as fast as the device answers it.

use std::{
    os::unix::fs::FileExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Load, check_as,
    disk::{self, Random},
    ground::Ground,
    settings_of,
};

pub(super) const LOAD: Load = Load { name: "device_saturation", check: check_as::<Settings>, run };

const THREADS_MAX: u64 = 64;
/// What writing past the cache wants memory to be a multiple of.
const ALIGNED: usize = 4096;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    threads: u64,
    block_kb: usize,
    file_mb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: 8, block_kb: 64, file_mb: 256 }
    }
}

/// A block at an address that the kernel takes for direct I/O.
#[repr(C, align(4096))]
struct Block([u8; ALIGNED]);

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let file = Arc::new(disk::file(ground, settings.file_mb, true)?);
    ground.started(&[std::process::id()])?;
    let written = Arc::new(AtomicU64::new(0));
    let block = (settings.block_kb << 10).next_multiple_of(ALIGNED);
    let blocks = (settings.file_mb << 20) / block as u64;
    let writers: Vec<_> = (0..settings.threads.clamp(1, THREADS_MAX))
        .map(|seed| {
            let (file, written, stop) = (Arc::clone(&file), Arc::clone(&written), ground.stop());
            thread::spawn(move || {
                let pages: Vec<Block> = (0..block / ALIGNED).map(|_| Block([0xa5; ALIGNED])).collect();
                let bytes: Vec<&[u8]> = pages.iter().map(|page| &page.0[..]).collect();
                let mut random = Random(seed + 1);
                while !stop.over() {
                    let at = random.below(blocks) * block as u64;
                    for (number, page) in bytes.iter().enumerate() {
                        if file.write_all_at(page, at + (number * ALIGNED) as u64).is_err() {
                            return;
                        }
                    }
                    written.fetch_add(block as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut before = 0;
    while !ground.stop().nap(std::time::Duration::from_millis(100)) {
        let now = written.load(Ordering::Relaxed);
        ground.report(|seconds| {
            let line = json!({ "written_mb_per_s": ((now - before) as f64 / 1048576.0 / seconds).round() });
            before = now;
            line
        })?;
    }
    for writer in writers {
        // One that met an error has ended already.
        let _ = writer.join();
    }
    Ok(())
}
