//! `minor_fault_churn`: map, touch every page, unmap, again; faults without a disk.

use anyhow::Result;
use nix::{
    sys::prctl,
    unistd::{SysconfVar, sysconf},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "minor_fault_churn", check: check_as::<Settings>, run };

/// The C library maps and unmaps each allocation above 32 MiB, and keeps smaller ones.
const MAPPING_LEAST_MB: usize = 33;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    mapping_mb: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mapping_mb: 64 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    if !(MAPPING_LEAST_MB..=1024).contains(&settings.mapping_mb) {
        anyhow::bail!("mapping_mb is {}; {MAPPING_LEAST_MB} to 1024 are mapped and unmapped", settings.mapping_mb);
    }
    // A huge page is one fault; the churn is of small ones.
    prctl::set_thp_disable(true)?;
    let page = usize::try_from(sysconf(SysconfVar::PAGE_SIZE)?.unwrap_or(4096))?;
    ground.started(&[std::process::id()])?;
    let (mut faults, mut before) = (0_u64, 0_u64);
    while !ground.over() {
        // Zeroed memory is mapped, not written: each first touch below is a fault.
        let mut mapping = vec![0_u8; settings.mapping_mb << 20];
        for byte in mapping.iter_mut().step_by(page) {
            *std::hint::black_box(byte) = 1;
            faults += 1;
        }
        drop(std::hint::black_box(mapping));
        ground.report(|seconds| {
            let rate = (faults - before) as f64 / seconds;
            before = faults;
            json!({ "faults_per_s": rate.round() })
        })?;
    }
    Ok(())
}
