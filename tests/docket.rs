//! Which incident the loop takes up, and when.

use kernelsight::{
    agent::docket::{Docket, Ending},
    decide::Attempt,
    execute::ActionRequest,
    explain::{Incident, IncidentStatus, IncidentUid},
    numbers,
    observe::{Entity, Severity, Signal, SignalType},
    verify::Verdict,
};

fn incident(severity: Severity, opened_ms: i64) -> Incident {
    let primary = Signal {
        id: 1,
        signal_type: SignalType::LoadMismatch,
        measure: "psi_some_percent".into(),
        entity: Entity::Node,
        severity,
        peak_severity: severity,
        pressure: 0.5,
        value: 50.0,
        numbers: numbers! {},
        sentence: String::new(),
        first_seen_ms: opened_ms,
        last_seen_ms: opened_ms,
        count: 1,
        closed_ms: None,
        lost_events: 0,
    };
    Incident {
        uid: IncidentUid(format!("incident of {opened_ms}")),
        opened_ms,
        closed_ms: None,
        status: IncidentStatus::Open,
        severity,
        title: String::new(),
        primary,
        symptoms: Vec::new(),
        fingerprint: String::new(),
    }
}

fn attempt() -> Attempt {
    let action = ActionRequest { action_type: "flush_buffers".into(), params: serde_json::Map::new() };
    Attempt { actions: action.into(), result: "unchanged".into(), is_test: false }
}

fn acted(verdict: Verdict) -> Ending {
    Ending::Acted { attempt: attempt(), verdict }
}

/// One that heard of them at 0.
fn docket_that_knows(incidents: &[Incident]) -> Docket {
    let mut docket = Docket::default();
    assert_eq!(docket.due(incidents, 0), []);
    docket
}

#[test]
fn an_incident_is_given_two_seconds_before_the_first_look() {
    let mut docket = Docket::default();
    // A signal lasts before it is one, so the incident opened before anybody heard of it.
    let incidents = [incident(Severity::High, 5_000)];
    assert_eq!(docket.due(&incidents, 10_000), []);
    assert_eq!(docket.due(&incidents, 11_999), []);
    assert_eq!(docket.due(&incidents, 12_000).len(), 1);
}

#[test]
fn a_critical_incident_is_looked_at_at_once() {
    assert_eq!(Docket::default().due(&[incident(Severity::Critical, 10_000)], 10_000).len(), 1);
}

#[test]
fn a_low_incident_is_not_worked_on() {
    assert_eq!(Docket::default().due(&[incident(Severity::Low, 0)], 100_000), []);
}

#[test]
fn an_incident_is_not_taken_up_twice_at_once() {
    let incidents = [incident(Severity::High, 0)];
    let mut docket = docket_that_knows(&incidents);
    assert_eq!(docket.due(&incidents, 10_000).len(), 1);
    assert_eq!(docket.due(&incidents, 20_000), []);
    assert!(docket.take(&incidents[0].uid).is_err());
}

#[test]
fn at_most_four_incidents_are_worked_on_at_once() {
    let incidents: Vec<_> = (0..6).map(|at| incident(Severity::High, at)).collect();
    let mut docket = docket_that_knows(&incidents);
    assert_eq!(docket.due(&incidents, 10_000).len(), 4);
    docket.close(&incidents[0].uid, Ending::LeftAlone, 10_000);
    assert_eq!(docket.due(&incidents, 10_001).len(), 1);
}

#[test]
fn looks_that_lead_to_nothing_come_ever_later() {
    let incidents = [incident(Severity::High, 0)];
    let mut docket = docket_that_knows(&incidents);
    let mut now_ms = 2_000;
    assert_eq!(docket.due(&incidents, now_ms).len(), 1);
    let mut waits = Vec::new();
    for _ in 0..7 {
        docket.close(&incidents[0].uid, Ending::LeftAlone, now_ms);
        let wait_ms =
            (0..).step_by(1_000).find(|wait_ms| !docket.due(&incidents, now_ms + wait_ms).is_empty()).unwrap();
        waits.push(wait_ms);
        now_ms += wait_ms;
    }
    assert_eq!(waits, [3_000, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
}

#[test]
fn after_three_actions_a_person_is_asked() {
    let incidents = [incident(Severity::High, 0)];
    let mut docket = docket_that_knows(&incidents);
    for round in 1..=3 {
        let due = docket.due(&incidents, round * 100_000);
        assert_eq!(due[0].1.len() as i64, round - 1);
        docket.close(&incidents[0].uid, acted(Verdict::Unchanged), round * 100_000);
    }
    assert_eq!(docket.due(&incidents, 1_000_000), []);
}

#[test]
fn tests_of_suspicions_are_none_of_the_three() {
    let incidents = [incident(Severity::High, 0)];
    let mut docket = docket_that_knows(&incidents);
    for round in 1..=5 {
        assert_eq!(docket.due(&incidents, round * 100_000).len(), 1);
        let attempt = Attempt { is_test: round > 2, ..attempt() };
        let ending = Ending::Acted { attempt, verdict: Verdict::Unchanged };
        docket.close(&incidents[0].uid, ending, round * 100_000);
    }
    let due = docket.due(&incidents, 600_000);
    assert_eq!(due[0].1.len(), 5);
    docket.close(&incidents[0].uid, acted(Verdict::Unchanged), 600_000);
    assert_eq!(docket.due(&incidents, 1_000_000), []);
}

#[test]
fn a_test_that_changes_nothing_does_not_pull_the_brake_and_one_that_harms_does() {
    let after = |is_test, verdict| {
        let ending = Ending::Acted { attempt: Attempt { is_test, ..attempt() }, verdict };
        ending.failures_in_a_row(2)
    };
    let all = [Verdict::Resolved, Verdict::Improved, Verdict::Unchanged, Verdict::Worse];
    assert_eq!(all.map(|verdict| after(false, verdict)), [0, 0, 3, 3]);
    assert_eq!(all.map(|verdict| after(true, verdict)), [0, 0, 2, 3]);
    assert_eq!(Ending::LeftAlone.failures_in_a_row(2), 2);
    assert_eq!(Ending::Refused { attempt: attempt() }.failures_in_a_row(2), 2);
}

#[test]
fn an_incident_that_waits_for_an_operator_is_left_to_him() {
    let incidents = [incident(Severity::High, 0)];
    let mut docket = docket_that_knows(&incidents);
    assert_eq!(docket.due(&incidents, 10_000).len(), 1);
    docket.close(&incidents[0].uid, Ending::AwaitsApproval, 10_000);
    assert_eq!(docket.due(&incidents, 1_000_000), []);
    docket.release(&incidents[0].uid, attempt(), 1_000_000);
    let due = docket.due(&incidents, 1_005_000);
    assert_eq!(due[0].1, [attempt()]);
}

#[test]
fn what_becomes_worse_while_an_operator_is_asked_is_decided_anew() {
    let asked = [incident(Severity::Medium, 0)];
    let mut docket = docket_that_knows(&asked);
    assert_eq!(docket.due(&asked, 10_000).len(), 1);
    docket.close(&asked[0].uid, Ending::AwaitsApproval, 10_000);
    assert_eq!(docket.due(&asked, 20_000), []);
    let worse = [incident(Severity::Critical, 0)];
    assert_eq!(docket.due(&worse, 21_000).len(), 1);
    assert_eq!(docket.outgrown(), [worse[0].uid.clone()]);
    docket.close(&worse[0].uid, Ending::AwaitsApproval, 21_000);
    assert_eq!(docket.due(&worse, 1_000_000), [], "it waits anew");
    assert_eq!(docket.outgrown(), []);
}

#[test]
fn what_becomes_worse_during_a_look_is_decided_anew_though_that_asks_an_operator() {
    let asked = [incident(Severity::Medium, 0)];
    let mut docket = docket_that_knows(&asked);
    assert_eq!(docket.due(&asked, 10_000).len(), 1);
    let worse = [incident(Severity::Critical, 0)];
    assert_eq!(docket.due(&worse, 10_500), [], "the look goes on");
    docket.close(&asked[0].uid, Ending::AwaitsApproval, 11_000);
    assert_eq!(docket.due(&worse, 11_001).len(), 1);
}

#[test]
fn the_same_conclusion_is_recorded_once() {
    let mut docket = Docket::default();
    let uid = IncidentUid("one".into());
    assert!(docket.is_new(&uid, "advise: look".into()));
    assert!(!docket.is_new(&uid, "advise: look".into()));
    assert!(docket.is_new(&uid, "act".into()));
}

#[test]
fn what_a_model_says_has_an_incident_looked_at_again_though_a_proposal_waits() {
    let incidents = [incident(Severity::High, 0)];
    let uid = incidents[0].uid.clone();
    let mut docket = docket_that_knows(&incidents);
    assert_eq!(docket.due(&incidents, 10_000).len(), 1);
    // While it is worked on it is not taken up twice, and not forgotten.
    docket.look_again(&uid);
    assert_eq!(docket.due(&incidents, 10_500), []);
    docket.close(&uid, Ending::AwaitsApproval, 11_000);
    assert_eq!(docket.due(&incidents, 11_000).len(), 1);
    assert_eq!(docket.outgrown(), std::slice::from_ref(&uid));
    docket.close(&uid, Ending::AwaitsApproval, 12_000);
    assert_eq!(docket.due(&incidents, 12_000), []);
}
