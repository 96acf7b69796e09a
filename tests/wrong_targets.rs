//! Targets that are never right: whoever keeps the node, whoever is not there, and whoever came to a number after the
//! one that was judged. However often it is tried, nothing is done to them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kernelsight::{
    execute::{Approval, Errand, Judging, Policy},
    live::{Autonomy, Operator},
    observe::ProcessId,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use serde_json::{Value, json};

use crate::{
    execute_support::{Bench, Cgroup, Target, is_root, policy, request},
    store_rows::NOW_MS,
};

/// Of both tests together.
const TRIES: usize = 10_000;
const RECYCLED: usize = 1_000;
/// Recycled before it was judged, which takes longer: start times have a resolution of 10 ms.
const RECYCLED_BEFORE: usize = 100;
/// Numbers of the processes that the test runs in, for the one inside that must not find them.
const OUTSIDE: &str = "KERNELSIGHT_TEST_OUTSIDE";
/// The number that is used again and again, in a namespace of the test's own.
const REUSED: u32 = 20_000;

/// What can be done to a process.
fn actions(pid: u32) -> [(&'static str, Value); 7] {
    [
        ("lower_process_priority", json!({ "pid": pid, "priority": 19 })),
        ("lower_io_priority", json!({ "pid": pid, "io_class": 3 })),
        ("set_cpu_affinity", json!({ "pid": pid, "cpus": "0" })),
        ("pause_process", json!({ "pid": pid })),
        ("throttle_cpu", json!({ "pid": pid, "limit": 1 })),
        ("terminate_process", json!({ "pid": pid })),
        ("resume_process", json!({ "pid": pid })),
    ]
}

fn lines(pid: u32) -> [String; 6] {
    [
        format!("renice -n 19 -p {pid}"),
        format!("ionice -c 3 -p {pid}"),
        format!("taskset -a -c 0 -p {pid}"),
        format!("cpulimit -p {pid} -l 1"),
        format!("kill -STOP {pid}"),
        format!("kill -TERM {pid}"),
    ]
}

/// Every wrong target of this machine, with the rule that protects it.
fn wrong_pids() -> Vec<(u32, &'static str)> {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let field = |stat: &str, number: usize| -> Option<u64> {
        stat.rsplit_once(") ")?.1.split(' ').nth(number - 3)?.parse().ok()
    };
    let mut wrong = vec![(1, "protected.init"), (std::process::id(), "protected.agent")];
    for entry in fs::read_dir("/proc").unwrap() {
        let Some(pid) = entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if stat(pid).and_then(|stat| field(&stat, 9)).is_some_and(|flags| flags & 0x0020_0000 != 0) {
            wrong.push((pid, "protected.kernel_thread"));
        }
    }
    let mut above = std::os::unix::process::parent_id();
    while above > 1 {
        wrong.push((above, "protected.supervisor"));
        above = stat(above).and_then(|stat| field(&stat, 4)).unwrap_or(0) as u32;
    }
    wrong
}

fn rule_of(policy: &Policy, name: &str, params: Value) -> Result<String, String> {
    let asked = request(name, params);
    let operator = Operator { uid: 0, pid: 7, name: "ada".to_owned() };
    let approval = Some(Approval::of(&asked, &operator, NOW_MS));
    let judging = Judging { approval, ..Judging::new("rules", Autonomy::Agent, NOW_MS) };
    match policy.judge(&asked, judging) {
        Ok(permit) => Err(permit.command().to_owned()),
        Err(denied) => Ok(denied.denial().rule),
    }
}

#[test]
fn nine_thousand_tries_at_whoever_is_protected_have_no_success() {
    if !is_root() {
        return;
    }
    let policy = policy();
    let named: Vec<(Target, &str)> = ["sshd", "systemd-journal", "containerd-shim", "etcd"]
        .map(|name| (Target::named(name), "protected.comm"))
        .into();
    let in_unit = Target::idle();
    let cgroup = Cgroup::with(&in_unit, "cgroup.freeze").or_else(|| Cgroup::with(&in_unit, "freezer.state")).unwrap();
    let unit = cgroup.below_as("ssh.service", &in_unit);
    let other = Target::idle();
    let mut wrong = wrong_pids();
    assert!(wrong.iter().filter(|(_, rule)| *rule == "protected.kernel_thread").count() > 10);
    wrong.extend(named.iter().map(|(target, rule)| (target.pid(), *rule)));
    wrong.push((in_unit.pid(), "protected.unit"));
    wrong.push((other.tids()[1], "target.process"));
    wrong.push((4_194_304, "target.process"));
    let mut tries = 0;
    while tries < TRIES - RECYCLED {
        for (pid, rule) in &wrong {
            let (name, params) = actions(*pid)[tries % 7].clone();
            match rule_of(&policy, name, params) {
                Ok(found) if found == *rule => {}
                // A kernel thread may have ended meanwhile.
                Ok(found) if *rule == "protected.kernel_thread" && found == "target.process" => {}
                said => panic!("{name} of {pid}, {rule}: {said:?}"),
            }
            if rule.starts_with("protected.") {
                let line = &lines(*pid)[tries % 6];
                let verdict = policy.check_command(line);
                let gone = *rule == "protected.kernel_thread" && fs::metadata(format!("/proc/{pid}")).is_err();
                assert!(!verdict.allowed || gone, "{line}: {verdict:?}");
            }
            tries += 1;
        }
        for (name, params) in [
            ("freeze_cgroup", json!({ "cgroup": unit.path() })),
            ("freeze_cgroup", json!({ "cgroup": cgroup.path() })),
            ("limit_cgroup_memory", json!({ "cgroup": unit.path(), "bytes": 1 << 30 })),
            ("limit_cgroup_cpu", json!({ "cgroup": cgroup.path(), "percent": 1 })),
        ] {
            assert_eq!(rule_of(&policy, name, params), Ok("protected.unit".to_owned()), "{name}");
            tries += 1;
        }
    }
    for target in named.iter().map(|(target, _)| target).chain([&in_unit, &other]) {
        assert_eq!((target.state(), target.nice().iter().all(|nice| *nice == 0)), ('S', true));
    }
}

#[test]
fn a_thousand_recycled_pids_and_those_of_another_namespace_have_no_success() {
    if !is_root() {
        return;
    }
    let outside = Target::idle();
    let numbers = format!("{} {}", outside.pid(), std::process::id());
    // Asked for before: from inside, its path is that of the mounts outside, which a changed root does not have.
    let this = std::env::current_exe().unwrap();
    // A thread of its own enters the namespace's maker's role; the processes that it makes are inside.
    let said = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS).unwrap();
            Command::new(this)
                .args(["--ignored", "--exact", "--nocapture", "--test-threads=1", "wrong_targets::inside"])
                .env(OUTSIDE, &numbers)
                .output()
                .unwrap()
        });
        inside.join().unwrap()
    });
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("\ninside: no success\n") || text.contains("\nskipped: "), "{text}");
    if let Some(skip) = text.lines().find(|line| line.starts_with("skipped: ")) {
        eprintln!("{skip}");
    }
    assert_eq!(outside.state(), 'S');
    assert!(outside.nice().iter().all(|nice| *nice == 0));
}

/// Not a test: what is tried inside, where this process is the first one.
#[test]
#[ignore = "started by the tests in a pid namespace of its own"]
fn inside() {
    let outside = std::env::var(OUTSIDE).expect("started inside");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).unwrap();
    assert_eq!(std::process::id(), 1);
    let bench = Bench::new();
    for pid in outside.split(' ').map(|pid| pid.parse::<u32>().unwrap()) {
        for (name, params) in actions(pid) {
            assert_eq!(rule_of(&bench.policy, name, params), Ok("target.process".to_owned()), "{name} of {pid}");
        }
    }
    if fs::metadata("/proc/sys/kernel/ns_last_pid").is_err() {
        println!("\nskipped: this kernel lets nobody choose a pid (CONFIG_CHECKPOINT_RESTORE)");
        return;
    }
    for turn in 0..RECYCLED - RECYCLED_BEFORE {
        between_decision_and_effect(&bench, turn);
    }
    for turn in 0..RECYCLED_BEFORE {
        before_the_judgement(&bench.policy, turn);
    }
    println!("\ninside: no success");
}

/// Judged about one, run when another has the number.
fn between_decision_and_effect(bench: &Bench, turn: usize) {
    let judged = Sleeper::with(REUSED);
    // The last of the actions is for those who are stopped.
    let (name, params) = actions(REUSED)[turn % 6].clone();
    let permit = bench.judge(name, params).unwrap();
    judged.end();
    let heir = Sleeper::with(REUSED);
    let error = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err().to_string();
    assert!(error.ends_with("changed after it was judged: it has ended"), "{name}: {error}");
    heir.is_untouched(name);
    heir.end();
}

/// Decided about one, judged when another has the number.
fn before_the_judgement(policy: &Policy, turn: usize) {
    let decided = Sleeper::with(REUSED);
    let expected = [ProcessId { pid: REUSED, start_ticks: decided.stat(22) }];
    std::thread::sleep(Duration::from_millis(20));
    decided.end();
    let heir = Sleeper::with(REUSED);
    assert_ne!(heir.stat(22), expected[0].start_ticks);
    let (name, params) = actions(REUSED)[turn % 6].clone();
    let judging = Judging { expected: Some(&expected), ..Judging::new("rules", Autonomy::Agent, NOW_MS) };
    let denied = policy.judge(&request(name, params), judging).map(|permit| permit.command().to_owned()).unwrap_err();
    assert_eq!(denied.denial().rule, "target.identity", "{name}");
    heir.is_untouched(name);
    heir.end();
}

/// A process that does nothing, under a number that was chosen.
struct Sleeper(Child);

impl Sleeper {
    fn with(pid: u32) -> Self {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(child.id(), pid);
        // Once it answers, it is what it will be.
        use std::io::Write as _;
        child.stdin.as_mut().unwrap().write_all(b"up\n").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        Self(child)
    }

    /// Field of its stat, as proc(5) counts them.
    fn stat(&self, number: usize) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(number - 3).unwrap().parse().unwrap()
    }

    fn is_untouched(&self, action: &str) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        assert!(status.contains("State:\tS") || status.contains("State:\tR"), "{action}: {status}");
        assert_eq!(self.stat(19), 0, "{action}");
        let all = std::thread::available_parallelism().unwrap().get();
        let cpus = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap();
        assert!(all == 1 || cpus != "0", "{action}: {cpus}");
    }

    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
