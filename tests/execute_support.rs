//! What the tests of the executing room share: targets that are real processes and cgroups, and ways to look at them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kernelsight::{
    execute::{
        ActionRequest, Denied, DryRun, Errand, ExecuteError, Executor, Journal as _, JournalRow, Judging, On, Outcome,
        OutcomeStatus, Permit, Policy, PolicyError, Power, catalogue, command::Command as ExecutorCommand,
    },
    live::Autonomy,
    store::Store,
};
use serde_json::{Value, json};

use crate::store_rows::{NOW_MS, store};

/// The threads of a target of its own, counted with its first one.
const TARGET: &str = "KERNELSIGHT_TEST_TARGET";

/// What a leaking target holds at last.
const FULL_BYTES: u64 = 450 << 20;
const COMES_TO_HOLD_WITHIN: Duration = Duration::from_secs(60);

/// Whether this is a machine on which something can be done; a failure where CI=true.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    assert!(root || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "the executor is tested as root");
    if !root {
        eprintln!("skipped: not root");
    }
    root
}

pub(crate) fn policy() -> Arc<Policy> {
    Arc::new(Policy::embedded().unwrap())
}

/// The rules that are built in, with this `listed.toml`.
pub(crate) fn policy_listing(listed: &str) -> Result<Policy, PolicyError> {
    let (commands, protected) = (include_str!("../policies/commands.toml"), include_str!("../policies/protected.toml"));
    Policy::parse(commands, protected, include_str!("../policies/autonomy.toml"), listed)
}

pub(crate) fn request(name: &str, params: Value) -> ActionRequest {
    ActionRequest { action_type: name.to_owned(), params: params.as_object().unwrap().clone() }
}

/// A daemon's executing half: policy, executor and a journal on disk.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) policy: Arc<Policy>,
    pub(crate) executor: Executor,
    pub(crate) store: Store,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::of(Policy::embedded().unwrap())
    }

    /// One with other rules.
    pub(crate) fn of(policy: Policy) -> Self {
        Self::with(policy, |executor| executor)
    }

    /// One whose executor is changed so.
    pub(crate) fn with(policy: Policy, change: impl FnOnce(Executor) -> Executor) -> Self {
        let policy = Arc::new(policy);
        let (dir, store) = store();
        Self { executor: change(executor(&policy)), policy, store, _dir: dir }
    }

    pub(crate) fn judge(&self, name: &str, params: Value) -> Result<Permit, Denied> {
        self.policy.judge(&request(name, params), Judging::new("rules", Autonomy::Agent, NOW_MS))
    }

    /// What would be done at the highest level.
    pub(crate) fn dry_run(&self, name: &str, params: Value) -> DryRun {
        let judging = Judging::new("rules", Autonomy::Agent, NOW_MS);
        self.executor.dry_run(&request(name, params), &judging, &Errand::ordered(), &self.store)
    }

    /// Judges and runs; whatever stands in the way fails the test, and so does a dry run or a catalogue that told
    /// something else.
    pub(crate) fn act(&self, name: &str, params: Value) -> Outcome {
        let planned = self.dry_run(name, params.clone()).plan;
        let permit = self.judge(name, params).unwrap();
        let outcome = self.executor.run(permit, &self.store, &Errand::ordered(), NOW_MS).unwrap();
        assert_eq!(outcome.status, OutcomeStatus::Done, "{outcome:?}");
        let planned = planned.unwrap();
        assert_eq!((&planned.command, &planned.change), (&outcome.command, &outcome.change), "{name}");
        let words: Vec<&str> = outcome.command.split(' ').collect();
        let power = ExecutorCommand::parse(&words).unwrap().power();
        let declared = catalogue().into_iter().find(|entry| entry.name == name).unwrap().power;
        // Systemd writes the limits of what it owns.
        let expected = if power == Power::ServiceManager { power } else { declared };
        assert_eq!(
            (power, planned.power),
            (expected, expected),
            "{name} is carried out with another power than it says"
        );
        let entry = catalogue().into_iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(on(&planned.target), entry.on, "{name} is for {}", planned.target);
        let told = entry.writes;
        assert!(writes(told, &planned.through), "{name} writes {}, and is said to write {told}", planned.through);
        outcome
    }

    pub(crate) fn undo(&self, outcome: &Outcome) -> Result<Outcome, ExecuteError> {
        self.executor.undo(outcome.action_id.unwrap(), &self.store, NOW_MS)
    }

    /// Rows of the journal that are not settled.
    pub(crate) fn open_rows(&self) -> usize {
        self.store.unsettled().unwrap().len()
    }

    pub(crate) fn row(&self, outcome: &Outcome) -> JournalRow {
        self.store.get(outcome.action_id.unwrap()).unwrap().unwrap()
    }
}

/// What kind of thing `python3 (pid 812)`, `cgroup /x` or `node` is.
fn on(target: &str) -> On {
    match target.split_once(' ').map_or(target, |(kind, _)| kind) {
        "node" => On::Node,
        "cgroup" => On::Cgroup,
        "unit" => On::Unit,
        "interface" => On::Interface,
        "mount" => On::Mount,
        "file" => On::File,
        _ => On::Process,
    }
}

/// Whether the catalogue's `vm.swappiness`, or `io.max (v2), blkio.throttle.* (v1)`, tells of these files or this call.
fn writes(told: &str, through: &str) -> bool {
    through.split(", ").all(|through| writes_one(told, through))
}

fn writes_one(told: &str, through: &str) -> bool {
    let file = match through.strip_prefix("/proc/sys/") {
        Some(key) => key.replace('/', "."),
        None => through.rsplit('/').next().unwrap().to_owned(),
    };
    told.split(", ").any(|told| {
        let name = told.split(" (v").next().unwrap().rsplit('/').next().unwrap();
        name.strip_suffix('*').map_or(name == file, |start| file.starts_with(start))
    })
}

pub(crate) fn executor(policy: &Arc<Policy>) -> Executor {
    Executor::of(Path::new(env!("CARGO_BIN_EXE_kernelsight")), Arc::clone(policy), Duration::from_secs(30)).unwrap()
}

/// A live process of four threads that nobody protects.
pub(crate) struct Target {
    child: Child,
    _output: BufReader<ChildStdout>,
}

impl Target {
    pub(crate) fn idle() -> Self {
        Self::start("idle")
    }

    /// One thread spins, for a minute at most.
    pub(crate) fn spinning() -> Self {
        Self::start("spin")
    }

    /// Once told to go, it leaks 10 MiB a second up to [`FULL_BYTES`].
    pub(crate) fn leaking() -> Self {
        Self::start("leak")
    }

    pub(crate) fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Whether its resident memory grows just now.
    pub(crate) fn grows(&self) -> bool {
        let before = self.rss_bytes();
        std::thread::sleep(Duration::from_millis(300));
        self.rss_bytes() > before + (1 << 20)
    }

    /// Whether it leaked all that it may.
    pub(crate) fn is_full(&self) -> bool {
        self.rss_bytes() >= FULL_BYTES
    }

    pub(crate) fn is_above(&self, bytes: u64) -> bool {
        self.rss_bytes() > bytes
    }

    /// The signal that ends it, waited for.
    pub(crate) fn is_ended_by(&mut self) -> Option<i32> {
        std::os::unix::process::ExitStatusExt::signal(&self.child.wait().unwrap())
    }

    fn rss_bytes(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// An idle one whose name, as the kernel knows it, is this.
    pub(crate) fn named(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &path).unwrap();
        Self::start_from(&path, "idle")
    }

    fn start(kind: &str) -> Self {
        Self::start_from(&std::env::current_exe().unwrap(), kind)
    }

    fn start_from(path: &Path, kind: &str) -> Self {
        let mut child = Command::new(path)
            .args(["--ignored", "--exact", "--nocapture", "--test-threads=1", "execute_support::target"])
            .env(TARGET, kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.ends_with("target is up\n") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the target did not come up");
        }
        Self { child, _output: output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn tids(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let mut tids: Vec<u32> =
            tasks.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        tids.sort_unstable();
        tids
    }

    /// Nice values of all threads, as the kernel says.
    pub(crate) fn nice(&self) -> Vec<i32> {
        self.tids().iter().map(|tid| stat(self.pid(), *tid)[16].parse().unwrap()).collect()
    }

    pub(crate) fn state(&self) -> char {
        stat(self.pid(), self.pid())[0].chars().next().unwrap()
    }

    /// Waits until it stands stopped.
    pub(crate) fn comes_to_stand(&self) {
        until(|| self.state() == 'T');
    }

    /// Waits until it is not stopped.
    pub(crate) fn comes_to_run(&self) {
        until(|| matches!(self.state(), 'S' | 'R'));
    }

    pub(crate) fn start_ticks(&self) -> u64 {
        start_ticks(self.pid())
    }

    /// User and system time, 1/100 s.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = stat(self.pid(), self.pid());
        let whole = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = whole.rsplit_once(") ").unwrap().1.split(' ').collect();
        assert_eq!(fields.len(), stat.len());
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    pub(crate) fn cpus(&self) -> Vec<String> {
        self.tids()
            .iter()
            .map(|tid| {
                let status = fs::read_to_string(format!("/proc/{}/task/{tid}/status", self.pid())).unwrap();
                let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
                line.trim().to_owned()
            })
            .collect()
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    /// Ends it and waits until it is gone.
    pub(crate) fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn leak() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for _ in 0..FULL_BYTES / (1 << 20) + 1 {
        kept.push(std::hint::black_box(vec![1; 1 << 20]));
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(60));
}

/// Not a test: what a target does.
#[test]
#[ignore = "started by the tests as another process"]
fn target() {
    let kind = std::env::var(TARGET).expect("started as a target");
    for _ in 0..2 {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(120)));
    }
    if kind == "spin" {
        std::thread::spawn(|| {
            let until = Instant::now() + Duration::from_secs(60);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        });
    }
    println!("\ntarget is up");
    if kind == "leak" {
        let _ = std::io::stdin().read_line(&mut String::new());
        leak();
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Fields of a thread's stat from the third on.
fn stat(pid: u32, tid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').map(str::to_owned).collect()
}

/// A cgroup of our own in one hierarchy, with a process in it; gone when dropped.
pub(crate) struct Cgroup {
    directory: PathBuf,
    path: String,
}

impl Cgroup {
    /// None, said aloud, where the machine has no such hierarchy.
    pub(crate) fn with(target: &Target, file: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let controller = file.split('.').next().unwrap();
        let path = format!("/kernelsight-test-{}-{}", controller, target.pid());
        for mount in mounts.lines().filter(|line| line.contains(" - cgroup")) {
            let directory = Path::new(mount.split(' ').nth(4).unwrap()).join(&path[1..]);
            if fs::create_dir(&directory).is_err() {
                continue;
            }
            let cgroup = Self { directory, path: path.clone() };
            if cgroup.directory.join(file).exists() {
                fs::write(cgroup.directory.join("cgroup.procs"), target.pid().to_string()).unwrap();
                return Some(cgroup);
            }
        }
        eprintln!("skipped: no hierarchy here has {file}");
        None
    }

    /// Puts another process into it.
    pub(crate) fn takes(&self, pid: u32) {
        self.write("cgroup.procs", &pid.to_string());
    }

    /// One below it, with a process in it.
    pub(crate) fn below(&self, target: &Target) -> Self {
        self.below_as(&format!("below-{}", target.pid()), target)
    }

    /// The same, of this name.
    pub(crate) fn below_as(&self, name: &str, target: &Target) -> Self {
        let cgroup = Self { directory: self.directory.join(name), path: format!("{}/{name}", self.path) };
        fs::create_dir(&cgroup.directory).unwrap();
        cgroup.write("cgroup.procs", &target.pid().to_string());
        cgroup
    }

    pub(crate) fn path(&self) -> Value {
        json!(self.path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.directory.join(file)).unwrap().trim_end().to_owned()
    }

    pub(crate) fn write(&self, file: &str, value: &str) {
        fs::write(self.directory.join(file), value).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let parent = self.directory.parent().unwrap().to_owned();
        for file in ["freezer.state", "cgroup.freeze"] {
            let path = self.directory.join(file);
            if path.exists() {
                let _ = fs::write(path, if file == "freezer.state" { "THAWED" } else { "0" });
            }
        }
        if let Ok(pids) = fs::read_to_string(self.directory.join("cgroup.procs")) {
            for pid in pids.lines() {
                let _ = fs::write(parent.join("cgroup.procs"), pid);
            }
        }
        for _ in 0..50 {
            if fs::remove_dir(&self.directory).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Waits for what the kernel does in its own time, which under emulation is long.
#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < COMES_TO_HOLD_WITHIN, "it did not come to hold in {COMES_TO_HOLD_WITHIN:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One at a time acts on the node's swappiness.
pub(crate) fn swappiness_alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Field 22 of a process's stat.
pub(crate) fn start_ticks(pid: u32) -> u64 {
    stat(pid, pid)[19].parse().unwrap()
}

pub(crate) fn sysctl(path: &str) -> String {
    fs::read_to_string(Path::new("/proc/sys").join(path)).unwrap().trim_end().to_owned()
}
