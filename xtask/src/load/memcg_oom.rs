//! `memcg_oom`: a service whose jobs, one after the other, need more memory than its cgroup may have, so that the kernel
//! ends each of them.

use std::{
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::libc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "memcg_oom", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What one job takes.
    job_mb: u64,
    jobs_per_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { job_mb: 90, jobs_per_s: 2.0 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    ground.started(&[std::process::id()])?;
    let every = Duration::from_secs_f64(1.0 / settings.jobs_per_s.clamp(0.1, 10.0));
    let (mut done, mut killed) = (0_u64, 0_u64);
    while !ground.over() {
        let begun = Instant::now();
        let job = ground.helper("job", &json!({ "mb": settings.job_mb }))?.id();
        let status = loop {
            match ground.wait_for(job)? {
                Some(status) => break Some(status),
                None if ground.stop().nap(Duration::from_millis(20)) => break None,
                None => {}
            }
        };
        match status {
            Some(status) if status.signal() == Some(libc::SIGKILL) => killed += 1,
            Some(status) if status.success() => done += 1,
            _ => {}
        }
        ground.stop().nap(every.saturating_sub(begun.elapsed()));
        ground.report(|seconds| {
            let line = json!({
                "jobs_done_per_s": (done as f64 / seconds * 10.0).round() / 10.0,
                "jobs_killed_per_s": (killed as f64 / seconds * 10.0).round() / 10.0,
            });
            (done, killed) = (0, 0);
            line
        })?;
    }
    Ok(())
}
