//! Actors: who acts for a daemon that may not. They run here as their units let them, started by sockets of the test's.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{
            net::{UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kernelsight::{
    execute::{
        Errand, Executor, Intent, Journal, JournalError, JournalRow, JournalState, Outcome, OutcomeStatus, Policy,
        Power,
    },
    store::Store,
};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
};
use serde_json::{Value, json};

use crate::{
    daemon::Daemon,
    execute_door::{rule_of, where_a_call_is_answered},
    execute_link::link,
    execute_parent::{cgroups, own_cgroups_alone},
    execute_qdisc::{in_a_network_of_its_own, ip, shown, tc},
    execute_support::{Bench, Cgroup, Target, executor, is_root, policy, swappiness_alone, sysctl, until},
    store_rows::NOW_MS,
};

/// A number that no user of this machine has.
const ACTOR: &str = "61184";

/// What systemd does with the units of the actors: one socket a power, and one process a connection.
pub(crate) struct Sockets {
    dir: tempfile::TempDir,
    closed: Arc<AtomicBool>,
}

impl Sockets {
    pub(crate) fn open() -> Self {
        let (dir, closed) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
        for power in Power::ALL.into_iter().filter(|power| !power.is_harmless()) {
            let listener = UnixListener::bind(dir.path().join(power.unit())).unwrap();
            let closed = Arc::clone(&closed);
            std::thread::spawn(move || {
                for connection in listener.incoming() {
                    if closed.load(Ordering::Relaxed) {
                        return;
                    }
                    serve(power, connection.unwrap());
                }
            });
        }
        Self { dir, closed }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn lock(&self) -> PathBuf {
        self.dir.path().join("lock")
    }

    fn executor(&self) -> Executor {
        self.ask_by(executor(&policy()))
    }

    fn bench(&self) -> Bench {
        Bench::with(Policy::embedded().unwrap(), |executor| self.ask_by(executor))
    }

    fn ask_by(&self, executor: Executor) -> Executor {
        let executor = executor.with_actors(self.path(), &self.lock());
        executor.earlier_are_gone(Duration::from_secs(60)).unwrap();
        executor
    }

    /// As a daemon that somebody took over would speak.
    fn speak(&self, power: Power) -> Speaker {
        let stream = UnixStream::connect(self.path().join(power.unit())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Speaker(BufReader::new(stream))
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        for power in Power::ALL {
            let _ = UnixStream::connect(self.dir.path().join(power.unit()));
        }
    }
}

fn unit(power: Power) -> String {
    let path = format!("{}/../systemd/kernelsight-act-{}@.service", env!("CARGO_MANIFEST_DIR"), power.unit());
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a unit says of this, in lower case and without the `CAP_`.
fn says(unit: &str, key: &str) -> String {
    let said = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    said.to_lowercase().replace("cap_", "")
}

/// A command that begins as an actor does by its unit: its user, its capabilities, its secure bits. What to run is its
/// next argument.
pub(crate) fn as_its_unit_says(power: Power) -> Command {
    let unit = unit(power);
    let user = if says(&unit, "User") == "root" { "0" } else { ACTOR };
    let given = says(&unit, "AmbientCapabilities")
        .split_whitespace()
        .fold("-all".to_owned(), |all, cap| format!("{all},+{cap}"));
    let mut actor = Command::new("setpriv");
    actor.args(["--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"]);
    for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        actor.arg(format!("{set}={given}"));
    }
    if !says(&unit, "SecureBits").is_empty() {
        actor.arg("--securebits=+noroot,+noroot_locked");
    }
    actor
}

/// A program whose path its user may not be let to: whatever is started while this is open inherits it.
pub(crate) fn inherited(program: &Path) -> (File, String) {
    let program = File::open(program).unwrap();
    fcntl(&program, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    (program, path)
}

fn serve(power: Power, connection: UnixStream) {
    let (_program, path) = inherited(Path::new(env!("CARGO_BIN_EXE_kernelsight")));
    let mut actor = as_its_unit_says(power);
    actor.arg(path).args(["actor", power.unit()]);
    let mut actor = actor.stdin(Stdio::from(std::os::fd::OwnedFd::from(connection))).spawn().unwrap();
    std::thread::spawn(move || actor.wait());
}

struct Speaker(BufReader<UnixStream>);

impl Speaker {
    fn say(&mut self, what: &Value) {
        self.0.get_mut().write_all(format!("{what}\n").as_bytes()).unwrap();
    }

    /// Null when the actor has gone.
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        if line.is_empty() { Value::Null } else { serde_json::from_str(&line).unwrap() }
    }

    fn ask(&mut self, what: &Value) -> Value {
        self.say(what);
        self.hear()
    }

    /// Why an actor will not do this.
    fn refusal(mut self, what: &Value) -> String {
        let answer = self.ask(what);
        assert_eq!(answer["answer"], "refused", "{what}: {answer}");
        answer["reason"].as_str().unwrap().to_owned()
    }
}

/// The question of a daemon that says of any rule that allows lines of this kind that it allows this one.
fn ask(line: &str, way: &str, target: Option<&Target>, file: Value) -> Value {
    let words: Vec<&str> = line.split(' ').collect();
    let process = target.map(|target| json!({ "pid": target.pid(), "start_ticks": target.start_ticks() }));
    let rule = match (words[0], words[1], way) {
        ("kill", "--timeout", _) => "kill_after_term",
        ("kill", _, "forward") => "kill_stop",
        ("kill", ..) => "back_signal",
        ("cgset", _, "forward") => "cgroup_freeze",
        ("cgset", ..) => "back_freeze_again",
        ("qdisc", _, "forward") => "qdisc_del",
        ("qdisc", ..) => "back_qdisc",
        ("sysctl", _, _) if line.contains("drop_caches") => "drop_caches",
        ("sysctl", ..) => "swappiness",
        (word, ..) => word,
    };
    json!({
        "ask": "act", "command": words, "way": way, "rule": rule, "process": process, "file": file,
        "timeout_ms": 20_000,
    })
}

#[test]
fn each_actor_can_do_its_work_as_its_unit_lets_it() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    let executor = sockets.executor();
    executor.attest();
    let missing: Vec<String> = executor.actors().into_iter().filter_map(|(_, missing)| missing).collect();
    assert_eq!(missing, [""; 0]);
    let powers = Power::ALL.into_iter().filter(|power| !power.is_harmless());
    assert_eq!(executor.actors().len(), powers.count());
}

#[test]
fn an_action_of_each_power_is_done_by_its_actor_and_taken_back() {
    if !is_root() {
        return;
    }
    let _alone = swappiness_alone();
    let sockets = Sockets::open();
    let bench = sockets.bench();
    let target = Target::idle();
    let pid = target.pid();
    let adj = || fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim_end().to_owned();
    let limits = || fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let lowered = Command::new("prlimit").args(["--nofile=300:600", "--pid", &pid.to_string()]).status().unwrap();
    assert!(lowered.success());
    let (adj_before, swappiness, limits_before) = (adj(), sysctl("vm/swappiness"), limits());
    let cgroup = ["freezer.state", "cgroup.freeze"].iter().find_map(|file| Cgroup::with(&target, file)).unwrap();
    let confined = Target::idle();
    let _where =
        ["memory.limit_in_bytes", "memory.high"].iter().find_map(|file| Cgroup::with(&confined, file)).unwrap();
    let places = || cgroups(confined.pid());
    let _alone = own_cgroups_alone();
    let places_before = places();

    let mut done: Vec<Outcome> = Vec::new();
    let mut act = |name: &str, params: Value| done.push(bench.act(name, params));
    act("lower_process_priority", json!({ "pid": pid, "priority": 5 }));
    assert!(target.nice().iter().all(|nice| *nice == 5));
    act("pause_process", json!({ "pid": pid }));
    target.comes_to_stand();
    act("raise_oom_score_adj", json!({ "pid": pid, "value": 500 }));
    assert_eq!(adj(), "500");
    act("raise_nofile_limit", json!({ "pid": pid, "files": 500 }));
    assert_ne!(limits(), limits_before);
    act("freeze_cgroup", json!({ "cgroup": cgroup.path() }));
    act("reduce_swappiness", json!({ "value": 1 }));
    assert_eq!(sysctl("vm/swappiness"), "1");
    act("confine_process", json!({ "pid": confined.pid(), "memory_mb": 256 }));
    assert_ne!(places(), places_before);
    assert!(bench.act("list_descriptors", json!({ "pid": pid })).output.contains("pipe"));
    assert_eq!(done.len(), 7);

    for outcome in done.iter().rev() {
        assert_eq!(bench.undo(outcome).unwrap().status, OutcomeStatus::Done, "{outcome:?}");
    }
    assert!(target.nice().iter().all(|nice| *nice == 0));
    target.comes_to_run();
    assert_eq!((adj(), sysctl("vm/swappiness"), places()), (adj_before, swappiness, places_before));
    assert_eq!(limits(), limits_before);
}

#[test]
fn the_oom_score_of_another_users_process_is_set_as_that_user() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    let bench = sockets.bench();
    let mut sleeper = Command::new("sleep").arg("60").uid(12_345).gid(12_345).spawn().unwrap();
    let pid = sleeper.id();
    let outcome = bench.act("raise_oom_score_adj", json!({ "pid": pid, "value": 500 }));
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap(), "500\n");
    bench.undo(&outcome).unwrap();
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap(), "0\n");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn an_interface_is_changed_by_its_actor_and_no_other_one() {
    in_a_network_of_its_own(|| {
        let sockets = Sockets::open();
        let bench = sockets.bench();
        tc("qdisc add dev v0 root handle 7: pfifo limit 3").unwrap();
        tc("qdisc add dev v1 root handle 7: pfifo limit 3").unwrap();
        let before = (shown("v0"), shown("v1"));
        let outcome = bench.act("reset_qdisc", json!({ "interface": "v0" }));
        assert!(!shown("v0").contains("pfifo"));
        assert_eq!(shown("v1"), before.1);
        bench.undo(&outcome).unwrap();
        assert_eq!(shown("v0"), before.0);

        ip("tuntap add dev t0 mode tap").unwrap();
        let speed = link("t0");
        let outcome = bench.act("set_link_speed", json!({ "interface": "t0", "mbit": 100 }));
        assert_eq!(link("t0").speed, 100);
        bench.undo(&outcome).unwrap();
        assert_eq!(link("t0"), speed);

        let number = |name: &str| -> u32 {
            let said = Command::new("ip").args(["-oneline", "link", "show", name]).output().unwrap().stdout;
            String::from_utf8(said).unwrap().split(':').next().unwrap().parse().unwrap()
        };
        let refusal = |line: &str, way: &str, interface: &str, index: u32| {
            let setting = json!({ "setting": "qdisc", "interface": interface, "index": index });
            sockets.speak(Power::NetAdmin).refusal(&ask(line, way, None, setting))
        };
        let (del, add) =
            ("qdisc del dev v0 root handle 7: pfifo", "qdisc add dev v0 root handle 7: pfifo options 03000000");
        for (line, way) in [(del, "forward"), (add, "back")] {
            let reason = refusal(line, way, "v1", number("v1"));
            assert!(reason.ends_with("does not write root discipline of v1"), "{reason}");
            let reason = refusal(line, way, "v0", number("v1"));
            assert_eq!(reason, "interface v0 is not the one that was found before");
        }
        // Each way has its own lines.
        for (line, way) in [(del, "back"), (add, "forward")] {
            assert!(refusal(line, way, "v0", number("v0")).contains("Not in allowlist"), "{line}");
        }
        ip("link del v0").unwrap();
        assert_eq!(refusal(del, "forward", "v0", 7), "there is no interface v0");
    });
}

#[test]
fn an_actor_throttles_as_long_as_it_is_told_to() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    let bench = sockets.bench();
    let target = Target::spinning();
    let outcome = bench.act("throttle_cpu", json!({ "pid": target.pid(), "limit": 20 }));
    target.comes_to_stand();
    bench.undo(&outcome).unwrap();
    assert!(is_let_run(&target), "it runs as before");
}

/// Whether nobody stops it any more: a throttle of at least a hundredth of the time would be seen.
fn is_let_run(target: &Target) -> bool {
    target.comes_to_run();
    (0..300).all(|_| {
        std::thread::sleep(Duration::from_millis(2));
        target.state() != 'T'
    })
}

#[test]
fn whoever_asks_an_actor_it_does_only_what_its_own_policy_allows() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    let target = Target::idle();
    let pid = target.pid();
    let refused = |power: Power, line: &str, way: &str, file: Value| {
        let named = line.split(' ').any(|word| word == pid.to_string()).then_some(&target);
        sockets.speak(power).refusal(&ask(line, way, named, file))
    };
    let none = || Value::Null;
    let swappiness = || json!({ "setting": "sysctl", "key": "vm.swappiness" });
    for (power, line, way, file, says) in [
        // Lines.
        (Power::Kill, format!("kill -KILL {pid}"), "forward", none(), "is no command of the executor"),
        (Power::Kill, format!("kill --timeout 1000 KILL --signal TERM {pid}"), "forward", none(), "is not listed"),
        (Power::SysNice, format!("renice -n -20 -p {pid}"), "forward", none(), "`renice -n -20 "),
        (Power::SysctlFile, "sysctl -w kernel.core_pattern=|/x".to_owned(), "forward", none(), "is no command"),
        (Power::ListedFile, "truncate_file /var/log/syslog".to_owned(), "forward", none(), "is not listed"),
        (
            Power::ServiceManager,
            "restart_unit cron.service 00112233445566778899aabbccddeeff".to_owned(),
            "forward",
            none(),
            "is not listed",
        ),
        (Power::SysNice, format!("ionice -c 3 -p {pid}"), "forward", none(), "Not in allowlist"), // No such rule.
        // Targets.
        (Power::Kill, "kill -STOP 1".to_owned(), "forward", none(), "it is init"),
        (Power::Kill, "kill -STOP 2".to_owned(), "forward", none(), "protected"),
        (Power::Kill, format!("kill -STOP {}", std::process::id()), "forward", none(), "it is the agent itself"),
        (Power::Kill, format!("kill -STOP {}", std::process::id()), "back", none(), "it is the agent itself"),
        (Power::CgroupFile, "cgset -r cgroup.freeze=1 /init.scope".to_owned(), "forward", none(), "it is listed as"),
        (Power::CgroupFile, "cgset -r cgroup.freeze=1 /init.scope".to_owned(), "back", none(), "it is listed as"),
        // Powers and files of others.
        (Power::SysNice, format!("kill -STOP {pid}"), "forward", none(), "is not done with this power"),
        (Power::CgroupFile, "sysctl -w vm.swappiness=10".to_owned(), "forward", swappiness(), "not done with this"),
        (Power::SysctlFile, "sysctl -w vm.drop_caches=1".to_owned(), "forward", swappiness(), "does not write vm.swap"),
        (Power::SysNice, format!("renice -n 5 -p {pid}"), "forward", swappiness(), "does not write vm.swappiness"),
    ] {
        let reason = refused(power, &line, way, file);
        assert!(reason.contains(says), "{line}: {reason}");
    }
    let mut recycled = ask(&format!("kill -STOP {pid}"), "forward", Some(&target), none());
    recycled["process"]["start_ticks"] = json!(target.start_ticks() - 1);
    assert!(sockets.speak(Power::Kill).refusal(&recycled).contains("is not the process that was judged"));
    let unnamed = ask(&format!("kill -STOP {pid}"), "forward", None, none());
    assert!(sockets.speak(Power::Kill).refusal(&unnamed).contains("is not the process that was judged"));
    // What is no question at all gets no answer.
    for line in [json!("kill"), json!({ "ask": "run", "command": ["sh"] }), json!({ "ask": "attest", "more": 1 })] {
        assert_eq!(sockets.speak(Power::Kill).ask(&line), Value::Null, "{line}");
    }
    assert!(target.nice().iter().all(|nice| *nice == 0) && target.state() != 'T');
}

#[test]
fn nothing_is_done_for_a_daemon_that_is_gone() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    let target = Target::spinning();
    let pid = target.pid();
    // Before the word.
    let mut speaker = sockets.speak(Power::Kill);
    let stop = ask(&format!("kill -STOP {pid}"), "forward", Some(&target), Value::Null);
    assert_eq!(speaker.ask(&stop), json!({ "answer": "ready" }));
    drop(speaker);
    // While it stands: the process is let go.
    let mut speaker = sockets.speak(Power::Kill);
    let throttle = ask(&format!("cpulimit -p {pid} -l 1"), "forward", Some(&target), Value::Null);
    assert_eq!(speaker.ask(&throttle), json!({ "answer": "ready" }));
    assert_eq!(speaker.ask(&json!("stand")), json!({ "answer": "standing" }));
    target.comes_to_stand();
    drop(speaker);
    // The actor finds out, and the executor stops it for the last time.
    until(|| is_let_run(&target));
}

#[test]
fn an_actor_that_answers_wrongly_is_gone_before_anything_is_put_back() {
    if !is_root() {
        return;
    }
    // One that takes the word, answers nonsense, and is slow to go.
    for nonsense in ["no JSON", r#"{"answer":"ready"}"#] {
        let sockets = Sockets::open();
        let path = sockets.path().join("kill");
        fs::remove_file(&path).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let gone = Arc::new(AtomicBool::new(false));
        let going = Arc::clone(&gone);
        let actor = std::thread::spawn(move || {
            let mut daemon = Speaker(BufReader::new(listener.accept().unwrap().0));
            assert_eq!(daemon.hear()["ask"], "act");
            daemon.say(&json!({ "answer": "ready" }));
            assert_eq!(daemon.hear(), "run");
            writeln!(daemon.0.get_mut(), "{nonsense}").unwrap();
            assert_eq!(daemon.hear(), Value::Null, "the word is taken back");
            std::thread::sleep(Duration::from_millis(300));
            going.store(true, Ordering::Relaxed);
        });
        let (bench, target) = (sockets.bench(), Target::idle());
        let permit = bench.judge("pause_process", json!({ "pid": target.pid() })).unwrap();
        let journal = Gone { store: &bench.store, gone: &gone };
        let error = bench.executor.run(permit, &journal, &Errand::ordered(), NOW_MS).unwrap_err().to_string();
        assert!(error.starts_with("the actor of kill does not answer: "), "{error}");
        actor.join().unwrap();
    }
}

/// Sees that the actor is gone when it hears how the action ended.
#[derive(Debug)]
struct Gone<'a> {
    store: &'a Store,
    gone: &'a AtomicBool,
}

impl Journal for Gone<'_> {
    fn intend(&self, intent: &Intent) -> Result<i64, JournalError> {
        self.store.intend(intent)
    }
    fn advance(&self, id: i64, state: JournalState, note: &str, at_ms: i64) -> Result<(), JournalError> {
        assert!(self.gone.load(Ordering::Relaxed), "it becomes {state} while its actor is there: {note}");
        self.store.advance(id, state, note, at_ms)
    }
    fn get(&self, id: i64) -> Result<Option<JournalRow>, JournalError> {
        self.store.get(id)
    }
    fn latest(&self, count: u32) -> Result<Vec<JournalRow>, JournalError> {
        self.store.latest(count)
    }
    fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
        self.store.unsettled()
    }
}

#[test]
fn a_new_daemon_waits_until_the_actors_of_the_one_before_are_gone() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    let target = Target::spinning();
    let earlier = sockets.bench();
    let outcome = earlier.act("throttle_cpu", json!({ "pid": target.pid(), "limit": 20 }));
    let next = executor(&policy()).with_actors(sockets.path(), &sockets.lock());
    let waited = next.earlier_are_gone(Duration::from_millis(300)).unwrap_err().to_string();
    assert!(waited.contains("actors of an earlier daemon may still be at work"), "{waited}");
    // Nobody is asked for anything by the next one.
    next.attest();
    assert!(
        next.actors().iter().all(|(_, missing)| missing.as_ref().is_some_and(|why| why.contains("cannot be locked")))
    );
    earlier.undo(&outcome).unwrap();
    drop(earlier);
    next.earlier_are_gone(Duration::from_secs(20)).unwrap();
}

#[test]
fn a_daemon_watches_while_an_actor_of_the_one_before_is_at_work_and_acts_when_it_is_gone() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    let state = tempfile::tempdir().unwrap();
    let at_work = File::create(state.path().join("actors.lock")).unwrap();
    at_work.lock().unwrap();
    let daemon = Daemon::start_with(state.path(), "agent", &["--actors".as_ref(), sockets.path().as_ref()]);
    let status = || daemon.ask(&["status"]);
    assert_eq!(status()["holds"][0]["kind"], "unsettled", "{}", status());
    let target = Target::idle();
    let order = || daemon.order("pause_process", json!({ "pid": target.pid() }));
    let refused = order().unwrap_err();
    assert!(refused.contains("actors of an earlier daemon may still be at work"), "{refused}");
    drop(at_work);
    until(|| status()["holds"] == json!([]));
    order().unwrap();
    target.comes_to_stand();
    daemon.ask(&["undo", "--all"]);
    target.comes_to_run();
    daemon.stop();
}

#[test]
fn a_socket_that_is_not_there_is_said_before_anything_is_intended() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    fs::remove_file(sockets.path().join("kill")).unwrap();
    let bench = sockets.bench();
    let target = Target::idle();
    let params = || json!({ "pid": target.pid() });
    let blocked = bench.dry_run("pause_process", params()).blocked_by;
    assert_eq!(blocked.len(), 1);
    let says = "the actor of kill does not answer: No such file or directory (os error 2); see \
                `systemctl status kernelsight-act-kill.socket`";
    assert_eq!((blocked[0].rule.as_str(), blocked[0].reason.as_str()), ("executor", says));
    let permit = bench.judge("pause_process", params()).unwrap();
    let error = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err();
    assert_eq!(error.to_string(), says);
    assert_eq!(bench.open_rows(), 0);
    bench.executor.attest();
    let missing: Vec<_> = bench.executor.actors().into_iter().filter_map(|(power, why)| Some((power, why?))).collect();
    assert_eq!(missing, [(Power::Kill, says.to_owned())]);
}

#[test]
fn an_actor_that_cannot_be_confined_does_nothing() {
    if !is_root() {
        return;
    }
    let target = Target::idle();
    let stop = ask(&format!("kill -STOP {}", target.pid()), "forward", Some(&target), Value::Null);
    let sets = || vec![rule_of(0, libc::SECCOMP_SET_MODE_FILTER.into())];
    // The kernel refuses; or it says that it did it, and did not; or it has no Landlock.
    for (call, rules, error, why) in [
        (libc::SYS_seccomp, sets(), libc::EACCES, "the filter of system calls: "),
        (libc::SYS_seccomp, sets(), 0, "the system call filter is not there"),
        (libc::SYS_landlock_create_ruleset, Vec::new(), libc::ENOSYS, "built without Landlock"),
    ] {
        let sockets = where_a_call_is_answered(call, rules, error, Sockets::open);
        let reason = sockets.speak(Power::Kill).refusal(&stop);
        assert!(reason.starts_with("it could not be confined, so it does nothing: "), "{reason}");
        assert!(reason.contains(why), "{reason}");
    }
    assert_eq!(target.state(), 'S');
}
