//! `anon_hog`: anonymous memory grown fast to a bound.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::{Load, check_as, ground::Ground, grow, settings_of};

pub(super) const LOAD: Load = Load { name: "anon_hog", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What it holds from its start, as any service does.
    base_mb: u64,
    rate_mb_per_s: f64,
    bound_mb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { base_mb: 0, rate_mb_per_s: 200.0, bound_mb: 2048 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    grow::grow(ground, settings.base_mb, settings.rate_mb_per_s, settings.bound_mb)
}
