//! `dirty_flood`: a writer into the page cache, faster than the device takes it: one file grows to its size, and is
//! then written over.

use std::os::unix::fs::FileExt as _;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, disk, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "dirty_flood", check: check_as::<Settings>, run };

const PIECE: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    file_mb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { file_mb: 1024 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let file = disk::empty_file(ground)?;
    ground.started(&[std::process::id()])?;
    let piece = vec![0xa5_u8; PIECE];
    let (mut turn, mut written) = (0_u64, 0_u64);
    while !ground.over() {
        file.write_all_at(&piece, turn % settings.file_mb.max(1) * PIECE as u64)?;
        turn += 1;
        written += 1;
        ground.report(|seconds| {
            let line = json!({ "written_mb_per_s": (written as f64 / seconds).round() });
            written = 0;
            line
        })?;
    }
    Ok(())
}
