//! Queueing disciplines: what somebody set on an interface is taken away and put back byte for byte, and what could not be
//! is left. All of it in network namespaces of the tests' own.

use std::process::Command;

use kernelsight::execute::{
    Errand, JournalState, OutcomeStatus,
    qdisc::{Qdisc, QdiscKind},
};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use crate::{
    execute_support::{Bench, is_root},
    journal_disk::run,
    store_rows::NOW_MS,
};

/// Runs in a network namespace of its own, with a pair of interfaces `v0` and `v1` that are up. Nothing is run, which is
/// said aloud, where that cannot be had.
pub(crate) fn in_a_network_of_its_own(test: impl FnOnce() + Send) {
    if !is_root() {
        return;
    }
    // A thread's own: what it starts is in it, too, and the thread ends with the test.
    let run = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        if let Err(why) = pair() {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
            eprintln!("skipped: no interfaces of its own could be made: {why}");
            return;
        }
        test();
    };
    std::thread::scope(|scope| {
        if let Err(panic) = scope.spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn pair() -> Result<(), String> {
    // Two queues, whatever the machine has of CPUs.
    ip("link add v0 numtxqueues 2 numrxqueues 2 type veth peer name v1")?;
    ip("link set v1 up")?;
    ip("link set v0 up")
}

pub(crate) fn ip(line: &str) -> Result<(), String> {
    run("ip", &line.split(' ').collect::<Vec<_>>())
}

pub(crate) fn tc(line: &str) -> Result<(), String> {
    run("tc", &line.split(' ').collect::<Vec<_>>())
}

/// What `tc` says of an interface, which is none of the agent's code.
pub(crate) fn shown(interface: &str) -> String {
    let output = Command::new("tc").args(["-details", "qdisc", "show", "dev", interface]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Sets a root discipline; false, said aloud, where this kernel has none of that kind.
fn set(what: &str) -> bool {
    match tc(&format!("qdisc replace dev v0 root {what}")) {
        Ok(()) => true,
        Err(why) if why.contains("Specified qdisc kind is unknown") => {
            eprintln!("skipped: this kernel has no {what}");
            false
        }
        Err(why) => panic!("{what}: {why}"),
    }
}

fn why(bench: &Bench, interface: &str) -> String {
    bench.judge("reset_qdisc", json!({ "interface": interface })).unwrap_err().to_string()
}

#[test]
fn each_kind_that_is_taken_away_comes_back_as_it_was() {
    const SET: [&str; 16] = [
        "pfifo limit 77",
        "handle 5: pfifo",
        "handle fffe: bfifo limit 7777",
        "pfifo_head_drop limit 9",
        "tbf rate 1mbit burst 1600 latency 50ms",
        "tbf rate 733kbit burst 1541 limit 100000 peakrate 2mbit mtu 1540",
        "tbf rate 1mbit burst 3000 latency 50ms overhead 14 linklayer atm mpu 64",
        "tbf rate 50gbit burst 16000 limit 100000",
        "netem delay 10ms",
        "netem delay 5s loss 1% 25% duplicate 2%",
        "netem loss gemodel 1% 10%",
        "netem loss state 1%",
        "netem rate 1mbit limit 50 corrupt 1% reorder 5% delay 1ms",
        "netem loss 0.3% ecn",
        "fq",
        "fq limit 100 flow_limit 5 maxrate 1mbit",
    ];
    for kind in QdiscKind::ALL {
        assert!(SET.iter().any(|set| set.split(' ').any(|word| word == kind.name())), "no {kind:?} is tried");
    }
    in_a_network_of_its_own(|| {
        let bench = Bench::new();
        let default = shown("v0");
        let mut came_back = 0;
        for what in SET.into_iter().filter(|what| set(what)) {
            let before = shown("v0");
            assert_ne!(before, default, "{what}");
            let outcome = bench.act("reset_qdisc", json!({ "interface": "v0" }));
            assert_eq!(shown("v0"), default, "{what}: {outcome:?}");
            assert_eq!(bench.undo(&outcome).unwrap().status, OutcomeStatus::Done);
            assert_eq!(shown("v0"), before, "{what}");
            // The undo compared every byte that the kernel dumps, or it would have failed.
            let row = bench.row(&outcome);
            assert_eq!(row.state, JournalState::Undone, "{what}: {row:?}");
            came_back += 1;
        }
        assert!(came_back >= 4, "no kernel is without FIFOs");
    });
}

#[test]
fn what_could_not_be_put_back_exactly_stays() {
    in_a_network_of_its_own(|| {
        let bench = Bench::new();
        let refused = |what: &str, says: &str| {
            if set(what) {
                let before = shown("v0");
                let why = why(&bench, "v0");
                assert!(why.contains("could not be put back exactly, so it stays: ") && why.contains(says), "{why}");
                assert_eq!(shown("v0"), before);
                tc("qdisc del dev v0 root").unwrap();
            }
        };
        refused("htb default 1", "the kernel does not take a htb as it shows it");
        refused("fq_codel", "the kernel does not take a fq_codel as it shows it");
        refused("sfq", "the kernel does not take a sfq as it shows it");
        refused("mq", "it has another discipline below it");
        refused("stab overhead 14 linklayer ethernet pfifo limit 4", "a size table");
        refused("estimator 1s 8s pfifo limit 4", "a rate estimator");
        refused("netem delay 10ms 2ms", "its delay varies");
        refused("netem slot 10us 20us", "its delay varies");
        // Put back, it would let 1513 bytes through, and no whole frame any more.
        refused("tbf rate 733kbit burst 1514 latency 50ms", "its burst is about 1513 bytes, a frame 1518");
        refused("tbf rate 733kbit burst 1600 limit 9999 peakrate 2mbit mtu 1514", "its burst is about 15");
        assert!(set("handle 5: tbf rate 1mbit burst 1600 latency 50ms"));
        tc("qdisc add dev v0 parent 5:1 handle 6: pfifo limit 3").unwrap();
        assert!(why(&bench, "v0").ends_with("it has another discipline below it"));

        assert_eq!(
            why(&bench, "v1"),
            "already there or milder: root discipline of v1 is the kernel's default, and that one was asked for"
        );
        assert_eq!(why(&bench, "v2"), "there is no interface v2");
        // An interface has one name here.
        ip("link property add dev v0 altname other").unwrap();
        assert_eq!(why(&bench, "other"), "there is no interface other");
        for named in ["", "-v0", ".v0", "v0 v1", "v0/1", "еth0", "v0\n", "0123456789abcdef", "v0:1", "*"] {
            assert!(why(&bench, named).contains("is no interface that may be named"), "{named}");
        }
        assert_eq!(bench.open_rows(), 0);
    });
}

#[test]
fn another_interface_of_that_name_is_not_touched() {
    in_a_network_of_its_own(|| {
        let bench = Bench::new();
        let another = || {
            ip("link del v0").unwrap();
            pair().unwrap();
            tc("qdisc add dev v0 root handle 8001: pfifo limit 3").unwrap();
        };
        another();
        let permit = bench.judge("reset_qdisc", json!({ "interface": "v0" })).unwrap();
        another();
        let before = shown("v0");
        let refused = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err().to_string();
        assert_eq!(refused, "interface v0 is not the one that was found before");
        assert_eq!(shown("v0"), before);

        let outcome = bench.act("reset_qdisc", json!({ "interface": "v0" }));
        ip("link del v0").unwrap();
        pair().unwrap();
        let default = shown("v0");
        bench.undo(&outcome).unwrap();
        assert_eq!(shown("v0"), default);
        let row = bench.row(&outcome);
        assert_eq!((row.state, row.note.as_str()), (JournalState::Void, "root discipline of v0 is gone"));

        // And none that was renamed.
        another();
        let outcome = bench.act("reset_qdisc", json!({ "interface": "v0" }));
        ip("link set v0 down").unwrap();
        ip("link set v0 name v9").unwrap();
        bench.undo(&outcome).unwrap();
        assert_eq!(bench.row(&outcome).note, "root discipline of v0 is gone");
    });
}

#[test]
fn what_somebody_else_set_meanwhile_is_left_alone() {
    in_a_network_of_its_own(|| {
        let bench = Bench::new();
        assert!(set("handle 7: pfifo limit 3"));
        let permit = bench.judge("reset_qdisc", json!({ "interface": "v0" })).unwrap();
        tc("qdisc change dev v0 root handle 7: pfifo limit 4").unwrap();
        let refused = bench.executor.run(permit, &bench.store, &Errand::ordered(), NOW_MS).unwrap_err().to_string();
        assert_eq!(
            refused,
            "interface v0 changed after it was judged: root discipline of v0 was 7: pfifo 03000000 and is 7: pfifo \
             04000000"
        );
        let outcome = bench.act("reset_qdisc", json!({ "interface": "v0" }));
        assert!(set("bfifo limit 9000"));
        let before = shown("v0");
        assert_eq!(bench.undo(&outcome).unwrap().status, OutcomeStatus::LeftAlone);
        assert_eq!(shown("v0"), before);
    });
}

#[test]
fn a_dry_run_tells_of_an_interface_what_would_be_done() {
    in_a_network_of_its_own(|| {
        let bench = Bench::new();
        assert!(set("handle 7: pfifo limit 3"));
        let before = shown("v0");
        let run = bench.dry_run("reset_qdisc", json!({ "interface": "v0" }));
        assert_eq!(run.blocked_by, []);
        let plan = run.plan.unwrap();
        assert_eq!(plan.command, "qdisc del dev v0 root handle 7: pfifo");
        assert_eq!(plan.rule, "qdisc_del");
        assert_eq!((plan.target.as_str(), plan.through.as_str()), ("interface v0", "rtnetlink(RTM_DELQDISC)"));
        assert_eq!(plan.change, "root discipline of v0 pfifo 7: -> the kernel's default");
        assert_eq!(plan.undo, "root discipline of v0 the kernel's default -> 7: pfifo 03000000");
        assert!(plan.company.whole_node);
        assert_eq!(shown("v0"), before);
    });
}

#[test]
fn a_discipline_that_is_printed_is_read_again_and_nothing_else() {
    for text in ["8001: pfifo e8030000", "1: tbf 00", "ffff: netem ff"] {
        assert_eq!(text.parse::<Qdisc>().unwrap().to_string(), text);
    }
    let (longest, longer) = (format!("1: fq {}", "0a".repeat(256)), format!("1: fq {}", "0a".repeat(257)));
    assert_eq!(longest.parse::<Qdisc>().unwrap().to_string(), longest);
    for text in [
        "8001: htb 00",
        "0: pfifo 00",
        "08: pfifo 00",
        "10000: pfifo 00",
        "8001 pfifo 00",
        "8001:1 pfifo 00",
        "+1: pfifo 00",
        "1: pfifo 0",
        "1: pfifo ",
        "1: pfifo 0G",
        "1: pfifo 0A",
        "1: pfifo 00 00",
        "the kernel's default",
        longer.as_str(),
    ] {
        assert!(text.parse::<Qdisc>().is_err(), "{text}");
    }
}
