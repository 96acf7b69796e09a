//! The gate: what lasts is a signal, what blips is not.

use std::collections::HashMap;

use kernelsight::observe::{
    Entity, Numbers, ProcessId, Reading, Severity, SignalType,
    classify::{Change, Gate, Moment, OPEN_MAX, RELATIVE_SAMPLES, Thresholds, Usual},
};

const SIGNAL: SignalType = SignalType::SwapThrashing;
const MEASURE: &str = "thrash_percent";
/// 5, 15, 30, 60; 5 s to open, below half for 5 s to close; relative from 15 on.
const START_MS: i64 = 1_000_000;

struct Run {
    gate: Gate,
    now_ms: i64,
    usual: Option<Usual>,
    lost: u64,
}

impl Run {
    fn new() -> Self {
        Self { gate: Gate::new(Thresholds::load(None).unwrap(), 7), now_ms: START_MS, usual: None, lost: 0 }
    }

    /// One second with these readings of the measure.
    fn tick(&mut self, readings: Vec<Reading>) -> Vec<Change> {
        self.now_ms += 1000;
        let usual = self.usual;
        let readings = readings.into_iter().map(|reading| (SIGNAL, reading)).collect();
        self.gate.tick(readings, &moment(self.now_ms, self.lost, &|_| true, &|_, _, _| usual))
    }

    /// Seconds of one value each on the node.
    fn values(&mut self, values: impl IntoIterator<Item = f64>) -> Vec<Change> {
        values.into_iter().flat_map(|value| self.tick(vec![reading(Entity::Node, value)])).collect()
    }
}

fn moment<'a>(
    now_ms: i64,
    lost: u64,
    exists: &'a dyn Fn(&Entity) -> bool,
    usual: &'a dyn Fn(SignalType, &str, &Entity) -> Option<Usual>,
) -> Moment<'a> {
    Moment { now_ms, steady_ms: now_ms, lost, exists, usual, looked_away: &|_, _| false }
}

fn reading(entity: Entity, value: f64) -> Reading {
    Reading { measure: MEASURE, entity, value, numbers: Numbers::default(), sentence: format!("it is {value}") }
}

fn process(pid: u32) -> Entity {
    Entity::Process { id: ProcessId { pid, start_ticks: 1 }, comm: "x".into() }
}

fn opened(changes: &[Change]) -> usize {
    changes.iter().filter(|change| matches!(change, Change::Opened(_))).count()
}

fn closed(changes: &[Change]) -> usize {
    changes.iter().filter(|change| matches!(change, Change::Closed(_))).count()
}

#[test]
fn a_blip_is_no_signal() {
    let mut run = Run::new();
    assert_eq!(run.values([0.0, 99.0, 99.0, 99.0, 99.0, 99.0, 0.0, 99.0, 99.0, 0.0]), []);
    assert_eq!(run.gate.watched(), []);
}

#[test]
fn what_lasts_opens_one_signal_that_began_when_it_crossed() {
    let mut run = Run::new();
    run.lost = 2;
    let changes = run.values([1.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0]);
    assert_eq!((opened(&changes), changes.len()), (1, 1));
    let signal = changes[0].signal();
    assert_eq!(signal.first_seen_ms, START_MS + 2000);
    assert_eq!(signal.last_seen_ms, START_MS + 7000);
    assert_eq!((signal.severity, signal.peak_severity), (Severity::Medium, Severity::Medium));
    assert_eq!((signal.id, signal.value, signal.closed_ms, signal.count), (7, 20.0, None, 6));
    assert_eq!(signal.lost_events, 12);
    run.values([20.0]);
    assert_eq!(run.gate.open()[0].count, 7);
}

#[test]
fn a_burst_within_a_signal_does_not_raise_it() {
    let mut run = Run::new();
    run.values([20.0; 8]);
    let changes = run.values([99.0, 99.0, 20.0, 20.0]);
    assert!(changes.iter().all(|change| change.signal().severity == Severity::Medium), "{changes:?}");
    let changes = run.values([99.0; 6]);
    assert_eq!(changes.last().unwrap().signal().severity, Severity::Critical);
}

#[test]
fn a_value_that_swings_about_its_threshold_does_not_flap() {
    let mut run = Run::new();
    let changes = run.values((0..200).map(|second| if second % 2 == 0 { 5.2 } else { 4.8 }));
    assert_eq!((opened(&changes), closed(&changes)), (1, 0));
    assert!(changes.iter().all(|change| change.signal().severity == Severity::Low));
}

#[test]
fn a_signal_closes_only_after_it_was_clear_for_long_enough() {
    let mut run = Run::new();
    run.values([20.0; 8]);
    assert_eq!(closed(&run.values([0.0, 0.0, 0.0, 0.0, 20.0, 3.0, 3.0])), 0);
    let changes = run.values([0.0; 6]);
    assert_eq!(closed(&changes), 1);
    let last = changes.last().unwrap().signal();
    assert_eq!(last.closed_ms, Some(run.now_ms));
    assert_eq!(last.peak_severity, Severity::Medium);
    assert_eq!(run.gate.open(), []);
    assert_eq!(run.gate.watched(), []);
}

#[test]
fn severity_falls_step_by_step_and_the_peak_stays() {
    let mut run = Run::new();
    run.values([80.0; 8]);
    assert_eq!(run.gate.open()[0].severity, Severity::Critical);
    run.values([20.0; 8]);
    let signal = &run.gate.open()[0];
    assert_eq!(
        (signal.severity, signal.peak_severity),
        (Severity::High, Severity::Critical),
        "20 is not below half of 30"
    );
    run.values([10.0; 8]);
    assert_eq!(run.gate.open()[0].severity, Severity::Medium);
}

#[test]
fn what_is_not_read_any_more_closes_like_what_is_calm() {
    let mut run = Run::new();
    run.values([20.0; 8]);
    let changes: Vec<Change> = (0..7).flat_map(|_| run.tick(Vec::new())).collect();
    assert_eq!(closed(&changes), 1);
}

#[test]
fn the_signal_of_a_process_that_is_gone_closes_at_once() {
    let mut run = Run::new();
    for _ in 0..8 {
        run.tick(vec![reading(process(8), 20.0)]);
    }
    assert_eq!(run.gate.open().len(), 1);
    run.now_ms += 1000;
    let moment = moment(run.now_ms, 0, &|_| false, &|_, _, _| None);
    let changes = run.gate.tick(vec![(SIGNAL, reading(process(8), 20.0))], &moment);
    assert_eq!(closed(&changes), 1);
    assert_eq!(run.gate.open(), []);
}

#[test]
fn where_less_is_worse_the_thresholds_fall() {
    let mut gate = Gate::new(Thresholds::load(None).unwrap(), 1);
    let mut now_ms = START_MS;
    let mut tick = |seconds_left: f64| {
        now_ms += 1000;
        let mut reading = reading(process(8), seconds_left);
        reading.measure = "process_seconds_to_limit";
        gate.tick(vec![(SignalType::MemoryPressure, reading)], &moment(now_ms, 0, &|_| true, &|_, _, _| None));
        gate.open().first().map(|signal| (signal.severity, signal.pressure))
    };
    for _ in 0..5 {
        assert_eq!(tick(86_400.0), None);
    }
    assert_eq!(tick(600.0), None);
    assert_eq!(tick(600.0).unwrap().0, Severity::Medium);
    assert_eq!(tick(100.0).unwrap().0, Severity::Medium);
    let (severity, pressure) = tick(100.0).unwrap();
    assert_eq!(severity, Severity::High);
    assert!((0.75..1.0).contains(&pressure), "{pressure}");
    tick(10.0);
    assert_eq!(tick(10.0), Some((Severity::Critical, 1.0)));
    for _ in 0..20 {
        tick(86_400.0);
    }
    assert_eq!(tick(86_400.0), None);
}

#[test]
fn far_above_its_baseline_a_value_is_high() {
    let mut run = Run::new();
    run.usual = Some(Usual { p95: 4.0, samples: RELATIVE_SAMPLES });
    let changes = run.values([20.0; 8]);
    let signal = changes[0].signal();
    assert_eq!(signal.severity, Severity::High);
    assert_eq!(signal.sentence, "it is 20; 5 times its usual p95");
    assert!(signal.pressure >= 0.75);
}

#[test]
fn the_relative_rule_needs_samples_a_floor_and_a_distance() {
    let severity = |usual: Usual, value: f64| {
        let mut run = Run::new();
        run.usual = Some(usual);
        run.values([value; 10]);
        run.gate.open().first().map_or(Severity::None, |signal| signal.severity)
    };
    let young = Usual { p95: 0.1, samples: RELATIVE_SAMPLES - 1 };
    let quiet = Usual { p95: 0.1, samples: 10_000 };
    let busy = Usual { p95: 20.0, samples: 10_000 };
    assert_eq!(severity(young, 20.0), Severity::Medium);
    assert_eq!(severity(quiet, 14.0), Severity::Low, "140 times its p95, and still noise below the floor of 15");
    assert_eq!(severity(quiet, 4.0), Severity::None);
    assert_eq!(severity(busy, 23.0), Severity::Medium, "1.15 times its p95");
    assert_eq!(severity(busy, 25.0), Severity::High);
}

#[test]
fn a_reflex_opens_at_once_and_once() {
    let mut run = Run::new();
    let moment = moment(START_MS, 0, &|_| true, &|_, _, _| None);
    let change = run.gate.react(SIGNAL, reading(process(8), 70.0), &moment).unwrap();
    assert!(matches!(&change, Change::Opened(signal) if signal.severity == Severity::Critical && signal.id == 7));
    assert_eq!(run.gate.react(SIGNAL, reading(process(8), 71.0), &moment), None);
    assert_eq!(run.gate.react(SIGNAL, reading(process(9), 1.0), &moment), None);
    assert_eq!(run.gate.open().len(), 1);
}

#[test]
fn an_open_signal_is_told_again_now_and_then() {
    let mut run = Run::new();
    run.values([20.0; 6]);
    let changes = run.values([20.0; 20]);
    assert_eq!(changes.len(), 4);
    assert!(changes.iter().all(|change| matches!(change, Change::Changed(_))));
}

#[test]
fn too_many_signals_lose_the_least_severe_and_count_it() {
    let mut run = Run::new();
    let mut changes = Vec::new();
    for _ in 0..8 {
        let many = (0..OPEN_MAX as u32 + 10).map(|pid| reading(process(pid), if pid < 10 { 6.0 } else { 20.0 }));
        changes.extend(run.tick(many.collect()));
    }
    let open = run.gate.open();
    assert_eq!(open.len(), OPEN_MAX);
    assert!(open.iter().all(|signal| signal.severity == Severity::Medium));
    assert!(run.gate.crowded_out() >= 10);
    assert_eq!(opened(&changes) - closed(&changes), OPEN_MAX, "whatever opened and is not open was told as closed");
}

#[test]
fn the_worst_signal_stands_first() {
    let mut run = Run::new();
    for _ in 0..8 {
        run.tick(vec![reading(process(1), 6.0), reading(process(2), 99.0), reading(process(3), 20.0)]);
    }
    let order: Vec<Severity> = run.gate.open().iter().map(|signal| signal.severity).collect();
    assert_eq!(order, [Severity::Critical, Severity::Medium, Severity::Low]);
}

/// Random walks, thousands of ticks: a key never has two signals at once, ids never repeat, what opens closes.
#[test]
fn however_values_wander_a_measure_of_an_entity_has_one_signal_at_most() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut run = Run::new();
    let mut values = [10.0_f64; 5];
    let mut open: HashMap<String, i64> = HashMap::new();
    let mut last_id = 0;
    let mut ever = 0;
    for _ in 0..20_000 {
        let mut readings = Vec::new();
        for (pid, value) in values.iter_mut().enumerate() {
            *value = (*value + (random() - 0.5) * 8.0).clamp(0.0, 80.0);
            if random() > 0.1 {
                readings.push(reading(process(pid as u32), *value));
            }
        }
        for change in run.tick(readings) {
            let signal = change.signal();
            let key = signal.entity.key();
            match change {
                Change::Opened(ref signal) => {
                    assert!(signal.id > last_id, "ids rise");
                    last_id = signal.id;
                    ever += 1;
                    assert_eq!(open.insert(key, signal.id), None, "a second signal of the same key");
                }
                Change::Changed(ref signal) => assert_eq!(open.get(&key), Some(&signal.id)),
                Change::Closed(ref signal) => assert_eq!(open.remove(&key), Some(signal.id)),
            }
        }
        assert_eq!(run.gate.open().len(), open.len());
        for signal in run.gate.open() {
            assert!(signal.severity > Severity::None && signal.peak_severity >= signal.severity);
            assert!((0.0..=1.0).contains(&signal.pressure));
            assert!(signal.first_seen_ms <= signal.last_seen_ms && signal.last_seen_ms <= run.now_ms);
        }
    }
    assert!(ever > 20, "the walk never left calm: {ever}");
}

#[test]
fn what_nobody_looked_at_is_as_it_was() {
    let mut run = Run::new();
    run.values([70.0; 6]);
    let open = run.gate.open();
    assert_eq!(open.len(), 1);
    let away = |run: &mut Run, exists: bool| {
        run.now_ms += 1000;
        let (exists, usual) = (|_: &Entity| exists, |_: SignalType, _: &str, _: &Entity| None);
        let looked_away = |signal, measure: &str| (signal, measure) == (SIGNAL, MEASURE);
        run.gate.tick(Vec::new(), &Moment { looked_away: &looked_away, ..moment(run.now_ms, 0, &exists, &usual) })
    };
    for _ in 0..20 {
        assert_eq!(away(&mut run, true), []);
    }
    assert_eq!(run.gate.open(), open);
    // Two looks that are calm, as far apart as it must be calm, close it; and so does the end of its entity.
    assert_eq!(closed(&run.values([0.0])), 0);
    (0..4).for_each(|_| assert_eq!(away(&mut run, true), []));
    assert_eq!(closed(&run.values([0.0])), 1);
    run.values([70.0; 6]);
    assert_eq!(closed(&away(&mut run, false)), 1);
}
