//! `time_wait_flood`: a client that connects and closes without end, so that its ports lie in TIME-WAIT.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::Result;
use nix::errno::Errno;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of, tcp};

pub(super) const LOAD: Load = Load { name: "time_wait_flood", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    connects_per_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connects_per_s: 200 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    tcp::in_a_network_of_its_own()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let server = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // The client closes first: its port is the one that waits.
            thread::sleep(Duration::from_millis(2));
            drop(connection);
        }
    });
    ground.started(&[std::process::id()])?;
    let pause = Duration::from_secs(1) / u32::try_from(settings.connects_per_s.clamp(1, 1000))?;
    let (mut made, mut refused) = (0_u64, 0_u64);
    while !ground.stop().nap(pause) {
        match TcpStream::connect(server) {
            Ok(connection) => {
                drop(connection);
                made += 1;
            }
            Err(error) if error.raw_os_error() == Some(Errno::EADDRNOTAVAIL as i32) => refused += 1,
            Err(error) => return Err(error.into()),
        }
        ground.report(|seconds| {
            let line = json!({
                "connects_per_s": (made as f64 / seconds).round(),
                "refused_per_s": (refused as f64 / seconds).round(),
            });
            (made, refused) = (0, 0);
            line
        })?;
    }
    Ok(())
}
