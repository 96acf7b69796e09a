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
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{place, say, setup};
pub(crate) use guest::DiskSpeed;
use guest::{Guest, Image};
use image::Small;
use kernel::Kernel;

/// What runs where nothing else is asked for: what this machine, with its controllers in v1 hierarchies, cannot test, and
/// whether all programs load.
const FILTER: &str = "execute_cgroup_v2::,kernel_load::,degraded::without_ring";
/// In a guest that is a whole system: what needs a systemd, what needs a disk, and what needs a kernel's modules.
const SYSTEM_FILTER: &str = "unit_live::,unit_crash::,unit_reboot::,execute_qdisc::,execute_link::,\
    kernel_counters::,kernel_events::,kernel_tasks::";
/// Of this a part runs before a reboot, and a part after it.
const REBOOT_FILTER: &str = "unit_reboot::";
/// In a guest of a kernel without pressure stall information: how that is told, beside what needs none.
const NO_PSI_FILTER: &str = "execute_cgroup_v2::,kernel_load::,degraded::without_pressure,degraded::without_ring";
const NO_PSI: &str = "psi=0";
/// In a guest that has a CPU more than it needs.
const CPU_FILTER: &str = "failure_cpu::";
const MAY_LOSE_A_CPU: &str = "kernelsight.may_lose_a_cpu";
/// The series of kernels that guests have.
const SERIES: [&str; 2] = ["6.1", "6.12"];
/// Of the guest that faults run in.
const FAULTS_SERIES: &str = SERIES[1];
/// Its disk, MiB, and what it can answer, bytes; of neither more is taken here than is written.
const FAULTS_DISK_MB: u64 = 3072;
const ANSWER_BYTES: u64 = 64 << 20;
/// What swap in compressed memory is made of there.
const ZRAM: [&str; 4] = [
    "mm/zsmalloc.ko.xz",
    "lib/lz4/lz4_compress.ko.xz",
    "lib/lz4/lz4hc_compress.ko.xz",
    "drivers/block/zram/zram.ko.xz",
];
/// Size of the empty disk of a guest of tests, bytes.
const DISK_BYTES: u64 = 256 << 20;
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
    /// A kernel that keeps no pressure stall information
    #[arg(long)]
    without_psi: bool,
    /// Two CPUs, one of which the tests take offline
    #[arg(long, conflicts_with_all = ["systemd", "without_psi"])]
    two_cpus: bool,
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

    /// Two boots of one machine.
    fn and(self, after: Self) -> Self {
        let code = self.code.zip(after.code).map(|(before, after)| if before == 0 { after } else { before });
        Self { kernel: self.kernel, said: self.said + &after.said, code }
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
        let (filter, words) = match (vm.systemd, vm.without_psi, vm.two_cpus) {
            (true, without_psi, _) => (SYSTEM_FILTER, if without_psi { NO_PSI } else { "" }),
            (_, true, _) => (NO_PSI_FILTER, NO_PSI),
            (_, _, true) => (CPU_FILTER, MAY_LOSE_A_CPU),
            _ => (FILTER, ""),
        };
        let filter = vm.filter.as_deref().unwrap_or(filter);
        let trial = Trial { about: filter, series, filter, systemd: vm.systemd, words };
        let step = say::Step::begin(format!("{filter} in a guest of Linux {series}"));
        let (step, ran) = run(step, &programs, &trial)?;
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

/// A guest with tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial<'a> {
    about: &'a str,
    series: &'a str,
    filter: &'a str,
    systemd: bool,
    /// More words of the kernel's command line.
    words: &'a str,
}

/// The guests of `cargo xtask test`: those for a thread of their own, and those for whoever is through with lints.
pub(crate) const BESIDE: &[Trial] = &[
    Trial {
        about: "the unit, a reboot and the programs",
        series: SERIES[0],
        filter: SYSTEM_FILTER,
        systemd: true,
        words: "",
    },
    Trial { about: "control groups v2", series: SERIES[0], filter: FILTER, systemd: false, words: "" },
];
pub(crate) const AFTERWARDS: &[Trial] = &[
    Trial {
        about: "control groups v2, without PSI,",
        series: SERIES[1],
        filter: NO_PSI_FILTER,
        systemd: false,
        words: NO_PSI,
    },
    Trial {
        about: "a CPU that goes and comes",
        series: SERIES[0],
        filter: CPU_FILTER,
        systemd: false,
        words: MAY_LOSE_A_CPU,
    },
];

/// A part of the stage of `cargo xtask test`, one guest after the other.
pub(crate) fn stage(programs: &Programs, trials: &[Trial], each: &mut impl FnMut(say::Step, Ran)) -> Result<()> {
    for trial in trials {
        let Trial { about, series, systemd, .. } = trial;
        let with = if *systemd { " with systemd" } else { "" };
        let step = say::Step::begin(format!("{about} in a guest of Linux {series}{with}"));
        let (step, ran) = run(step, programs, trial)?;
        each(step, ran);
    }
    Ok(())
}

/// Boots a guest and runs its tests. A whole system is started anew where a test is about that.
fn run(step: say::Step, programs: &Programs, trial: &Trial) -> Result<(say::Step, Ran)> {
    let Trial { series, filter, systemd, words, .. } = *trial;
    let dir = place::target()?.join("vm");
    let log = place::target()?.join("vm.log");
    let kernel = prepare(series, systemd, &log)?;
    let Programs { tests, agent } = programs;
    let (image, disk) = if systemd {
        (Image::Disk, image::system(&kernel, tests, agent, &log)?)
    } else {
        let script = image::tests_script(tests);
        let small = Small { name: &kernel.release, programs: &[tests, agent], data: &[], modules: &[], script };
        let initramfs = image::initramfs(&small, &kernel, &log)?;
        let disk = guest::empty_disk(initramfs.with_file_name("disk"), DISK_BYTES)?;
        (Image::Initramfs(initramfs), disk)
    };
    let kind = if systemd { "systemd" } else { "small" };
    let serial = |boot: &str| dir.join(format!("{}-{kind}{boot}.log", kernel.release));
    let cpus = if words == MAY_LOSE_A_CPU { 2 } else { 1 };
    let words = format!("filter={filter} {words}");
    let mut guest = Guest { kernel: &kernel, image, disk, keeps_disk: false, speed: None, answer: None, words, cpus };
    if !systemd || !filter.contains(REBOOT_FILTER) {
        return guest::boot(step, &guest, &serial(""), TIMEOUT);
    }
    guest.keeps_disk = true;
    guest.words.push_str(" then=reboot");
    let (step, before) = guest::boot(step, &guest, &serial(""), TIMEOUT)?;
    guest.words = format!("filter={REBOOT_FILTER}");
    let (step, after) = guest::boot(step, &guest, &serial("-rebooted"), TIMEOUT)?;
    Ok((step, before.and(after)))
}

/// What guests of the stage need beside what is built here: packages, kernels and a Debian are fetched.
///
/// # Errors
/// When they cannot be had. The stage tells that again.
pub(crate) fn make_ready() -> Result<()> {
    let log = place::target()?.join("vm.log");
    SERIES.iter().try_for_each(|series| prepare(series, true, &log).map(drop))?;
    image::debian(&log).map(drop)
}

/// What every guest needs, one after the other: packages are installed, and kernels fetched, by one at a time.
fn prepare(series: &str, systemd: bool, log: &Path) -> Result<Kernel> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    setup::guests(log, systemd)?;
    kernel::fetch(series, log)
}

/// Runs this binary with these arguments in a guest with a disk of that speed, for faults of the catalogue. What is
/// left of it in `evidence` there is left here, too.
pub(crate) fn faults(
    step: say::Step,
    arguments: &str,
    speed: DiskSpeed,
    evidence: &Path,
    timeout: Duration,
) -> Result<(say::Step, Ran)> {
    let dir = place::target()?.join("vm/faults");
    let log = place::target()?.join("vm-faults.log");
    let kernel = prepare(FAULTS_SERIES, false, &log)?;
    let xtask = std::env::current_exe().context("the path of this binary is unknown")?;
    let agent = place::agent()?;
    let script = image::faults_script(&xtask, evidence, arguments);
    let data = [place::workspace().join("tests/faults")];
    let small = Small { name: "faults", programs: &[&xtask, &agent], data: &data, modules: &ZRAM, script };
    let image = Image::Initramfs(image::initramfs(&small, &kernel, &log)?);
    let disk = image::filesystem(dir.join("disk"), FAULTS_DISK_MB, &log)?;
    let answer = guest::empty_disk(dir.join("answer"), ANSWER_BYTES)?;
    let guest = Guest {
        kernel: &kernel,
        image,
        disk,
        keeps_disk: false,
        speed: Some(speed),
        answer: Some(answer.clone()),
        words: String::new(),
        cpus: 1,
    };
    let (step, ran) = guest::boot(step, &guest, &dir.join("faults.log"), timeout)?;
    if ran.code.is_some() {
        fs::create_dir_all(evidence).with_context(|| format!("{} cannot be made", evidence.display()))?;
        must(Command::new("tar").arg("-C").arg(evidence).arg("-xf").arg(&answer), &log)?;
    }
    Ok((step, ran))
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
