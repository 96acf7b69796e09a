//! `major_fault_storm`: random reads of a mapping of a file that is not in memory, and is put out of it again and again.

use std::num::NonZeroUsize;

use anyhow::Result;
use nix::{
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Load, check_as,
    disk::{self, Random},
    ground::Ground,
    settings_of,
};

pub(super) const LOAD: Load = Load { name: "major_fault_storm", check: check_as::<Settings>, run };

const PAGE: usize = 4096;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    file_mb: u64,
    /// Reads between two times that the file is put out of memory.
    reads_between: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { file_mb: 256, reads_between: 2000 }
    }
}

#[expect(unsafe_code, reason = "a fault needs a mapping, and nix maps with unsafe functions only")]
fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let file = disk::file(ground, settings.file_mb, false)?;
    let length = NonZeroUsize::new(usize::try_from(settings.file_mb.max(1) << 20)?).unwrap_or(NonZeroUsize::MIN);
    // SAFETY: a new mapping, at a place that the kernel picks.
    let map = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, 0)? };
    // SAFETY: all of the mapping made above.
    unsafe { madvise(map, length.get(), MmapAdvise::MADV_RANDOM)? };
    ground.started(&[std::process::id()])?;
    let (mut random, mut reads) = (Random(1), 0_u64);
    while !ground.over() {
        // SAFETY: all of the mapping; its pages come back from the file.
        unsafe { madvise(map, length.get(), MmapAdvise::MADV_DONTNEED)? };
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        for _ in 0..settings.reads_between {
            let at = usize::try_from(random.below((length.get() / PAGE) as u64))? * PAGE;
            // SAFETY: within the mapping, which is of a file as long as it.
            std::hint::black_box(unsafe { map.cast::<u8>().as_ptr().add(at).read_volatile() });
            reads += 1;
            if reads % 64 == 0 && ground.over() {
                break;
            }
        }
        ground.report(|seconds| {
            let line = json!({ "reads_per_s": (reads as f64 / seconds).round() });
            reads = 0;
            line
        })?;
    }
    // SAFETY: the mapping made above, which nobody uses any more.
    unsafe { munmap(map, length.get())? };
    Ok(())
}
