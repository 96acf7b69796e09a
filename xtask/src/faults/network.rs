//! A network of a fault's own: the agent, the load and its victim live in a namespace that nothing else is in, so that what
//! the load exhausts and what the agent sets is nobody else's.

use std::{
    fs::{self, File},
    process::Command,
};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};

use super::catalogue::OwnNetwork;

/// While this lives the thread, and all that it starts, is in a namespace of its own. Dropping it goes back.
#[derive(Debug)]
pub(super) struct Network(File);

impl Network {
    /// A new one, with its loopback up and set as wanted.
    pub(super) fn of_its_own(wanted: &OwnNetwork) -> Result<Self> {
        let before = File::open("/proc/thread-self/ns/net").context("the network namespace cannot be kept")?;
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace cannot be made")?;
        let network = Self(before);
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("ip cannot be run")?;
        if !up.success() {
            bail!("the loopback of a new network namespace does not come up");
        }
        for (name, value) in &wanted.ipv4 {
            let path = format!("/proc/sys/net/ipv4/{name}");
            fs::write(&path, value).with_context(|| format!("`{value}` cannot be written to {path}"))?;
        }
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.0, CloneFlags::CLONE_NEWNET) {
            // Nothing that comes after would be where it is meant to be.
            panic!("the runner cannot go back to its network: {error}");
        }
    }
}
