//! `fsync_storm`: 4 KiB written and synced, again and again; with a pause between, the victim of others.

use std::{
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, disk, ground::Ground, settings_of, waker::percentile};

pub(super) const LOAD: Load = Load { name: "fsync_storm", check: check_as::<Settings>, run };

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Between two syncs; 0: as fast as it goes.
    pause_ms: u64,
    /// Whether somebody else is to blame.
    victim: bool,
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let file = disk::file(ground, 4, false)?;
    let culprits = if settings.victim { vec![] } else { vec![std::process::id()] };
    ground.started(&culprits)?;
    let mut took_ms = Vec::new();
    let mut turn = 0_u64;
    while !ground.over() {
        let begun = Instant::now();
        file.write_all_at(&[0xa5; 4096], turn % 1024 * 4096)?;
        file.sync_data()?;
        took_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        turn += 1;
        if settings.pause_ms > 0 {
            ground.stop().nap(Duration::from_millis(settings.pause_ms));
        }
        ground.report(|seconds| {
            let line = json!({
                "syncs_per_s": (took_ms.len() as f64 / seconds).round(),
                "sync_p50_ms": percentile(&mut took_ms, 0.50),
                "sync_p99_ms": percentile(&mut took_ms, 0.99),
            });
            took_ms.clear();
            line
        })?;
    }
    Ok(())
}
