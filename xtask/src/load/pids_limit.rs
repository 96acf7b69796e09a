//! `pids_limit`: a service that begins a worker for each client, until its cgroup's limit of tasks refuses one more; it
//! serves on with those that it has.

use std::{
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, fd_exhaustion::serve, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "pids_limit", check: check_as::<Settings>, run };

const WORKERS_MAX: u64 = 1000;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Workers that its clients need.
    workers: u64,
    tries_per_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { workers: 30, tries_per_s: 20 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let mut connection = UnixStream::pair()?;
    let over = Arc::new(AtomicBool::new(false));
    ground.started(&[std::process::id()])?;
    let mut workers = Vec::new();
    let (mut refused, mut served) = (0_u64, 0_u64);
    let pause = Duration::from_secs(1) / u32::try_from(settings.tries_per_s.clamp(1, 1000))?;
    while !ground.stop().nap(pause) {
        if (workers.len() as u64) < settings.workers.min(WORKERS_MAX) {
            let over = Arc::clone(&over);
            let worker = thread::Builder::new().stack_size(64 << 10).spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    thread::park_timeout(Duration::from_secs(1));
                }
            });
            match worker {
                Ok(worker) => workers.push(worker),
                Err(_) => refused += 1,
            }
        }
        serve(&mut connection)?;
        served += 1;
        let at_work = workers.len();
        ground.report(|seconds| {
            let line = json!({
                "workers": at_work,
                "refused_per_s": (refused as f64 / seconds).round(),
                "served_per_s": (served as f64 / seconds).round(),
            });
            (refused, served) = (0, 0);
            line
        })?;
    }
    over.store(true, Ordering::Relaxed);
    workers.iter().for_each(|worker| worker.thread().unpark());
    Ok(())
}
