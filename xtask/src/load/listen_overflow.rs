//! `listen_overflow`: a server with a short backlog that accepts far more slowly than its clients come.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use anyhow::Result;
use nix::sys::socket::{Backlog, listen};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of, tcp};

pub(super) const LOAD: Load = Load { name: "listen_overflow", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    backlog: i32,
    accepts_per_s: f64,
    knocks_per_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { backlog: 1, accepts_per_s: 1.0, knocks_per_s: 50 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    tcp::in_a_network_of_its_own()?;
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // Once more, for the standard library's backlog is its own.
    listen(&server, Backlog::new(settings.backlog)?)?;
    server.set_nonblocking(true)?;
    let port = server.local_addr()?.port();
    ground.helper("knocker", &json!({ "port": port, "knocks_per_s": settings.knocks_per_s }))?;
    ground.started(&[std::process::id()])?;
    let pause = Duration::from_secs_f64(1.0 / settings.accepts_per_s.clamp(0.1, 1000.0));
    let mut served = 0_u64;
    while !ground.stop().nap(pause) {
        // One that gave up meanwhile is served as well as any.
        served += u64::from(server.accept().is_ok());
        ground.report(|seconds| {
            let line = json!({ "served_per_s": (served as f64 / seconds * 10.0).round() / 10.0 });
            served = 0;
            line
        })?;
    }
    Ok(())
}
