//! The same measure of the same entity, before and after.

use kernelsight::{
    decide::Prediction,
    execute::ActionRequest,
    observe::{Entity, Severity, SignalType, history::Point},
    verify::{Observed, Verdict, Verification, settle_s, verify},
};

fn prediction() -> Prediction {
    Prediction {
        signal_type: SignalType::LoadMismatch,
        measure: "others_wait_percent".into(),
        entity: Entity::Node,
        before: 50.0,
        after: 8.0,
        lower_is_better: true,
        within_s: 10,
        statement: String::new(),
    }
}

/// Medium from 20, high from 60.
fn severity(value: f64) -> Severity {
    match value {
        v if v >= 60.0 => Severity::High,
        v if v >= 20.0 => Severity::Medium,
        _ => Severity::None,
    }
}

fn points(values: &[f64]) -> Vec<Point> {
    values.iter().enumerate().map(|(at, value)| Point { at_ms: at as i64 * 1000, value: *value }).collect()
}

fn observed<'a>(before: &'a [Point], after: &'a [Point]) -> Observed<'a> {
    Observed {
        before,
        after,
        settled_s: 10.0,
        entity_lives: true,
        meant_to_end: false,
        still_read: true,
        severity_of: &severity,
    }
}

fn verdict(before: &[f64], after: &[f64]) -> Verification {
    verify(&prediction(), &observed(&points(before), &points(after)))
}

#[test]
fn below_medium_is_resolved() {
    let of = verdict(&[50.0; 5], &[50.0, 30.0, 9.0, 8.0, 90.0, 9.0, 7.0]);
    assert_eq!((of.verdict, of.after, of.samples), (Verdict::Resolved, Some(9.0), 5));
    assert_eq!(
        of.statement,
        "others_wait_percent of node: 50.0 % before, 9.0 % after 10 s, medium to none; predicted 8.0 %"
    );
}

#[test]
fn a_fifth_better_is_improved_and_less_is_noise() {
    assert_eq!(verdict(&[50.0; 5], &[39.9; 5]).verdict, Verdict::Improved);
    assert_eq!(verdict(&[50.0; 5], &[41.0; 5]).verdict, Verdict::Unchanged);
    assert_eq!(verdict(&[50.0; 5], &[59.0; 5]).verdict, Verdict::Unchanged);
    assert_eq!(verdict(&[50.0; 5], &[60.0; 5]).verdict, Verdict::Worse);
}

#[test]
fn what_was_calm_before_is_not_resolved_by_the_action() {
    assert_eq!(verdict(&[10.0; 5], &[1.0; 5]).verdict, Verdict::Unchanged);
}

#[test]
fn an_entity_that_is_gone_by_itself_proves_nothing() {
    let (before, after) = (points(&[50.0; 5]), points(&[]));
    let gone = Observed { entity_lives: false, ..observed(&before, &after) };
    let of = verify(&prediction(), &gone);
    assert_eq!((of.verdict, of.after), (Verdict::Unchanged, None));
    assert!(of.statement.contains("gone by itself"), "{}", of.statement);
    let ended = Observed { meant_to_end: true, ..gone };
    assert_eq!(verify(&prediction(), &ended).verdict, Verdict::Resolved);
}

#[test]
fn silence_is_calm_only_while_the_measure_is_still_read() {
    let (before, after) = (points(&[50.0; 5]), points(&[]));
    let silent = observed(&before, &after);
    assert_eq!(verify(&prediction(), &silent).verdict, Verdict::Resolved);
    let blind = Observed { still_read: false, ..silent };
    assert_eq!(verify(&prediction(), &blind).verdict, Verdict::Unchanged);
}

#[test]
fn where_less_is_worse_more_is_better() {
    let prediction = Prediction {
        measure: "process_seconds_to_limit".into(),
        lower_is_better: false,
        before: 60.0,
        after: 1800.0,
        ..prediction()
    };
    let left = |seconds: f64| if seconds > 900.0 { Severity::Low } else { Severity::High };
    let verdict = |after: &[f64]| {
        let (before, after) = (points(&[60.0; 5]), points(after));
        verify(&prediction, &Observed { severity_of: &left, ..observed(&before, &after) }).verdict
    };
    assert_eq!(verdict(&[86_400.0; 5]), Verdict::Resolved);
    assert_eq!(verdict(&[120.0; 5]), Verdict::Improved);
    assert_eq!(verdict(&[30.0; 5]), Verdict::Worse);
}

fn settle(name: &str, measure: &str) -> u32 {
    settle_s(&ActionRequest { action_type: name.to_owned(), params: serde_json::Map::new() }, measure)
}

#[test]
fn a_measure_of_slow_growth_is_given_longer_than_the_action_needs() {
    assert_eq!(settle("freeze_cgroup", "process_growth_bytes_per_s"), 18);
    assert_eq!(settle("freeze_cgroup", "process_forks_per_s"), 8);
    assert_eq!(settle("reduce_swappiness", "thrash_percent"), 30);
}
