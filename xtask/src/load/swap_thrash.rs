//! `swap_thrash`: a process whose working set is larger than the memory that it may have, read and written at random.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, disk::Random, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "swap_thrash", check: check_as::<Settings>, run };

const PAGE: usize = 4096;
const WORKING_SET_MAX_MB: usize = 1024;
/// Between two pauses.
const TOUCHES: u64 = 128;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    working_set_mb: usize,
    /// Faster than the kernel finds pages to put out, it would rather end the process.
    touches_per_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { working_set_mb: 256, touches_per_s: 25_000 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    if settings.working_set_mb > WORKING_SET_MAX_MB {
        bail!("a working set of {} MB is more than {WORKING_SET_MAX_MB}", settings.working_set_mb);
    }
    ground.started(&[std::process::id()])?;
    let mut set = vec![0_u8; settings.working_set_mb << 20];
    let pages = (set.len() / PAGE) as u64;
    let (mut random, mut touched) = (Random(1), 0_u64);
    let pause = Duration::from_secs_f64(TOUCHES as f64 / settings.touches_per_s.clamp(1, 1_000_000) as f64);
    while !ground.stop().nap(pause) {
        for _ in 0..TOUCHES {
            let at = usize::try_from(random.below(pages))? * PAGE;
            set[at] = set[at].wrapping_add(1);
        }
        touched += TOUCHES;
        ground.report(|seconds| {
            let line = json!({ "touched_pages_per_s": (touched as f64 / seconds).round() });
            touched = 0;
            line
        })?;
    }
    Ok(())
}
