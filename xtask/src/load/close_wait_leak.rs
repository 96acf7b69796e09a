//! `close_wait_leak`: a server that never closes what its clients have closed.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of, tcp};

pub(super) const LOAD: Load = Load { name: "close_wait_leak", check: check_as::<Settings>, run };

const SOCKETS_MAX: usize = 900;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    sockets: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sockets: 500 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    tcp::in_a_network_of_its_own()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    ground.started(&[std::process::id()])?;
    let mut leaked: Vec<TcpStream> = Vec::new();
    while !ground.stop().nap(Duration::from_millis(5)) {
        if leaked.len() < settings.sockets.min(SOCKETS_MAX) {
            let client = TcpStream::connect(address)?;
            leaked.push(listener.accept()?.0);
            drop(client);
        }
        let held = leaked.len();
        ground.report(|_| json!({ "leaked": held }))?;
    }
    Ok(())
}
