//! `log_rotation`: a service that logs, and rotates, compresses and removes its logs; housekeeping is no fault.

use std::{
    fs::{self, File},
    io::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "log_rotation", check: check_as::<Settings>, run };

/// Rotated logs that are kept.
const KEPT: u64 = 3;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    rate_mb_per_s: f64,
    rotate_mb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rate_mb_per_s: 4.0, rotate_mb: 16 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let directory = ground.directory()?;
    let name = |number: u64| directory.join(format!("service.log.{number}"));
    ground.started(&[])?;
    let (mut number, mut written, mut lines) = (0, 0_u64, 0_u64);
    let mut log = File::create(name(0))?;
    let (begun, mut due) = (Instant::now(), 0.0);
    while !ground.stop().nap(Duration::from_millis(20)) {
        let upto = begun.elapsed().as_secs_f64() * settings.rate_mb_per_s * 1048576.0;
        while due < upto {
            let line = format!(
                "2026-01-01T00:00:00Z INFO request {lines} from 192.0.2.{} took {} us\n",
                lines % 250,
                lines * 7919 % 90_000
            );
            log.write_all(line.as_bytes()).context("the log cannot be written")?;
            written += line.len() as u64;
            due += line.len() as f64;
            lines += 1;
        }
        if written > settings.rotate_mb << 20 {
            log.sync_data()?;
            ground.adopt(Command::new("gzip").arg("-f").arg(name(number)))?;
            // The oldest, if there are that many.
            let _ = fs::remove_file(
                name(number.wrapping_sub(KEPT)).with_extension(format!("{}.gz", number.wrapping_sub(KEPT))),
            );
            number += 1;
            log = File::create(name(number))?;
            written = 0;
        }
        ground.report(|_| json!({ "lines": lines, "rotations": number }))?;
    }
    Ok(())
}
