//! `cpu_hog`: spinners, one more than CPUs, so that somebody always waits.

use std::{fs, time::Duration};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, cpus, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "cpu_hog", check: check_as::<Settings>, run };

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// None: one more than there are CPUs.
    spinners: Option<usize>,
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let spinners = settings.spinners.unwrap_or(cpus() + 1);
    let names = vec!["cpu_hog".to_owned(); spinners];
    spin(ground, &names, &[])
}

/// One spinner a name in `busy`, one sleeper a name in `idle`, until it is time to end.
pub(super) fn spin(ground: &mut Ground, busy: &[String], idle: &[String]) -> Result<()> {
    let mut culprits = Vec::new();
    for name in busy {
        culprits.push(ground.helper("spinner", &json!({ "name": name }))?.id());
    }
    for name in idle {
        ground.helper("spinner", &json!({ "name": name, "idle": true }))?;
    }
    ground.started(&culprits)?;
    let mut before = cpu_seconds(&culprits);
    while !ground.stop().nap(Duration::from_millis(100)) {
        ground.report(|seconds| {
            let now = cpu_seconds(&culprits);
            let percent = 100.0 * (now - before) / seconds;
            before = now;
            json!({ "spinners": culprits.len(), "cpu_percent": percent.round() })
        })?;
    }
    Ok(())
}

/// On-CPU time of the processes so far, from the scheduler's own account.
fn cpu_seconds(pids: &[u32]) -> f64 {
    let of = |pid: &u32| -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
        Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
    };
    pids.iter().filter_map(of).sum()
}
