//! `steady_reader`: reads a file past the cache at an even pace, a MiB at a time, which a disk does easily. It has most
//! of the bytes, and nobody waits for it.

use std::{os::unix::fs::FileExt as _, time::Duration};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, disk, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "steady_reader", check: check_as::<Settings>, run };

const PIECE: usize = 1 << 20;
/// What reading past the cache wants memory to be a multiple of.
const ALIGNED: usize = 4096;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    file_mb: u64,
    mb_per_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { file_mb: 64, mb_per_s: 8 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let file = disk::file(ground, settings.file_mb.max(1), true)?;
    ground.started(&[])?;
    let mut memory = vec![0_u8; PIECE + ALIGNED];
    let from = memory.as_ptr().align_offset(ALIGNED);
    let pause = Duration::from_secs(1) / settings.mb_per_s.max(1);
    let (mut turn, mut read) = (0_u64, 0_u64);
    while !ground.over() {
        file.read_exact_at(&mut memory[from..from + PIECE], turn % settings.file_mb.max(1) * PIECE as u64)?;
        turn += 1;
        read += 1;
        ground.report(|seconds| {
            let line = json!({ "read_mb_per_s": (read as f64 / seconds).round() });
            read = 0;
            line
        })?;
        ground.stop().nap(pause);
    }
    Ok(())
}
