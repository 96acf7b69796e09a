//! `pong`: gives back each byte it is sent; a helper of switch_storm.

use std::io::{Read as _, Write as _};

use anyhow::Result;
use nix::sys::{prctl, signal::Signal};
use serde::Deserialize;
use serde_json::Value;

use super::{Load, check_as, ground::Ground};

pub(super) const LOAD: Load = Load { name: "pong", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

fn run(ground: &mut Ground, _: Value) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let (mut from, mut to) = (std::fs::File::open("/dev/stdin")?, std::fs::File::create("/dev/stdout")?);
    let mut byte = [0];
    while !ground.over() && from.read(&mut byte)? == 1 {
        to.write_all(&byte)?;
    }
    Ok(())
}
