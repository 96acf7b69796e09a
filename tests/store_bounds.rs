//! The bounds hold: of the queue, of age, of size; and a full disk costs rows that are counted, not the daemon.

use std::{
    fs,
    time::{Duration, Instant},
};

use kernelsight::{
    observe::SignalType,
    store::{Family, IncidentFilter, Limits, MetricFilter, SignalFilter, Store, TraceFilter},
    verify::Verdict,
};

use crate::{
    journal_disk::Mounted,
    store_rows::{NOW_MS, incident, process, signal, tick, trace},
};

const DAY_MS: i64 = 24 * 3_600_000;

fn size(store: &Store) -> u64 {
    let beside = |suffix: &str| format!("{}{suffix}", store.path().display());
    ["", "-wal"].iter().map(|suffix| fs::metadata(beside(suffix)).map_or(0, |file| file.len())).sum()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(40), "never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_finds_no_room_in_the_queue_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Limits { queue: 100, ..Limits::default() }).unwrap();
    for id in 1..=50_000 {
        store.keep_signal(&signal(id));
        assert!(store.health().queued <= 100);
    }
    store.flush().unwrap();
    let health = store.health();
    let lost = health.lost.get("signal_metadata").copied().unwrap_or(0);
    let signals = store.reader().unwrap().signals(&SignalFilter { limit: Some(60_000), ..SignalFilter::default() });
    assert_eq!(signals.unwrap().rows.len() as u64 + lost, 50_000);
    assert!(lost > 0, "the queue was never full");
}

#[test]
fn what_is_older_than_its_age_goes_and_the_story_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    let mut old = signal(1);
    old.closed_ms = Some(old.last_seen_ms);
    store.keep_signal(&old);
    let mut open = signal(2);
    open.entity = process(3, "still-open");
    store.keep_signal(&open);
    store.keep_tick(&tick(NOW_MS));
    store.keep_reading(NOW_MS, SignalType::Scheduler, "wait_ms", &process(4, "gone"), 1.0);
    let mut done = incident("0190-old", NOW_MS);
    done.closed_ms = Some(NOW_MS);
    store.keep_incident(&done).unwrap();
    store.keep_trace(&mut trace("0190-old", 30.0, Verdict::Resolved)).unwrap();
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.baselines().unwrap().len(), 2);

    let later = 60 * DAY_MS;
    store.keep_tick(&tick(NOW_MS + later));
    for id in 3..=9000 {
        let mut new = signal(id);
        new.first_seen_ms += later;
        new.last_seen_ms += later;
        store.keep_signal(&new);
        if id % 3000 == 0 {
            store.flush().unwrap();
        }
    }
    wait_until("the old rows are gone", || store.health().removed >= 6);
    let ids = |until_ms| -> Vec<i64> {
        let filter = SignalFilter { until_ms: Some(until_ms), ..SignalFilter::default() };
        reader.signals(&filter).unwrap().rows.iter().map(|signal| signal.id).collect()
    };
    assert_eq!(ids(NOW_MS + DAY_MS), [2], "an open signal stays");
    assert_eq!(reader.metrics(Family::named("memory_metrics").unwrap(), &MetricFilter::default()).unwrap().len(), 1);
    assert_eq!(reader.baselines().unwrap(), vec![]);
    assert_eq!(reader.points(SignalType::Scheduler, "wait_ms", &process(4, "gone").key(), 0).unwrap(), vec![]);
    assert_eq!(reader.incidents(&IncidentFilter::default()).unwrap().rows.len(), 1);
    assert_eq!(reader.traces(&TraceFilter::default()).unwrap().rows.len(), 1);
}

#[test]
fn the_size_bound_holds_under_ten_times_its_weight() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { max_bytes: 16 << 20, ..Limits::default() };
    let (store, _) = Store::open(dir.path(), limits.clone()).unwrap();
    store.keep_incident(&incident("0190-first", NOW_MS)).unwrap();
    let mut largest = 0;
    let last = 600_000;
    for id in 1..=last {
        let mut kept = signal(id);
        kept.closed_ms = Some(kept.last_seen_ms);
        kept.entity = process(id as u32, "one-of-many");
        store.keep_signal(&kept);
        if id % 50 == 0 {
            store.keep_tick(&tick(NOW_MS + id));
        }
        if id % 4000 == 0 {
            store.flush().unwrap();
            largest = largest.max(size(&store));
        }
    }
    store.flush().unwrap();
    assert!(largest <= limits.max_bytes, "{largest} B");
    assert!(largest >= limits.max_bytes / 2, "the bound was never near: {largest} B");
    let health = store.health();
    assert_eq!(health.lost.values().sum::<u64>(), 0, "{health:?}");
    assert!(health.removed > 400_000, "{health:?}");
    let reader = store.reader().unwrap();
    let newest = reader.signals(&SignalFilter { limit: Some(1000), ..SignalFilter::default() }).unwrap().rows;
    assert_eq!(
        newest.iter().map(|signal| signal.id).collect::<Vec<_>>(),
        (last - 999..=last).rev().collect::<Vec<_>>()
    );
    assert!(reader.incident("0190-first").unwrap().is_some());
}

#[test]
fn a_signal_takes_at_most_200_bytes_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let report = kernelsight::store::bench::bench(dir.path(), 50_000).unwrap();
    assert!(report.ours_bytes.iter().all(|bytes| *bytes <= 200.0), "{report:?}");
    assert_eq!(report.lost, 0);
}

#[test]
fn when_nothing_may_go_what_is_queued_is_counted_and_the_story_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { max_bytes: 4 << 20, ..Limits::default() };
    let (store, _) = Store::open(dir.path(), limits).unwrap();
    // Open signals never go for want of room.
    for id in 1..=30_000 {
        store.keep_signal(&signal(id));
        if id % 4000 == 0 {
            store.flush().unwrap();
        }
    }
    store.flush().unwrap();
    let health = store.health();
    assert!(health.lost.get("signal_metadata").copied().unwrap_or(0) > 0, "{health:?}");
    assert!(size(&store) <= 4 << 20, "{}", size(&store));
    store.keep_incident(&incident("0190-late", NOW_MS)).unwrap();
}

#[test]
fn a_full_disk_fails_what_is_durable_keeps_what_is_queued_and_heals() {
    let Some(disk) = Mounted::memory(3) else { return };
    let (store, _) = Store::open(&disk.place, Limits::default()).unwrap();
    store.keep_signal(&signal(1));
    store.flush().unwrap();
    disk.fill();
    let mut tried = 0;
    let error = loop {
        tried += 1;
        assert!(tried < 20_000, "the disk never was full");
        if let Err(error) = store.keep_incident(&incident(&format!("{tried:08}"), NOW_MS)) {
            break error.to_string();
        }
    };
    assert!(error.contains("full"), "{error}");
    assert!(!store.health().well);
    assert!(store.health().last_error.unwrap().contains("full"));
    for id in 2..=100 {
        store.keep_signal(&signal(id));
    }
    assert!(store.flush().is_err());
    disk.empty();
    wait_until("the store is well again", || store.health().well);
    store.flush().unwrap();
    let found = store.reader().unwrap().signals(&SignalFilter::default()).unwrap().rows;
    assert_eq!(found.len(), 100);
    assert!(store.health().lost.is_empty(), "{:?}", store.health());
    store.close().unwrap();
}
