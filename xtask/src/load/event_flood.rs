//! `event_flood`: programs that are started and end at once, and short system calls, as many as the CPUs give, so that
//! whoever watches events has more than it can take.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "event_flood", check: check_as::<Settings>, run };

const THREADS_MAX: usize = 16;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Threads that start programs, and threads that call the kernel.
    starters: usize,
    callers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { starters: 3, callers: 2 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    ground.started(&[std::process::id()])?;
    let (started, called) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for _ in 0..settings.starters.min(THREADS_MAX) {
        let (stop, started) = (ground.stop(), Arc::clone(&started));
        thread::spawn(move || {
            while !stop.over() {
                let program = Command::new("/bin/true").stdin(Stdio::null()).stdout(Stdio::null()).status();
                started.fetch_add(u64::from(program.is_ok()), Ordering::Relaxed);
            }
        });
    }
    for _ in 0..settings.callers.min(THREADS_MAX) {
        let (stop, called) = (ground.stop(), Arc::clone(&called));
        thread::spawn(move || {
            while !stop.over() {
                for _ in 0..1000 {
                    nix::unistd::getppid();
                }
                called.fetch_add(1000, Ordering::Relaxed);
            }
        });
    }
    while !ground.stop().nap(Duration::from_millis(100)) {
        ground.report(|seconds| {
            let per_s = |count: &AtomicU64| (count.swap(0, Ordering::Relaxed) as f64 / seconds).round();
            json!({ "programs_per_s": per_s(&started), "calls_per_s": per_s(&called) })
        })?;
    }
    Ok(())
}
