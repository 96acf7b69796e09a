//! `hostile_names`: a cpu_hog whose processes are named like JSON, shell, and orders to a model.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::{Load, check_as, cpu_hog, cpus, disguise, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "hostile_names", check: check_as::<Settings>, run };

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {}

/// Of all orders, those that are no longer than a name.
const NAMES: usize = 10;

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let Settings {} = settings_of(settings)?;
    let mut names = (0..NAMES).cycle().map(|at| disguise::name(at).to_owned());
    let busy: Vec<String> = names.by_ref().take(cpus() + 1).collect();
    let idle: Vec<String> = names.take(NAMES).collect();
    cpu_hog::spin(ground, &busy, &idle)
}
