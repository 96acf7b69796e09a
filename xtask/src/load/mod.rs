//! The loads of the fault catalogue: real, bounded and self-ending, one file a load.
//!
//! A load prints one JSON line a second with its own progress, and ends by its bound, by SIGTERM, or with its parent.

use std::io::Write as _;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;

mod anon_hog;
mod archive;
mod cache_reader;
mod close_wait_leak;
mod compile;
mod cpu_hog;
mod device_saturation;
mod dirty_flood;
pub(crate) mod disguise;
mod disk;
mod disk_full;
mod eio_reads;
mod event_flood;
mod fd_exhaustion;
mod fork_storm;
mod fsync_storm;
mod ground;
mod grow;
mod hostile_names;
mod idle_services;
mod job;
mod knocker;
mod listen_overflow;
mod log_rotation;
mod major_fault_storm;
mod memcg_oom;
mod minor_fault_churn;
mod pids_limit;
mod pong;
mod port_exhaustion;
mod scattered_writer;
mod slow_leak;
mod spinner;
mod steady_reader;
mod swap_thrash;
mod switch_storm;
mod syscall_storm;
mod tcp;
mod time_wait_flood;
mod waker;

use crate::cgroup;
pub(crate) use compile::c_program;
use ground::Ground;

/// Every load there is. The name is the file's.
const LOADS: [Load; 35] = [
    anon_hog::LOAD,
    slow_leak::LOAD,
    cache_reader::LOAD,
    cpu_hog::LOAD,
    fork_storm::LOAD,
    switch_storm::LOAD,
    minor_fault_churn::LOAD,
    fd_exhaustion::LOAD,
    pids_limit::LOAD,
    memcg_oom::LOAD,
    syscall_storm::LOAD,
    eio_reads::LOAD,
    device_saturation::LOAD,
    fsync_storm::LOAD,
    dirty_flood::LOAD,
    major_fault_storm::LOAD,
    disk_full::LOAD,
    swap_thrash::LOAD,
    event_flood::LOAD,
    port_exhaustion::LOAD,
    listen_overflow::LOAD,
    close_wait_leak::LOAD,
    time_wait_flood::LOAD,
    hostile_names::LOAD,
    compile::LOAD,
    archive::LOAD,
    log_rotation::LOAD,
    idle_services::LOAD,
    // A victim, and the helpers of others.
    waker::LOAD,
    spinner::LOAD,
    pong::LOAD,
    job::LOAD,
    knocker::LOAD,
    steady_reader::LOAD,
    scattered_writer::LOAD,
];

/// No load lasts longer, whatever it was told.
const SECONDS_MAX: u64 = 120;

struct Load {
    name: &'static str,
    /// Refuses settings that the load does not have.
    check: fn(&Value) -> Result<()>,
    run: fn(&mut Ground, Value) -> Result<()>,
}

#[derive(Debug, Args)]
pub(crate) struct Order {
    name: String,
    /// A JSON object; what it leaves out has its default
    #[arg(default_value = "{}")]
    settings: String,
    /// Seconds until it ends by itself
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Join this control group first, a path below the hierarchies' mounts
    #[arg(long)]
    cgroup: Option<String>,
    /// Started by another load, and of its process group
    #[arg(long, hide = true)]
    helper: bool,
    /// What it is told to say of itself, and nobody heeds
    #[arg(long, hide = true, value_name = "TEXT")]
    said: Option<String>,
}

/// Runs one load until it ends.
pub(crate) fn carry_out(order: &Order) -> Result<()> {
    let load = find(&order.name)?;
    let settings: Value =
        serde_json::from_str(&order.settings).with_context(|| format!("`{}` is no JSON object", order.settings))?;
    (load.check)(&settings).with_context(|| format!("settings of {}", order.name))?;
    if order.seconds == 0 || order.seconds > SECONDS_MAX {
        bail!("{} s is no bound of a load; 1 to {SECONDS_MAX} are", order.seconds);
    }
    if let Some(path) = &order.cgroup {
        cgroup::enter(path)?;
    }
    if disguise::is_asked() && !order.helper {
        disguise::log().context("/dev/kmsg cannot be written")?;
    }
    let mut ground = Ground::enter(load.name, order.seconds, order.helper)?;
    let done = (load.run)(&mut ground, settings).and_then(|()| {
        ground.leave();
        std::io::stdout().flush().context("standard output went away")
    });
    match done {
        // A helper whose load has left is at its end, and has nobody to tell.
        Err(error) if order.helper && is_unheard(&error) => Ok(()),
        done => done,
    }
}

fn is_unheard(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Refuses a load that there is not, and settings that it does not have.
pub(crate) fn check(name: &str, settings: &Value) -> Result<()> {
    (find(name)?.check)(settings)
}

fn find(name: &str) -> Result<&'static Load> {
    LOADS.iter().find(|load| load.name == name).with_context(|| {
        format!("`{name}` is no load; {} are", LOADS.iter().map(|load| load.name).collect::<Vec<_>>().join(", "))
    })
}

fn check_as<S: DeserializeOwned>(settings: &Value) -> Result<()> {
    settings_of::<S>(settings.clone()).map(|_| ())
}

fn settings_of<S: DeserializeOwned>(settings: Value) -> Result<S> {
    Ok(serde_json::from_value(settings)?)
}

/// CPUs that this process may use.
fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
