//! `port_exhaustion`: a client that needs more connections to one server than its network has local ports.

use std::{net::TcpStream, time::Duration};

use anyhow::Result;
use nix::errno::Errno;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of, tcp};

pub(super) const LOAD: Load = Load { name: "port_exhaustion", check: check_as::<Settings>, run };

const CONNECTIONS_MAX: usize = 400;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Connections that it needs.
    connections: usize,
    tries_per_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connections: 100, tries_per_s: 50 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    tcp::in_a_network_of_its_own()?;
    let server = tcp::keeper()?;
    ground.started(&[std::process::id()])?;
    let pause = Duration::from_secs(1) / u32::try_from(settings.tries_per_s.clamp(1, 1000))?;
    let (mut connections, mut refused) = (Vec::new(), 0_u64);
    while !ground.stop().nap(pause) {
        if connections.len() >= settings.connections.min(CONNECTIONS_MAX) {
            // It has what it needs, and goes on to close one and open another.
            connections.remove(0);
        }
        match TcpStream::connect(server) {
            Ok(connection) => connections.push(connection),
            Err(error) if error.raw_os_error() == Some(Errno::EADDRNOTAVAIL as i32) => refused += 1,
            Err(error) => return Err(error.into()),
        }
        let open = connections.len();
        ground.report(|seconds| {
            let line = json!({ "connections": open, "refused_per_s": (refused as f64 / seconds).round() });
            refused = 0;
            line
        })?;
    }
    Ok(())
}
