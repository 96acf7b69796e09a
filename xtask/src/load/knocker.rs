//! `knocker`: a helper that connects to a port of loopback again and again, and waits for none for long.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "knocker", check: check_as::<Settings>, run };

/// Longer than the kernel needs to be turned away, shorter than its second try.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    port: u16,
    knocks_per_s: u64,
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
    let pause = Duration::from_secs(1) / u32::try_from(settings.knocks_per_s.clamp(1, 1000))?;
    let stop = ground.stop();
    while !stop.nap(pause) {
        std::thread::spawn(move || {
            // Turned away or let in, it goes again.
            drop(TcpStream::connect_timeout(&address, PATIENCE));
        });
    }
    Ok(())
}
