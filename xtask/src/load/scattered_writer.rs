//! `scattered_writer`: writes single pages all over a file into the page cache and has the kernel write them at once. It
//! moves few bytes and waits for nobody, but each page is a request of its own.

use std::{os::unix::fs::FileExt as _, time::Duration};

use anyhow::Result;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Load, check_as,
    disk::{self, Random},
    ground::Ground,
    settings_of,
};

pub(super) const LOAD: Load = Load { name: "scattered_writer", check: check_as::<Settings>, run };

const PAGE: usize = 4096;
const TURNS_PER_S: u32 = 20;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Under a limit, so much may wait to be written when it ends.
    file_mb: u64,
    pages_per_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { file_mb: 2, pages_per_s: 200 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let file = disk::file(ground, settings.file_mb.max(1), false)?;
    ground.started(&[std::process::id()])?;
    let pages = (settings.file_mb.max(1) << 20) / PAGE as u64;
    let (mut random, mut written) = (Random(1), 0_u64);
    while !ground.stop().nap(Duration::from_secs(1) / TURNS_PER_S) {
        for _ in 0..settings.pages_per_s.div_ceil(TURNS_PER_S) {
            file.write_all_at(&[0xa5; PAGE], random.below(pages) * PAGE as u64)?;
            written += 1;
        }
        // What is not needed any more is written, and not waited for.
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        ground.report(|seconds| {
            let line = json!({ "pages_per_s": (written as f64 / seconds).round() });
            written = 0;
            line
        })?;
    }
    Ok(())
}
