//! `job`: a helper that takes some memory, uses it for a moment, and ends.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "job", check: check_as::<Settings>, run };

const MOST_MB: u64 = 512;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    mb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mb: 16 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    if settings.mb > MOST_MB {
        bail!("a job of {} MB is more than {MOST_MB}", settings.mb);
    }
    let held = vec![0xa5_u8; usize::try_from(settings.mb << 20)?];
    std::hint::black_box(&held);
    ground.stop().nap(Duration::from_millis(100));
    Ok(())
}
