//! `syscall_storm`: a process that asks for its parent as fast as it goes.

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "syscall_storm", check: check_as::<Settings>, run };

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let Settings {} = settings_of(settings)?;
    ground.started(&[std::process::id()])?;
    let mut calls = 0_u64;
    while !ground.over() {
        for _ in 0..10_000 {
            nix::unistd::getppid();
        }
        calls += 10_000;
        ground.report(|seconds| {
            let line = json!({ "calls_per_s": (calls as f64 / seconds).round() });
            calls = 0;
            line
        })?;
    }
    Ok(())
}
