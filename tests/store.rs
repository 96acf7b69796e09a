//! What is kept is found again, by the questions that the rest of the house asks.

use std::{fs, os::unix::fs::PermissionsExt};

use expect_test::expect;
use kernelsight::{
    numbers,
    observe::{Entity, Severity, SignalType},
    store::{ALL_ENTITIES, Family, Limits, MetricFilter, SignalFilter, Store, StoreError},
    text::Text,
};

use crate::store_rows::{NOW_MS, process, signal, store, tick};

#[test]
fn a_signal_is_one_row_from_its_first_sight_to_its_end() {
    let (_dir, store) = store();
    let mut kept = signal(7);
    store.keep_signal(&kept);
    store.flush().unwrap();
    kept.severity = Severity::Low;
    kept.last_seen_ms += 60_000;
    kept.closed_ms = Some(kept.last_seen_ms + 1);
    kept.sentence = "python3 (pid 812) is calm".to_owned();
    kept.numbers = numbers! { rss_bytes: 1.5, swap_bytes: -0.25, share: 1.0 };
    kept.lost_events = u64::MAX;
    store.keep_signal(&kept);
    store.flush().unwrap();
    kept.lost_events = i64::MAX as u64;
    let reader = store.reader().unwrap();
    assert_eq!(reader.signals(&SignalFilter::default()).unwrap().rows, vec![kept]);
    assert_eq!(reader.next_signal_id().unwrap(), 8);
}

#[test]
fn every_kind_of_entity_and_every_type_comes_back_as_it_was() {
    let (_dir, store) = store();
    let name = Text::from_bytes(b"\xff\x1b[31m';DROP TABLE signal_metadata;--\n");
    let entities = [
        Entity::Node,
        process(1, "\"}],$(rm -rf /)"),
        Entity::Cgroup { path: name.clone() },
        Entity::Device { name: name.clone() },
        Entity::Interface { name: name.clone() },
        Entity::Port { port: 65_535 },
        Entity::Mount { path: name },
    ];
    let mut kept = Vec::new();
    for (at, entity) in entities.iter().cycle().take(10).enumerate() {
        let mut signal = signal(at as i64 + 1);
        signal.entity = entity.clone();
        signal.signal_type = SignalType::ALL[at];
        store.keep_signal(&signal);
        kept.push(signal);
    }
    store.flush().unwrap();
    kept.reverse();
    assert_eq!(store.reader().unwrap().signals(&SignalFilter::default()).unwrap().rows, kept);
}

#[test]
fn a_process_that_took_another_name_is_shown_under_the_new_one() {
    let (_dir, store) = store();
    let mut first = signal(1);
    first.entity = process(9, "bash");
    let mut second = signal(2);
    second.entity = process(9, "python3");
    for kept in [&first, &first, &second] {
        store.keep_signal(kept);
    }
    store.flush().unwrap();
    let found = store.reader().unwrap().signals(&SignalFilter::default()).unwrap().rows;
    let classes: Vec<String> = found.iter().map(|signal| signal.entity.class()).collect();
    assert_eq!(classes, ["process:python3", "process:python3"]);
}

#[test]
fn a_number_that_is_none_comes_back_as_none_and_a_long_sentence_cut() {
    let (_dir, store) = store();
    let mut kept = signal(1);
    kept.value = f64::NAN;
    kept.numbers = numbers! { ratio: f64::NAN, next: 2.0 };
    kept.sentence = "é".repeat(100_000);
    store.keep_signal(&kept);
    store.flush().unwrap();
    let found = store.reader().unwrap().signals(&SignalFilter::default()).unwrap().rows.remove(0);
    assert!(found.value.is_nan());
    assert!(found.numbers.get("ratio").unwrap().is_nan());
    assert_eq!(found.numbers.get("next"), Some(2.0));
    assert_eq!(found.sentence.chars().count(), 513);
    assert!(found.sentence.ends_with('…'));
}

#[test]
fn signals_are_found_by_severity_time_type_entity_and_state() {
    let (_dir, store) = store();
    let mut calm = signal(1);
    calm.severity = Severity::Low;
    let mut past = signal(2);
    past.closed_ms = Some(past.last_seen_ms);
    past.severity = Severity::None;
    let mut other = signal(3);
    other.signal_type = SignalType::Scheduler;
    other.entity = Entity::Device { name: Text::from("sda") };
    for signal in [&calm, &past, &other] {
        store.keep_signal(signal);
    }
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    let ids = |filter: SignalFilter| -> Vec<i64> {
        reader.signals(&filter).unwrap().rows.iter().map(|signal| signal.id).collect()
    };
    assert_eq!(ids(SignalFilter::default()), [3, 2, 1]);
    // An open signal as it is now, a closed one at its worst.
    assert_eq!(ids(SignalFilter { severity_min: Some(Severity::Medium), ..SignalFilter::default() }), [3, 2]);
    assert_eq!(ids(SignalFilter { open_only: true, ..SignalFilter::default() }), [3, 1]);
    assert_eq!(ids(SignalFilter { types: vec![SignalType::Scheduler], ..SignalFilter::default() }), [3]);
    assert_eq!(ids(SignalFilter { types: SignalType::ALL.to_vec(), ..SignalFilter::default() }), [3, 2, 1]);
    assert_eq!(ids(SignalFilter { entity_key: Some("device:sda".to_owned()), ..SignalFilter::default() }), [3]);
    assert_eq!(
        ids(SignalFilter { entity_key: Some("device:sdb".to_owned()), ..SignalFilter::default() }),
        Vec::<i64>::new()
    );
    assert_eq!(ids(SignalFilter { since_ms: Some(other.last_seen_ms), ..SignalFilter::default() }), [3]);
    assert_eq!(ids(SignalFilter { until_ms: Some(calm.first_seen_ms), ..SignalFilter::default() }), [1]);
    assert_eq!(ids(SignalFilter { limit: Some(1), ..SignalFilter::default() }), [3]);
}

#[test]
fn the_metric_families_are_the_tables_of_the_schema_column_by_column() {
    let (_dir, store) = store();
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    for family in Family::ALL {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid").unwrap();
        let columns: Vec<String> =
            statement.query_map([family.table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        let keys: &[&str] = if family.named { &["at_ms", "name"] } else { &["at_ms"] };
        assert_eq!(columns, [keys, family.columns].concat(), "{}", family.table);
    }
}

#[test]
fn a_tick_is_a_row_in_each_family_whose_source_is_on() {
    let (_dir, store) = store();
    store.keep_tick(&tick(NOW_MS));
    store.keep_tick(&tick(NOW_MS + 1000));
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    let mut shown = String::new();
    for family in Family::ALL {
        let until = MetricFilter { until_ms: Some(NOW_MS), ..MetricFilter::default() };
        for row in reader.metrics(family, &until).unwrap() {
            let known = family.columns.iter().zip(&row.values).filter_map(|(name, value)| Some((name, (*value)?)));
            let known: Vec<String> =
                known.filter(|(_, value)| *value != 0.0).map(|(name, value)| format!("{name}={value}")).collect();
            shown += &format!("{} {}: {}\n", family.table, row.name.unwrap_or_default(), known.join(" "));
        }
    }
    expect![[r#"
        memory_metrics : total_bytes=8589934592 available_bytes=3221225472
        load_metrics : one=1.5 five=1.25 fifteen=1 runnable=2 tasks=300
        io_stats sda: reads=10 read_bytes=40960
        network_metrics eth0: up=1 received_packets=5
        swap_metrics : 
        block_metrics sda read: requests=7 bytes=28672 in_flight=-1 latency_p50_ns=1572864 latency_p99_ns=2086666.24
    "#]]
    .assert_eq(&shown);
    assert_eq!(reader.metrics(Family::named("memory_metrics").unwrap(), &MetricFilter::default()).unwrap().len(), 2);
}

#[test]
fn percentiles_of_an_hour_and_a_baseline_come_from_the_same_readings() {
    let (_dir, store) = store();
    let hour = NOW_MS - NOW_MS % 3_600_000;
    for at in 0..3600 {
        let value = f64::from(at % 100 + 1);
        store.keep_reading(hour + i64::from(at) * 1000, SignalType::Scheduler, "wait_ms", &Entity::Node, value);
    }
    store.keep_reading(hour, SignalType::Scheduler, "wait_ms", &process(1, "cc1"), 1000.0);
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    let whole = reader.percentiles(SignalType::Scheduler, "wait_ms", hour, hour + 3_599_999).unwrap().unwrap();
    assert_eq!(whole.samples, 3601);
    let near = |found: f64, exact: f64| (found - exact).abs() <= exact / 64.0;
    assert!(
        near(whole.p50, 51.0) && near(whole.p75, 76.0) && near(whole.p95, 96.0) && near(whole.p99, 100.0),
        "{whole:?}"
    );
    let minute = reader.percentiles(SignalType::Scheduler, "wait_ms", hour + 60_000, hour + 119_999).unwrap().unwrap();
    assert_eq!(minute.samples, 60);
    assert_eq!(reader.percentiles(SignalType::Scheduler, "wait_ms", 0, 1).unwrap(), None);
    assert_eq!(reader.percentiles(SignalType::Syscall, "wait_ms", hour, hour + 1).unwrap(), None);

    let node = reader.baseline(SignalType::Scheduler, "wait_ms", "node").unwrap().unwrap();
    assert_eq!(node.samples, 3600);
    // Standard deviation (n - 1) of 1 to 100, 36 times each.
    assert!((node.volatility - 28.870_1).abs() < 1e-3, "{node:?}");
    assert_eq!(reader.baseline(SignalType::Scheduler, "wait_ms", ALL_ENTITIES).unwrap().unwrap().samples, 3601);
    let classes: Vec<String> = reader.baselines().unwrap().into_iter().map(|(_, _, class, _)| class).collect();
    assert_eq!(classes.len(), 3);
    for class in ["", "node", "process:cc1"] {
        assert!(classes.iter().any(|found| found == class), "{class} in {classes:?}");
    }
}

#[test]
fn a_baseline_forgets_what_is_older_than_its_hours() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Limits { baseline_hours: 2, ..Limits::default() }).unwrap();
    store.keep_reading(NOW_MS, SignalType::Syscall, "errors_per_s", &Entity::Node, 500.0);
    store.flush().unwrap();
    store.keep_reading(NOW_MS + 4 * 3_600_000, SignalType::Syscall, "errors_per_s", &Entity::Node, 5.0);
    store.flush().unwrap();
    let baseline = store.reader().unwrap().baseline(SignalType::Syscall, "errors_per_s", "node").unwrap().unwrap();
    assert_eq!((baseline.samples, baseline.p99), (1, 5.0));
}

#[test]
fn readings_of_one_minute_add_up_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let minute = NOW_MS - NOW_MS % 60_000;
    for value in [1.0, 2.0, 6.0] {
        let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
        store.keep_reading(minute + 5, SignalType::PageFault, "faults_per_s", &process(9, "x"), value);
        store.close().unwrap();
    }
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    let reader = store.reader().unwrap();
    let key = process(9, "x").key();
    let points = reader.points(SignalType::PageFault, "faults_per_s", &key, minute).unwrap();
    assert_eq!(points.len(), 1);
    assert_eq!((points[0].at_ms, points[0].value), (minute + 30_000, 3.0));
    let whole = reader.percentiles(SignalType::PageFault, "faults_per_s", minute, minute).unwrap().unwrap();
    assert_eq!(whole.samples, 3);
}

#[test]
fn a_reading_that_is_no_number_is_counted_not_kept() {
    let (_dir, store) = store();
    for value in [f64::NAN, f64::INFINITY, 1e200] {
        store.keep_reading(NOW_MS, SignalType::PageFault, "faults_per_s", &Entity::Node, value);
    }
    store.flush().unwrap();
    assert_eq!(store.reader().unwrap().baselines().unwrap(), vec![]);
    assert_eq!(store.health().lost.get("readings"), Some(&3));
}

#[test]
fn a_setting_is_what_was_said_last_and_notes_stay() {
    let (_dir, store) = store();
    let reader = store.reader().unwrap();
    assert_eq!(reader.setting("autonomy").unwrap(), None);
    store.keep_setting("autonomy", "copilot", "root", NOW_MS).unwrap();
    store.keep_setting("autonomy", "guardian", "uid 1000", NOW_MS + 1).unwrap();
    let setting = reader.setting("autonomy").unwrap().unwrap();
    assert_eq!((setting.value.as_str(), setting.changed_by.as_str()), ("guardian", "uid 1000"));
    store.keep_note("a crash was settled", NOW_MS).unwrap();
    store.keep_note("another", NOW_MS).unwrap();
    let notes: Vec<String> = reader.notes(10).unwrap().into_iter().map(|note| note.note).collect();
    assert_eq!(notes, ["another", "a crash was settled"]);
}

#[test]
fn a_reader_cannot_write() {
    let (_dir, store) = store();
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(store.path(), flags).unwrap();
    assert!(connection.execute("DELETE FROM settings", []).is_err());
    // What a reader sees is what was committed: it never waits for the writer, nor the writer for it.
    let reader = store.reader().unwrap();
    store.keep_signal(&signal(1));
    store.flush().unwrap();
    assert_eq!(reader.signals(&SignalFilter::default()).unwrap().rows.len(), 1);
}

#[test]
fn nobody_else_reads_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a/state");
    let (store, _) = Store::open(&state, Limits::default()).unwrap();
    store.keep_note("x", NOW_MS).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    let mut files: Vec<String> = fs::read_dir(&state)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| format!("{} {:o}", entry.file_name().to_string_lossy(), mode(&entry.path())))
        .collect();
    files.sort();
    expect![[r#"
        journal.head 600
        kernelsight.db 600
        kernelsight.db-shm 600
        kernelsight.db-wal 600
        kernelsight.lock 600"#]]
    .assert_eq(&files.join("\n"));
    store.close().unwrap();
}

#[test]
fn the_questions_asked_often_are_answered_from_an_index() {
    let (_dir, store) = store();
    let mut shown = String::new();
    for (question, plan) in store.reader().unwrap().plans().unwrap() {
        for step in &plan {
            assert!(!step.starts_with("SCAN") || step.contains("USING"), "{question} reads a whole table: {step}");
        }
        shown += &format!("{question}: {}\n", plan.join("; "));
    }
    expect![[r#"
        signals since: SEARCH s USING INDEX signals_by_time (last_seen_ms>?); SEARCH m USING INTEGER PRIMARY KEY (rowid=?); SEARCH e USING INTEGER PRIMARY KEY (rowid=?); SEARCH n USING INTEGER PRIMARY KEY (rowid=?)
        signals open: SEARCH s USING INDEX signals_open (last_seen_ms>?); SEARCH m USING INTEGER PRIMARY KEY (rowid=?); SEARCH e USING INTEGER PRIMARY KEY (rowid=?); SEARCH n USING INTEGER PRIMARY KEY (rowid=?)
        signals of types: SEARCH s USING INDEX signals_by_time (last_seen_ms>?); LIST SUBQUERY 1; SEARCH measures USING COVERING INDEX sqlite_autoindex_measures_1 (signal_type=?); CREATE BLOOM FILTER; SEARCH m USING INTEGER PRIMARY KEY (rowid=?); SEARCH e USING INTEGER PRIMARY KEY (rowid=?); SEARCH n USING INTEGER PRIMARY KEY (rowid=?)
        signals of an entity: SEARCH s USING INDEX signals_by_entity (entity_id=?); SCALAR SUBQUERY 1; SEARCH entities USING COVERING INDEX sqlite_autoindex_entities_1 (key=?); SEARCH m USING INTEGER PRIMARY KEY (rowid=?); SEARCH e USING INTEGER PRIMARY KEY (rowid=?); REUSE SUBQUERY 1; SEARCH n USING INTEGER PRIMARY KEY (rowid=?); USE TEMP B-TREE FOR ORDER BY
        incidents since: SEARCH incidents USING INDEX incidents_by_time (opened_ms>?)
        incidents open: SEARCH incidents USING INDEX incidents_open (opened_ms>?)
        incidents alike: SEARCH incidents USING INDEX incidents_by_fingerprint (fingerprint=? AND opened_ms>?)
        incident by prefix: SEARCH incidents USING INDEX sqlite_autoindex_incidents_1 (uid>? AND uid<?)
        traces since: SEARCH reasoning_traces USING INDEX traces_by_time (timestamp>?)
        traces of an incident: SEARCH reasoning_traces USING INDEX traces_by_incident (incident=?)
        traces alike: SEARCH reasoning_traces USING INDEX traces_by_action (action_type=? AND failure_mode=?)
        actions since: SEARCH actions USING INDEX actions_by_time (made_at_ms>?)
        actions of an incident: SEARCH actions USING INDEX actions_by_incident (incident=?)
        actions unsettled: SCAN actions USING INDEX actions_unsettled
        actions latest: MERGE (UNION); LEFT; SEARCH actions USING INTEGER PRIMARY KEY (rowid>?); SCALAR SUBQUERY 1; SEARCH actions; RIGHT; SCAN actions USING INDEX actions_unsettled
        proposals pending: SCAN proposals USING INDEX proposals_pending
        proposals: SCAN proposals USING INDEX proposals_by_time
        denials: SEARCH denials USING INDEX denials_by_time (at_ms>?)
        permits: SEARCH permits USING INDEX permits_by_time (at_ms>?)
        percentiles: SEARCH minute_histograms USING PRIMARY KEY (measure_id=? AND class_id=? AND minute>? AND minute<?); SCALAR SUBQUERY 1; SEARCH measures USING COVERING INDEX sqlite_autoindex_measures_1 (signal_type=? AND measure=?); SCALAR SUBQUERY 2; SEARCH classes USING COVERING INDEX sqlite_autoindex_classes_1 (class=?)
        baseline: SEARCH baselines USING PRIMARY KEY (measure_id=? AND class_id=?); SCALAR SUBQUERY 1; SEARCH measures USING COVERING INDEX sqlite_autoindex_measures_1 (signal_type=? AND measure=?); SCALAR SUBQUERY 2; SEARCH classes USING COVERING INDEX sqlite_autoindex_classes_1 (class=?)
        points: SEARCH points USING PRIMARY KEY (entity_id=? AND measure_id=? AND minute>?); SCALAR SUBQUERY 1; SEARCH entities USING COVERING INDEX sqlite_autoindex_entities_1 (key=?); SCALAR SUBQUERY 2; SEARCH measures USING COVERING INDEX sqlite_autoindex_measures_1 (signal_type=? AND measure=?)
        cases of an incident: SEARCH cases USING INDEX cases_by_incident (incident=?)
        turns of a case: SEARCH turns USING INDEX turns_by_case (case_id=?)
        an earlier reply: SEARCH turns USING INDEX turns_by_digest (digest=?)
        what models cost: SEARCH turns USING INDEX turns_by_time (at_ms>?)
        what models cost on an incident: SEARCH turns USING INDEX turns_by_case (case_id=?); LIST SUBQUERY 1; SEARCH cases USING COVERING INDEX cases_by_incident (incident=?)
        what came of cases: SEARCH cases USING COVERING INDEX cases_by_time (begun_ms>?); USE TEMP B-TREE FOR GROUP BY
        what turns took: SEARCH turns USING INDEX turns_by_time (at_ms>?)
        memory_metrics: SEARCH memory_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
        load_metrics: SEARCH load_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
        io_stats: SEARCH io_stats USING PRIMARY KEY (at_ms>? AND at_ms<?)
        network_metrics: SEARCH network_metrics USING PRIMARY KEY (at_ms>? AND at_ms<?)
        tcp_metrics: SEARCH tcp_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
        swap_metrics: SEARCH swap_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
        block_metrics: SEARCH block_metrics USING PRIMARY KEY (at_ms>? AND at_ms<?)
        scheduler_metrics: SEARCH scheduler_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
        syscall_metrics: SEARCH syscall_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
        page_fault_metrics: SEARCH page_fault_metrics USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)
    "#]].assert_eq(&shown);
}

#[test]
fn what_is_asked_of_a_closed_store_is_refused_at_once() {
    let (_dir, store) = store();
    let other = store.clone();
    store.close().unwrap();
    assert!(matches!(other.keep_note("x", NOW_MS), Err(StoreError::Closed)));
    other.keep_signal(&signal(1));
    assert_eq!(other.health().lost.get("signal_metadata"), Some(&1));
}
