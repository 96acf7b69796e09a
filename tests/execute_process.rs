//! What a process has one of: its policy, its place when memory ends, the files that it may open.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use kernelsight::execute::{JournalState, OutcomeStatus};
use serde_json::json;

use crate::execute_support::{Bench, Target, is_root, policy_listing, until};

#[test]
fn only_what_is_listed_is_killed_and_only_when_it_does_not_end_by_itself() {
    if !is_root() {
        return;
    }
    let target = Target::idle();
    let denied = Bench::new().judge("kill_process", json!({ "pid": target.pid() })).unwrap_err().denial();
    assert_eq!(denied.rule, "listed.kill");
    assert!(
        denied
            .reason
            .ends_with(" is not listed under [kill] in listed.toml, and only what an operator lists there is killed")
    );

    let bench = Bench::of(policy_listing("[kill]\ncomm = [\"sleep\", \"all-*\"]").unwrap());
    let outcome = bench.act("kill_process", json!({ "pid": target.pid(), "wait_s": 20 }));
    assert!(outcome.output.ends_with(" ended when it was asked to\n"), "{}", outcome.output);
    assert!(outcome.duration_ms < 20_000, "it is not waited for longer than it lives");

    let mut deaf = Command::new("sh").args(["-c", "trap '' TERM; exec sleep 60"]).spawn().unwrap();
    until(|| fs::read_to_string(format!("/proc/{}/comm", deaf.id())).unwrap() == "sleep\n");
    let outcome = bench.act("kill_process", json!({ "pid": deaf.id(), "wait_s": 1 }));
    assert!(outcome.output.ends_with(" lived 1 s after it was asked to end, and was killed\n"), "{}", outcome.output);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&deaf.wait().unwrap()), Some(9));
    assert!(bench.undo(&outcome).unwrap_err().to_string().starts_with("it cannot be taken back: "));
}

#[test]
fn threads_that_run_before_all_others_are_demoted_and_get_back_what_each_had() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let denied = bench.judge("demote_realtime", json!({ "pid": target.pid() })).unwrap_err();
    assert_eq!(denied.to_string(), "already there or milder: scheduling is other, and other was asked for");
    let tids = target.tids();
    chrt(&["-f", "-p", "10"], tids[0]);
    chrt(&["-r", "-R", "-p", "5"], tids[1]);
    chrt(&["-b", "-p", "0"], tids[2]);
    let before = scheduling(&target);
    assert_eq!(before[..3], ["1 10", "2 5", "3 0"]);
    let outcome = bench.act("demote_realtime", json!({ "pid": target.pid() }));
    assert_eq!(outcome.command, format!("chrt -o 0 -t {},{} -p {}", tids[0], tids[1], target.pid()));
    assert_eq!(outcome.change, "scheduling fifo:10 (1 differ) -> other of 2 threads");
    assert_eq!(scheduling(&target)[..3], ["0 0", "0 0", "3 0"]);
    bench.undo(&outcome).unwrap();
    assert_eq!(scheduling(&target), before);
    assert!(chrt(&["-p"], tids[1]).contains("SCHED_RESET_ON_FORK"), "its children are no more real-time than before");
}

#[test]
fn a_process_is_ended_sooner_or_later_than_others_and_as_before_again() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    let pid = target.pid();
    let adj = || fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim_end().to_owned();
    let before = adj();
    let raised = bench.act("raise_oom_score_adj", json!({ "pid": pid, "value": 500 }));
    assert_eq!((adj().as_str(), raised.command.as_str()), ("500", format!("choom -n 500 -p {pid}").as_str()));
    let lowered = bench.act("lower_oom_score_adj", json!({ "pid": pid, "value": 100 }));
    assert_eq!(adj(), "100");
    for (name, value, says) in [
        ("raise_oom_score_adj", 100, "it would not raise: "),
        ("lower_oom_score_adj", 100, "it would not lower: "),
        ("lower_oom_score_adj", -1, "oom_score_adj of process "),
    ] {
        let denied = bench.judge(name, json!({ "pid": pid, "value": value })).unwrap_err().to_string();
        assert!(denied.starts_with(says), "{name} {value}: {denied}");
    }
    bench.undo(&lowered).unwrap();
    assert_eq!(adj(), "500");
    bench.undo(&raised).unwrap();
    assert_eq!(adj(), before);
}

#[test]
fn an_oom_score_that_somebody_else_moved_is_left_alone_and_that_of_the_dead_is_void() {
    if !is_root() {
        return;
    }
    let (bench, mut target) = (Bench::new(), Target::idle());
    let pid = target.pid();
    let outcome = bench.act("raise_oom_score_adj", json!({ "pid": pid, "value": 500 }));
    fs::write(format!("/proc/{pid}/oom_score_adj"), "700").unwrap();
    assert_eq!(bench.undo(&outcome).unwrap().status, OutcomeStatus::LeftAlone);
    let outcome = bench.act("raise_oom_score_adj", json!({ "pid": pid, "value": 800 }));
    target.end();
    bench.undo(&outcome).unwrap();
    assert_eq!(bench.row(&outcome).state, JournalState::Void);
}

#[test]
fn a_process_may_open_more_files_up_to_its_hard_limit_and_then_as_many_as_before() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    // The executor has the user of each: the agent's own, and another's.
    for user in ["0", "12345"] {
        let sleeper = Sleeper::of(user);
        let pid = sleeper.0.id();
        let before = open_files(pid);
        assert_eq!(before, ["300", "600"]);
        for (files, says) in [(300, "it would not raise: "), (601, "the hard limit of process ")] {
            let denied =
                bench.judge("raise_nofile_limit", json!({ "pid": pid, "files": files })).unwrap_err().to_string();
            assert!(denied.starts_with(says), "{files}: {denied}");
        }
        let outcome = bench.act("raise_nofile_limit", json!({ "pid": pid, "files": 500 }));
        assert_eq!(outcome.command, format!("prlimit --nofile=500:600 --pid {pid}"));
        assert_eq!(open_files(pid), ["500", "600"]);
        bench.undo(&outcome).unwrap();
        assert_eq!(open_files(pid), before);
    }
}

#[test]
fn the_descriptors_of_a_process_are_counted_by_kind() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    // The agent's own user has all its capabilities, another's process has none.
    let (target, sleeper) = (Target::idle(), Sleeper::of("12345"));
    for (pid, kind) in [(target.pid(), "pipe"), (sleeper.0.id(), "device")] {
        let outcome = bench.act("list_descriptors", json!({ "pid": pid }));
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let rows = outcome.output.lines().skip(1).map(|line| line.split_ascii_whitespace().next());
        let told: usize = rows.map(|count| count.map_or(0, |count| count.parse().unwrap_or(0))).sum();
        assert!(told == open && outcome.output.contains(kind), "{open}: {}", outcome.output);
        assert_eq!(outcome.action_id, None);
    }
}

/// Sleeps as this user and group, and may open 300 files, 600 at most.
struct Sleeper(Child);

impl Sleeper {
    fn of(user: &str) -> Self {
        let (user, group) = (format!("--reuid={user}"), format!("--regid={user}"));
        let mut sleeper = Command::new("setpriv");
        sleeper.args([&user, &group, "--clear-groups", "prlimit", "--nofile=300:600", "sleep", "60"]);
        let sleeper = Self(sleeper.stdin(Stdio::null()).spawn().unwrap());
        let comm = || fs::read_to_string(format!("/proc/{}/comm", sleeper.0.id())).unwrap();
        crate::execute_support::until(|| comm() == "sleep\n");
        sleeper
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Soft and hard limit, as the kernel says.
fn open_files(pid: u32) -> [String; 2] {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let words: Vec<String> = line.split_ascii_whitespace().take(2).map(str::to_owned).collect();
    words.try_into().unwrap()
}

fn chrt(args: &[&str], tid: u32) -> String {
    let said = Command::new("chrt").args(args).arg(tid.to_string()).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

/// Policy and real-time priority of each thread, as the kernel says.
fn scheduling(target: &Target) -> Vec<String> {
    let of = |tid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{}/task/{tid}/stat", target.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        format!("{} {}", fields[38], fields[37])
    };
    target.tids().iter().map(of).collect()
}
