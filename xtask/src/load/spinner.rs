//! `spinner`: one thread that computes and never waits; a helper of the CPU loads.

use anyhow::Result;
use nix::sys::{prctl, signal::Signal};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Load, check_as,
    ground::{Ground, call_itself},
    settings_of,
};

pub(super) const LOAD: Load = Load { name: "spinner", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What the process calls itself; the kernel keeps 15 bytes.
    name: String,
    /// Only sleep, under that name.
    idle: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "spinner".to_owned(), idle: false }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    call_itself(&settings.name)?;
    let stop = ground.stop();
    let mut number = 1_u64;
    while !stop.over() {
        if settings.idle {
            stop.nap(std::time::Duration::from_secs(1));
            continue;
        }
        for _ in 0..1_000_000 {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).rotate_left(7) | 1);
        }
    }
    Ok(())
}
