//! `disk_full`: a service that writes what it has to, wherever there is room for it or not.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "disk_full", check: check_as::<Settings>, run };

/// A filesystem of its own is no larger: this load fills nobody else's.
const FILE_MAX_MB: u64 = 128;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    mb_per_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mb_per_s: 8.0 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let directory = std::env::var_os("KERNELSIGHT_FILESYSTEM").map(PathBuf::from);
    let directory = directory.context("`[filesystem]` of a fault gives this load a filesystem of its own to fill")?;
    let told = nix::sys::statvfs::statvfs(&directory)?;
    if told.blocks().saturating_mul(told.fragment_size()) > FILE_MAX_MB << 20 {
        bail!("{} has more than {FILE_MAX_MB} MB: that is somebody's own", directory.display());
    }
    let path = directory.join("data");
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    let mut file: File = open().with_context(|| format!("{} cannot be written", path.display()))?;
    ground.started(&[std::process::id()])?;
    let piece = vec![0x5a_u8; 64 << 10];
    let pause = Duration::from_secs_f64(piece.len() as f64 / 1048576.0 / settings.mb_per_s.clamp(0.1, 1000.0));
    let (mut written, mut refused) = (0_u64, 0_u64);
    while !ground.stop().nap(pause) {
        match file.write(&piece) {
            Ok(bytes) => written += bytes as u64,
            Err(error) if error.raw_os_error() == Some(Errno::ENOSPC as i32) => refused += 1,
            Err(error) => return Err(error.into()),
        }
        ground.report(|seconds| {
            let line = json!({
                "written_mb_per_s": (written as f64 / 1048576.0 / seconds * 10.0).round() / 10.0,
                "refused_per_s": (refused as f64 / seconds).round(),
            });
            (written, refused) = (0, 0);
            line
        })?;
    }
    Ok(())
}
