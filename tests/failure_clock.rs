//! A wall clock that is set by a day, forth or back: nothing lasts longer or shorter than it does.

use kernelsight::{
    clock::uptime_ms,
    execute::{Intent, Journal as _, JournalState, Undo},
    observe::{
        Entity, Numbers, ProcessId, Reading, SignalType,
        classify::{Change, Gate, Moment, Thresholds},
    },
};
use serde_json::json;

use crate::{
    execute_support::{Bench, Target, is_root, request},
    store_rows::NOW_MS,
};

const DAY_MS: i64 = 86_400_000;

/// A gate that reads one value a second; 5 s of it open a signal, and 5 s without close it.
struct Node {
    gate: Gate,
    steady_ms: i64,
    wall_ms: i64,
}

impl Node {
    fn new() -> Self {
        Self { gate: Gate::new(Thresholds::load(None).unwrap(), 1), steady_ms: 0, wall_ms: NOW_MS }
    }

    fn seconds(&mut self, seconds: u32, value: f64) -> Vec<Change> {
        (0..seconds).flat_map(|_| self.second(value)).collect()
    }

    fn second(&mut self, value: f64) -> Vec<Change> {
        self.steady_ms += 1000;
        self.wall_ms += 1000;
        let reading = Reading {
            measure: "thrash_percent",
            entity: Entity::Node,
            value,
            numbers: Numbers::default(),
            sentence: String::new(),
        };
        let (now_ms, steady_ms) = (self.wall_ms, self.steady_ms);
        let usual = |_: SignalType, _: &str, _: &Entity| None;
        let moment =
            Moment { now_ms, steady_ms, lost: 0, exists: &|_| true, usual: &usual, looked_away: &|_, _| false };
        self.gate.tick(vec![(SignalType::SwapThrashing, reading)], &moment)
    }
}

#[test]
fn what_blips_is_no_signal_when_the_clock_is_set_and_what_lasts_is_one_in_time() {
    for day_ms in [DAY_MS, -DAY_MS] {
        let mut node = Node::new();
        assert_eq!(node.seconds(2, 40.0), []);
        node.wall_ms += day_ms;
        assert_eq!(node.seconds(2, 40.0), [], "set by {day_ms} ms");
        let opened = node.seconds(3, 40.0);
        let [Change::Opened(signal)] = &opened[..] else { panic!("set by {day_ms} ms: {opened:?}") };
        // As long ago as it was, in the time that holds now.
        assert_eq!((signal.first_seen_ms, signal.last_seen_ms), (node.wall_ms - 6000, node.wall_ms - 1000));
        node.wall_ms -= day_ms;
        let closed = node.seconds(7, 0.0);
        assert!(matches!(closed.last(), Some(Change::Closed(_))), "set back by {day_ms} ms: {closed:?}");
    }
}

#[test]
fn a_lease_ends_in_its_time_when_the_clock_is_set_back() {
    if !is_root() {
        return;
    }
    let (bench, target) = (Bench::new(), Target::idle());
    target.signal(nix::sys::signal::Signal::SIGSTOP);
    target.comes_to_stand();
    let lease_ms = 30_000;
    let made = |uptime_ms| Intent {
        incident: None,
        author: "rules".to_owned(),
        approved_by: None,
        rule: "kill_stop".to_owned(),
        action: request("pause_process", json!({ "pid": target.pid() })),
        command: format!("kill -STOP {}", target.pid()),
        target: "test".to_owned(),
        undo: Undo::Continue { process: ProcessId { pid: target.pid(), start_ticks: target.start_ticks() } },
        boot_id: bench.executor.boot_id().to_owned(),
        // By the clock as it stood before it was set back.
        lease_until_ms: Some(NOW_MS + DAY_MS + lease_ms),
        made_at_ms: NOW_MS + DAY_MS,
        uptime_ms,
        target_key: String::new(),
        deed: String::new(),
    };
    let kept = |uptime_ms| {
        let id = bench.store.intend(&made(uptime_ms)).unwrap();
        bench.store.advance(id, JournalState::Kept, "resolved", NOW_MS).unwrap();
        id
    };
    let runs = kept(uptime_ms());
    assert!(bench.executor.expire_leases(&bench.store, NOW_MS).unwrap().is_empty());
    assert!(bench.executor.settle(&bench.store, NOW_MS).unwrap().is_empty());
    target.comes_to_stand();
    bench.executor.undo(runs, &bench.store, NOW_MS).unwrap();
    target.signal(nix::sys::signal::Signal::SIGSTOP);
    target.comes_to_stand();
    kept(uptime_ms() - lease_ms);
    let said = bench.executor.expire_leases(&bench.store, NOW_MS).unwrap();
    assert!(said.len() == 1 && said[0].contains("has outlived its lease"), "{said:?}");
    target.comes_to_run();
}
