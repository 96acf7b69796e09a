//! `cache_reader`: reads files larger than its memory keeps, round and round; the cache fills and nothing is wrong.

use std::{
    fs::{self, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "cache_reader", check: check_as::<Settings>, run };

const PIECE: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    file_mb: u64,
    /// A backup reads as a disk gives, not as a loop over a cache.
    read_mb_per_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { file_mb: 384, read_mb_per_s: 200.0 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let path = ground.directory()?.join("data");
    let mut file = OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
    // Without its name it goes with this process, however that ends.
    fs::remove_file(&path)?;
    let mut piece = vec![0x5a_u8; PIECE];
    ground.started(&[])?;
    for _ in 0..settings.file_mb {
        if ground.over() {
            return Ok(());
        }
        file.write_all(&piece).context("the file to read cannot be written")?;
    }
    file.sync_data()?;
    let mut read = 0_u64;
    let pause = Duration::from_secs_f64((PIECE as f64 / 1048576.0 / settings.read_mb_per_s).clamp(0.0001, 1.0));
    while !ground.over() {
        match file.read(&mut piece)? {
            0 => _ = file.seek(SeekFrom::Start(0))?,
            bytes => read += bytes as u64,
        }
        std::thread::sleep(pause);
        ground.report(|seconds| {
            let line = json!({ "read_mb_per_s": (read as f64 / 1048576.0 / seconds).round() });
            read = 0;
            line
        })?;
    }
    Ok(())
}
