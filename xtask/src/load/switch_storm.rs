//! `switch_storm`: pairs of processes that hand one byte to and fro through pipes, as fast as they go.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, cpus, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "switch_storm", check: check_as::<Settings>, run };

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// None: two for each CPU.
    pairs: Option<usize>,
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let pairs = settings.pairs.unwrap_or(2 * cpus());
    let exchanges = Arc::new(AtomicU64::new(0));
    let mut culprits = vec![std::process::id()];
    for _ in 0..pairs {
        let pong = ground.helper("pong", &json!({}))?;
        culprits.push(pong.id());
        let mut to = pong.stdin.take().context("a helper has no standard input")?;
        let mut from = pong.stdout.take().context("a helper has no standard output")?;
        let (exchanges, stop) = (Arc::clone(&exchanges), ground.stop());
        thread::spawn(move || {
            let mut byte = *b".";
            while !stop.over() && to.write_all(&byte).is_ok() && from.read_exact(&mut byte).is_ok() {
                exchanges.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    ground.started(&culprits)?;
    let mut before = 0;
    while !ground.stop().nap(Duration::from_millis(100)) {
        ground.report(|seconds| {
            let now = exchanges.load(Ordering::Relaxed);
            let rate = (now - before) as f64 / seconds;
            before = now;
            json!({ "pairs": pairs, "exchanges_per_s": rate.round() })
        })?;
    }
    Ok(())
}
