//! `fsync_storm`: threads that write 4 KiB and sync it, again and again; one with a pause between is the victim of
//! others.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Load, check_as, disk,
    ground::{Ground, Stop},
    settings_of,
    waker::percentile,
};

pub(super) const LOAD: Load = Load { name: "fsync_storm", check: check_as::<Settings>, run };

const THREADS_MAX: usize = 64;
const FILE_MB: u64 = 4;
const BLOCK: usize = 4096;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    threads: usize,
    /// Between two syncs; 0: as fast as it goes.
    pause_ms: u64,
    /// Whether somebody else is to blame.
    victim: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: 1, pause_ms: 0, victim: false }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let threads = settings.threads.clamp(1, THREADS_MAX);
    let files = (0..threads).map(|_| disk::file(ground, FILE_MB, false)).collect::<Result<Vec<File>>>()?;
    let culprits = if settings.victim { vec![] } else { vec![std::process::id()] };
    ground.started(&culprits)?;
    let (tell, told) = mpsc::channel();
    let pause = Duration::from_millis(settings.pause_ms);
    let syncers: Vec<_> = files
        .into_iter()
        .map(|file| {
            let (tell, stop) = (tell.clone(), ground.stop());
            thread::spawn(move || sync_on(&file, pause, &stop, &tell))
        })
        .collect();
    drop(tell);
    let mut took_ms = Vec::new();
    while !ground.over() && !syncers.iter().any(thread::JoinHandle::is_finished) {
        if let Ok(ms) = told.recv_timeout(Duration::from_millis(100)) {
            took_ms.push(ms);
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
    for syncer in syncers {
        syncer.join().ok().context("a thread that syncs went away")??;
    }
    Ok(())
}

/// Tells how long each write with its sync took, ms.
fn sync_on(file: &File, pause: Duration, stop: &Stop, tell: &mpsc::Sender<f64>) -> Result<()> {
    let blocks = (FILE_MB << 20) / BLOCK as u64;
    let mut turn = 0_u64;
    while !stop.over() {
        let begun = Instant::now();
        file.write_all_at(&[0xa5; BLOCK], turn % blocks * BLOCK as u64)?;
        file.sync_data()?;
        // Nobody listens any more once the load is over.
        let _ = tell.send(begun.elapsed().as_secs_f64() * 1e3);
        turn += 1;
        stop.nap(pause);
    }
    Ok(())
}
