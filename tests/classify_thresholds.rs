//! The thresholds file: what it may say, and what it is told when it is wrong.

use expect_test::{Expect, expect};
use kernelsight::observe::{
    Severity, SignalType,
    classify::{CLASSIFIERS, Thresholds},
};

const EMBEDDED: &str = include_str!("../policies/thresholds.toml");

/// The embedded file with `from` replaced, as it is refused.
fn check(from: &str, to: &str, expected: Expect) {
    assert!(from.is_empty() || EMBEDDED.contains(from), "`{from}` is not in the file");
    let text = if from.is_empty() { format!("{EMBEDDED}\n{to}\n") } else { EMBEDDED.replacen(from, to, 1) };
    let error = Thresholds::parse(&text, "my.toml").expect_err("it should be refused");
    expected.assert_eq(&format!("{error}\n"));
}

#[test]
fn the_embedded_file_has_every_measure_and_says_why() {
    let thresholds = Thresholds::load(None).unwrap();
    for classifier in &CLASSIFIERS {
        for measure in classifier.measures {
            assert!(thresholds.get(classifier.signal, measure.name).is_some());
            let unit = ["_percent", "_per_s", "_ns", "_kills", "_cpu", "_sockets", "_tasks", "_depth"];
            let is_said = unit.iter().any(|unit| measure.name.ends_with(unit)) || measure.name.contains("seconds");
            assert!(is_said, "{} does not end in its unit", measure.name);
        }
    }
}

#[test]
fn there_is_one_classifier_for_each_signal_type() {
    let listed: Vec<SignalType> = CLASSIFIERS.iter().map(|classifier| classifier.signal).collect();
    assert_eq!(listed, SignalType::ALL);
}

#[test]
fn an_unknown_key_is_named() {
    check(
        "[io_congestion.dirty_percent]\nlow = 10\n",
        "[io_congestion.dirty_percent]\nlow = 10\nsustian_s = 5\n",
        expect![[r#"
            my.toml: `io_congestion.dirty_percent` is not right: unknown field `sustian_s`, expected one of `low`, `medium`, `high`, `critical`, `sustain_s`, `clear_ratio`, `clear_s`, `relative`, `relative_floor`
        "#]],
    );
}

#[test]
fn an_unknown_signal_type_is_told_which_there_are() {
    check(
        "",
        "[memory.x]\nlow = 1",
        expect![[r#"
        my.toml: `memory` is no signal type; one of memory_pressure, load_mismatch, io_congestion, network_degradation, tcp_exhaustion, swap_thrashing, block_device_saturation, scheduler, syscall, page_fault is
    "#]],
    );
}

#[test]
fn an_unknown_measure_is_told_which_there_are() {
    check(
        "",
        "[page_fault.minor]\nlow = 1",
        expect![[r#"
        my.toml: `page_fault.minor` is no measure; page_fault measures process_major_faults_per_s, major_faults_per_s, process_minor_churn_per_s, faults_per_cpu_per_s
    "#]],
    );
}

#[test]
fn a_measure_left_out_is_asked_for() {
    check(
        "[syscall.eio_per_s]\nlow = 1\nmedium = 3\nhigh = 50\ncritical = 5000\nsustain_s = 3\nclear_ratio = 0.5\nclear_s = 10\n",
        "",
        expect![[r#"
            my.toml: `syscall.eio_per_s` is missing; give it at least low, sustain_s and clear_s (calls that failed with an I/O error (EIO))
        "#]],
    );
}

#[test]
fn thresholds_out_of_order_are_shown() {
    check(
        "low = 5\nmedium = 15\nhigh = 35",
        "low = 5\nmedium = 50\nhigh = 35",
        expect![[r#"
        my.toml: `memory_pressure.node_some_percent` has medium = 50 and high = 35; high must be at least medium
    "#]],
    );
}

#[test]
fn a_falling_measure_wants_them_the_other_way_round() {
    check(
        "low = 3600\nmedium = 900",
        "low = 900\nmedium = 3600",
        expect![[r#"
        my.toml: `memory_pressure.process_seconds_to_limit` has low = 900 and medium = 3600; medium must be at most (less is worse) low
    "#]],
    );
}

#[test]
fn a_severity_may_not_be_skipped() {
    check(
        "low = 40\nmedium = 65\n",
        "low = 40\nhigh = 65\n",
        expect![[r#"
        my.toml: `load_mismatch.cpu_some_percent` has high without medium; give medium too, or leave high out
    "#]],
    );
}

#[test]
fn a_relative_rule_needs_its_floor() {
    check(
        "relative = true\nrelative_floor = 140_000_000\n",
        "relative = true\n",
        expect![[r#"
        my.toml: `load_mismatch.run_queue_p99_ns` has relative = true; it needs relative_floor, below which noise is no signal
    "#]],
    );
}

#[test]
fn a_relative_rule_needs_high() {
    check(
        "low = 40\nmedium = 65\n",
        "low = 40\nmedium = 65\nrelative = true\nrelative_floor = 50\n",
        expect![[r#"
        my.toml: `load_mismatch.cpu_some_percent` has relative = true, which raises to high; give high too
    "#]],
    );
}

#[test]
fn a_clear_ratio_is_a_share() {
    check(
        "clear_ratio = 0.97\nclear_s = 10\n",
        "clear_ratio = 97\nclear_s = 10\n",
        expect![[r#"
        my.toml: `memory_pressure.node_used_under_reclaim_percent` has clear_ratio = 97; it must be 0.1 to 1
    "#]],
    );
}

#[test]
fn a_duration_is_bounded() {
    check(
        "sustain_s = 20\n",
        "sustain_s = 7200\n",
        expect![[r#"
        my.toml: `block_device_saturation.utilisation_percent` has sustain_s = 7200; it must be 0 to 3600
    "#]],
    );
}

#[test]
fn a_wrong_type_is_named() {
    check(
        "sustain_s = 20\n",
        "sustain_s = \"20\"\n",
        expect![[r#"
        my.toml: `block_device_saturation.utilisation_percent` is not right: invalid type: string "20", expected f64
    "#]],
    );
}

#[test]
fn what_is_no_toml_is_shown_with_its_line() {
    let error = Thresholds::parse("[page_fault.process_minor_churn_per_s]\nlow = ", "my.toml").unwrap_err();
    expect![[r#"
        my.toml is no TOML: TOML parse error at line 2, column 7
          |
        2 | low = 
          |       ^
        string values must be quoted, expected literal string
    "#]]
    .assert_eq(&error.to_string());
}

#[test]
fn a_file_takes_the_place_of_the_embedded_one() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere");
    let missing = Thresholds::load(Some(&nowhere)).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read /") && missing.contains("/nowhere: "), "{missing}");
    // One of several policies may be all that an operator changes.
    assert_eq!(Thresholds::load(Some(directory.path())).unwrap(), Thresholds::load(None).unwrap());
    let path = directory.path().join("thresholds.toml");
    std::fs::write(&path, EMBEDDED.replacen("low = 40\nmedium = 65", "low = 10\nmedium = 20", 1)).unwrap();
    let thresholds = Thresholds::load(Some(directory.path())).unwrap();
    let rule = thresholds.get(SignalType::LoadMismatch, "cpu_some_percent").unwrap();
    assert_eq!(
        [5.0, 10.0, 25.0, 99.0].map(|value| rule.severity(value)),
        [Severity::None, Severity::Low, Severity::Medium, Severity::Medium]
    );
}

#[test]
fn pressure_is_linear_between_thresholds() {
    let thresholds = Thresholds::load(None).unwrap();
    let rising = thresholds.get(SignalType::SwapThrashing, "thrash_percent").unwrap();
    let pressures = [0.0, 2.5, 5.0, 10.0, 15.0, 30.0, 45.0, 60.0, 99.0].map(|value| rising.pressure(value));
    assert_eq!(pressures, [0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 0.875, 1.0, 1.0]);
    let falling = thresholds.get(SignalType::MemoryPressure, "process_seconds_to_limit").unwrap();
    let pressures = [86_400.0, 7200.0, 3600.0, 900.0, 120.0, 30.0, 0.0].map(|value| falling.pressure(value));
    assert_eq!(pressures, [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]);
    let kills = thresholds.get(SignalType::MemoryPressure, "cgroup_oom_kills").unwrap();
    assert_eq!([0.0, 1.0, 3.0, 5.0].map(|value| kills.pressure(value)), [0.0, 0.75, 0.875, 1.0]);
}
