//! `cargo xtask vm`: tests in a virtual machine of another kernel, with control groups v2 as a node has them.
//!
//! A guest has the kernel of a Debian package that is never installed here, and an initramfs of busybox, the test binary
//! and the agent, or a whole Debian with systemd. It needs no KVM and no network.

mod guest;
mod image;
mod kernel;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{place, say, setup};

/// What runs where nothing else is asked for: what this machine, with its controllers in v1 hierarchies, cannot test, and
/// whether all programs load.
const FILTER: &str = "execute_cgroup_v2::,kernel_load::";
/// In a guest that is a whole system: what needs a systemd, what needs a disk, and what needs a kernel's modules.
const SYSTEM_FILTER: &str =
    "unit_live::,execute_qdisc::,execute_link::,kernel_counters::,kernel_events::,kernel_tasks::";
/// The series of kernels that guests have.
const SERIES: [&str; 2] = ["6.1", "6.12"];
/// The target of the agent's manifest that all its tests are.
const TESTS: &str = "all";
/// Longest run of a guest. Without KVM all is some twenty times slower than here, and lints may run beside it.
const TIMEOUT: Duration = Duration::from_secs(900);

#[derive(Debug, Args)]
pub(crate) struct Vm {
    /// The series of the guest's kernel, 6.1 or 6.12; both without it
    #[arg(long, value_name = "SERIES")]
    kernel: Option<String>,
    /// The tests whose names contain this, or one of these with commas between
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// A guest that is a whole Debian with the unit installed, and not a small one
    #[arg(long)]
    systemd: bool,
}

/// How the tests of one guest went.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The kernel's release.
    pub(crate) kernel: String,
    /// All that the guest said.
    pub(crate) said: String,
    /// What the test binary exited with; none: the guest never said.
    pub(crate) code: Option<i32>,
}

impl Ran {
    /// Whether every test ran, and passed. What was skipped in here is tested nowhere.
    pub(crate) fn passed(&self) -> bool {
        self.code == Some(0) && !self.said.lines().any(|line| line.trim_start().starts_with("skipped:"))
    }
}

/// What is tested in a guest, as cargo built it here last.
#[derive(Debug)]
pub(crate) struct Programs {
    tests: PathBuf,
    agent: PathBuf,
}

/// True when every guest's tests passed.
pub(crate) fn vm(vm: &Vm) -> Result<bool> {
    setup::ensure(setup::For::Building)?;
    let programs = programs()?;
    let series: Vec<&str> = vm.kernel.as_deref().map_or_else(|| SERIES.to_vec(), |one| vec![one]);
    let mut passed = true;
    for series in series {
        let filter = vm.filter.as_deref().unwrap_or(if vm.systemd { SYSTEM_FILTER } else { FILTER });
        let step = say::Step::begin(format!("{filter} in a guest of Linux {series}"));
        let (step, ran) = run(step, &programs, series, filter, vm.systemd)?;
        let tests = ran.said.lines().filter(|line| line.starts_with("test ") || line.starts_with("test result: "));
        tests.for_each(|line| println!("  {line}"));
        let ends = ran.said.lines().filter(|line| line.starts_with("the guest: "));
        ends.for_each(|line| println!("  {line}"));
        let outcome = format!("{filter} in a guest of Linux {}", ran.kernel);
        if ran.passed() {
            step.done(&outcome)
        } else {
            step.failed(&outcome)
        }
        passed &= ran.passed();
    }
    Ok(passed)
}

/// The whole stage of `cargo xtask test`: each series with what it must show.
pub(crate) fn stage(programs: &Programs, each: &mut impl FnMut(say::Step, Ran)) -> Result<()> {
    for series in SERIES {
        let step = say::Step::begin(format!("control groups v2 in a guest of Linux {series}"));
        let (step, ran) = run(step, programs, series, FILTER, false)?;
        each(step, ran);
    }
    let series = SERIES[0];
    let step = say::Step::begin(format!("the unit and the programs in a guest of Linux {series} with systemd"));
    let (step, ran) = run(step, programs, series, SYSTEM_FILTER, true)?;
    each(step, ran);
    Ok(())
}

/// Runs the tests that `filter` names in a guest of that series.
fn run(step: say::Step, programs: &Programs, series: &str, filter: &str, systemd: bool) -> Result<(say::Step, Ran)> {
    let log = place::target()?.join("vm.log");
    setup::guests(&log, systemd)?;
    let kernel = kernel::fetch(series, &log)?;
    let make = if systemd { image::system } else { image::initramfs };
    let image = make(&kernel, &programs.tests, &programs.agent, &log)?;
    guest::boot(step, &kernel, &image, filter, TIMEOUT)
}

/// The agent and its tests, built now if they are not.
///
/// # Errors
/// When they cannot be built.
pub(crate) fn programs() -> Result<Programs> {
    Ok(Programs { tests: test_binary()?, agent: place::agent()? })
}

/// The agent's tests as cargo built them last, built now if they are not.
fn test_binary() -> Result<PathBuf> {
    // With the whole workspace, as `cargo xtask test` builds it: of one package alone it would be another build.
    let mut cargo = place::cargo(&["test", "--release", "--workspace", "--no-run", "--message-format=json"]);
    // What cargo builds is told in the same file, each as a line of JSON.
    let log = place::target()?.join("vm-build.log");
    let _ = fs::remove_file(&log);
    must(&mut cargo, &log)?;
    let said = fs::read_to_string(&log).with_context(|| format!("{} cannot be read", log.display()))?;
    let mut tests = said.lines().filter_map(|line| {
        let artifact: Value = serde_json::from_str(line).ok()?;
        let is_test = artifact.pointer("/target/name").and_then(Value::as_str) == Some(TESTS);
        let path = artifact.get("executable").and_then(Value::as_str).filter(|_| is_test)?;
        Some(PathBuf::from(path))
    });
    tests.next().context("cargo names no binary of the agent's tests")
}

/// A command of this machine that must succeed; what it says is in the log.
fn must(command: &mut Command, log: &Path) -> Result<()> {
    let label = say::line_of(command);
    let step = say::Step::begin(label.clone());
    let (_, status) = say::quiet(step, command, log)?;
    if status.success() { Ok(()) } else { bail!("`{label}` failed ({status}); what it said is in {}", log.display()) }
}
