//! The executor's door: it is shut all the way, by each ABI of Landlock, or nothing is done.

use std::collections::BTreeMap;

use kernelsight::execute::{
    Errand, Executor, Power,
    sandbox::{Confinement, Probe},
};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, apply_filter};
use serde_json::json;

use crate::{
    execute_support::{Bench, Target, executor, is_root, policy},
    store_rows::NOW_MS,
};

/// What is said on a kernel that answers one system call with this error, or with success and without doing it.
pub(crate) fn where_a_call_is_answered<T: Send>(
    number: i64,
    rules: Vec<SeccompRule>,
    error: i32,
    said: impl FnOnce() -> T + Send,
) -> T {
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let answer = SeccompAction::Errno(error.cast_unsigned());
    let filter = SeccompFilter::new(BTreeMap::from([(number, rules)]), SeccompAction::Allow, answer, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    // A filter is a thread's, and is handed down to whom the thread makes.
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            apply_filter(&filter).unwrap();
            said()
        });
        thread.join().unwrap()
    })
}

fn status(executor: &Executor, power: Power) -> Result<(), String> {
    match executor.probe(power, Probe::Status) {
        Ok(confined) if confined.succeeded => Ok(()),
        Ok(confined) => Err(confined.output.trim_end().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_kernel_without_landlock_is_said_and_every_action_refused() {
    if !is_root() {
        return;
    }
    let hog = Target::idle();
    let create = libc::SYS_landlock_create_ruleset;
    for (error, why) in [
        (libc::ENOSYS, "this kernel was built without Landlock, or is older than 5.13"),
        (libc::EOPNOTSUPP, "this kernel was started without Landlock"),
        (libc::EPERM, "the agent may not use Landlock: a filter of system calls denies it"),
    ] {
        let (told, refused, looked, journal) = where_a_call_is_answered(create, Vec::new(), error, || {
            let bench = Bench::new();
            let run = |name, params| {
                let permit = bench.judge(name, params).unwrap();
                bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err().to_string()
            };
            let refused = run("lower_process_priority", json!({ "pid": hog.pid(), "priority": 10 }));
            let looked = run("list_top_memory", json!({}));
            (Confinement::of_this_kernel().told(), refused, looked, bench.open_rows())
        });
        assert_eq!(told, why);
        for said in [refused, looked] {
            assert_eq!(said, format!("no executor can be confined here, so nothing is done: {why}"));
        }
        assert_eq!(journal, 0, "nothing is left to take back");
    }
    assert!(hog.nice().iter().all(|nice| *nice == 0));
}

#[test]
fn a_kernel_that_cannot_filter_calls_is_said_and_every_action_refused() {
    if !is_root() {
        return;
    }
    let asks = rule_of(0, libc::SECCOMP_GET_ACTION_AVAIL.into());
    let said = where_a_call_is_answered(libc::SYS_seccomp, vec![asks], libc::EOPNOTSUPP, || {
        status(&executor(&policy()), Power::Nothing)
    });
    let why = "this kernel cannot filter system calls (seccomp)";
    assert_eq!(said, Err(format!("no executor can be confined here, so nothing is done: {why}")));
}

/// The kernel says that it did it, and did not: what is found afterwards counts.
#[test]
fn an_executor_whose_door_did_not_shut_does_nothing() {
    if !is_root() {
        return;
    }
    // Asked for before the call stops to work, as at the start of a daemon.
    let executor = executor(&policy());
    let lied = |number, rules, power| where_a_call_is_answered(number, rules, 0, || status(&executor, power));
    let refused = |reason: &str| Err(reason.to_owned());
    assert_eq!(
        lied(libc::SYS_landlock_restrict_self, Vec::new(), Power::Nothing),
        refused("Landlock says that it is enforced, and a directory could be opened")
    );
    let filters = rule_of(0, libc::SECCOMP_SET_MODE_FILTER.into());
    assert_eq!(
        lied(libc::SYS_seccomp, vec![filters], Power::Nothing),
        refused("the executor is not confined: the system call filter is not there")
    );
    let no_processes = rule_of(1, libc::RLIMIT_NPROC.into());
    let said = lied(libc::SYS_prlimit64, vec![no_processes], Power::Nothing).unwrap_err();
    assert!(said.starts_with("the executor is not confined: Max processes is "), "{said}");
    let said = lied(libc::SYS_setgroups, Vec::new(), Power::Nothing);
    assert!(said.is_ok() || said.unwrap_err().contains("Groups is `"), "who had no groups has none");
    let said = lied(libc::SYS_setresuid, Vec::new(), Power::Nothing).unwrap_err();
    assert_eq!(said, "the executor is not confined: Uid is `0 0 0 0`, not `65534 65534 65534 65534`");
    let said = lied(libc::SYS_setresgid, Vec::new(), Power::SysctlFile).unwrap_err();
    assert_eq!(said, "the executor is not confined: Gid is `0 0 0 0`, not `65534 65534 65534 65534`");
    // Here the daemon's side sees it first.
    let bounding = rule_of(0, libc::PR_CAPBSET_DROP.cast_unsigned().into());
    assert!(lied(libc::SYS_prctl, vec![bounding], Power::SysNice).is_err());
    let said = lied(libc::SYS_capset, Vec::new(), Power::Kill);
    assert!(said.as_ref().is_err_and(|said| said.contains("CapInh is `") || said.contains("permitted")), "{said:?}");
}

#[test]
fn an_executor_that_finds_less_than_the_daemon_found_does_nothing() {
    if !is_root() {
        return;
    }
    let executor = executor(&policy());
    let said = where_a_call_is_answered(libc::SYS_landlock_create_ruleset, Vec::new(), libc::ENOSYS, || {
        status(&executor, Power::ReadProc)
    });
    assert!(said.as_ref().is_err_and(|said| said.starts_with("Landlock could not be set: ")), "{said:?}");
    assert_eq!(status(&executor, Power::ReadProc), Ok(()));
}

#[test]
fn a_daemon_under_a_filter_of_its_own_confines_its_executors_all_the_same() {
    if !is_root() {
        return;
    }
    // A unit with SystemCallFilter=, for one.
    let said = where_a_call_is_answered(libc::SYS_swapoff, Vec::new(), libc::EPERM, || {
        let executor = executor(&policy());
        [Power::Nothing, Power::SysNice, Power::Kill, Power::CgroupFile, Power::SysctlFile, Power::ReadProc]
            .map(|power| status(&executor, power))
    });
    assert!(said.iter().all(Result::is_ok), "{said:?}");
}

#[test]
fn every_abi_of_landlock_up_to_this_kernels_is_fully_enforced() {
    if !is_root() {
        return;
    }
    let executor = executor(&policy());
    let newest = Confinement::of_this_kernel().enforced().unwrap();
    for abi in 1..=newest {
        for power in [Power::Nothing, Power::Kill, Power::ReadProc] {
            let confined = executor.probe(power, Probe::Under { abi }).unwrap();
            assert!(confined.succeeded, "{power:?} by ABI {abi}: {confined:?}");
        }
    }
    let beyond = executor.probe(Power::Nothing, Probe::Under { abi: 0 }).unwrap();
    assert!(!beyond.succeeded && beyond.output.starts_with("Landlock could not be set: "), "{beyond:?}");
}

/// The argument, an int, is this.
pub(crate) fn rule_of(argument: u8, value: u64) -> SeccompRule {
    let is = seccompiler::SeccompCmpOp::Eq;
    let condition =
        seccompiler::SeccompCondition::new(argument, seccompiler::SeccompCmpArgLen::Dword, is, value).unwrap();
    SeccompRule::new(vec![condition]).unwrap()
}
