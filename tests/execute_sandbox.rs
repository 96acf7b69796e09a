//! The executor, seen from the inside and from the outside: what it has, and what it has not.

use std::{path::Path, time::Duration};

use expect_test::expect;
use kernelsight::execute::{
    Executor, Power,
    sandbox::{Confinement, NoLandlock, Probe, Unconfined},
};

use crate::execute_support::{is_root, policy};

fn executor(timeout: Duration) -> Executor {
    Executor::of(Path::new(env!("CARGO_BIN_EXE_kernelsight")), policy(), timeout).unwrap()
}

/// The fields of its own status that matter, as the kernel shows them inside.
fn status(power: Power) -> String {
    let confined = executor(Duration::from_secs(30)).probe(power, Probe::Status).unwrap();
    assert!(confined.succeeded, "{}", confined.output);
    let shown = [
        "Uid",
        "Gid",
        "Groups",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Open",
        "Environment",
    ];
    confined
        .output
        .lines()
        .filter(|line| shown.iter().any(|name| line.split(':').next() == Some(name)))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect()
}

#[test]
fn an_executor_that_needs_no_power_is_nobody_and_has_none() {
    if !is_root() {
        return;
    }
    for power in [Power::CgroupFile, Power::OwnCgroup, Power::ProcessFile, Power::ReadCgroup] {
        expect_test::expect![[r#"
            Uid: 65534 65534 65534 65534
            Gid: 65534 65534 65534 65534
            Groups:
            CapInh: 0000000000000000
            CapPrm: 0000000000000000
            CapEff: 0000000000000000
            CapBnd: 0000000000000000
            CapAmb: 0000000000000000
            NoNewPrivs: 1
            Seccomp: 2
            Open: [0, 1, 2]
            Environment: 0
        "#]]
        .assert_eq(&status(power));
    }
}

#[test]
fn an_executor_of_priorities_has_exactly_that_capability() {
    if !is_root() {
        return;
    }
    // Bit 23 is CAP_SYS_NICE, bit 5 CAP_KILL.
    for (power, bits) in [(Power::SysNice, 1u64 << 23), (Power::Kill, 1 << 5)] {
        let status = status(power);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}: {bits:016x}\n")), "{power:?}: {status}");
        }
        assert!(status.contains("CapBnd: 0000000000000000\n"), "{status}");
        assert!(status.contains("Uid: 65534 65534 65534 65534\n"), "{status}");
    }
}

#[test]
fn an_executor_of_a_sysctl_is_user_0_without_any_capability() {
    if !is_root() {
        return;
    }
    let status = status(Power::SysctlFile);
    assert!(status.contains("Uid: 0 0 0 0\nGid: 65534 65534 65534 65534\n"), "{status}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{set}: 0000000000000000\n")), "{status}");
    }
}

#[test]
fn an_executor_that_takes_too_long_is_ended() {
    let executor = executor(Duration::from_millis(300));
    let hung = executor.probe(Power::Nothing, Probe::Hang).unwrap();
    assert!(hung.timed_out && !hung.succeeded, "{hung:?}");
}

#[test]
fn an_executor_that_never_stops_talking_is_bounded_and_ended() {
    let executor = executor(Duration::from_millis(300));
    let flood = executor.probe(Power::Nothing, Probe::Flood).unwrap();
    assert!(flood.timed_out && !flood.succeeded);
    assert_eq!(flood.output.len(), 16 << 10);
}

#[test]
fn the_role_obeys_nobody_who_gives_no_order() {
    let called = std::process::Command::new(env!("CARGO_BIN_EXE_kernelsight"))
        .args(["executor", "sync"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!called.status.success());
    assert_eq!(
        String::from_utf8_lossy(&called.stderr),
        "the executor is the agent's own, and nobody else calls it: no order came\n"
    );
    let called = std::process::Command::new(env!("CARGO_BIN_EXE_kernelsight"))
        .args(["executor", "sh", "-c", "id"])
        .output()
        .unwrap();
    assert!(!called.status.success());
    assert_eq!(String::from_utf8_lossy(&called.stderr), "`sh -c id` is no command of the executor\n");
}

fn told(landlock: Result<u32, NoLandlock>, filter: bool) -> String {
    Confinement::of(landlock, filter).told()
}

#[test]
fn each_kernel_is_told_what_it_denies_twice_and_what_once() {
    expect![[r#"
        this kernel was started without Landlock
        this kernel cannot filter system calls (seccomp)
        system call filter, and Landlock ABI 1: opening files; the filter alone denies moving files between directories (from 5.19), truncating files (from 6.2), TCP (from 6.7), signals and abstract sockets out of the sandbox (from 6.12)
        system call filter, and Landlock ABI 4: opening files, moving files between directories, truncating files, TCP; the filter alone denies signals and abstract sockets out of the sandbox (from 6.12)
        system call filter, and Landlock ABI 7: opening files, moving files between directories, truncating files, TCP, signals and abstract sockets out of the sandbox"#]]
    .assert_eq(
        &[
            told(Err(NoLandlock::NotStarted), true),
            told(Ok(7), false),
            told(Ok(1), true),
            told(Ok(4), true),
            told(Ok(99), true),
        ]
        .join("\n"),
    );
}

#[test]
fn no_executor_runs_where_either_is_lacking() {
    let enforced = |landlock, filter| Confinement::of(landlock, filter).enforced();
    assert_eq!(enforced(Err(NoLandlock::NotBuilt), true), Err(Unconfined::Landlock(NoLandlock::NotBuilt)));
    assert_eq!(enforced(Ok(7), false), Err(Unconfined::NoFilter));
    assert_eq!(enforced(Ok(0), true), Err(Unconfined::Landlock(NoLandlock::NotBuilt)));
    assert_eq!((enforced(Ok(1), true), enforced(Ok(99), true)), (Ok(1), Ok(7)));
}
