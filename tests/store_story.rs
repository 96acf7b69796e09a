//! Incidents, traces, proposals, permits, denials and the undo journal: what an auditor reads, and what a crash leaves.

use expect_test::expect;
use kernelsight::{
    decide::{Decision, Proposal},
    execute::{
        Undo,
        journal::{Intent, Journal, JournalError, JournalState},
    },
    explain::{IncidentStatus, IncidentUid},
    observe::ProcessId,
    reflect::Trace,
    store::{
        ActionFilter, AuditFilter, DenialRow, IncidentFilter, PermitRow, ProposalRow, ProposalStatus, Store,
        StoreError, TraceFilter,
    },
    verify::Verdict,
};

use crate::store_rows::{NOW_MS, incident, intent, proposed, renice, store, trace};

#[test]
fn an_incident_is_found_by_the_beginning_of_its_uid() {
    let (_dir, store) = store();
    let mut first = incident("0190aaaa-1", NOW_MS);
    let second = incident("0190aaab-2", NOW_MS + 1);
    store.keep_incident(&first).unwrap();
    store.keep_incident(&second).unwrap();
    first.status = IncidentStatus::Resolved;
    first.closed_ms = Some(NOW_MS + 9);
    store.keep_incident(&first).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.incident("0190aaaa").unwrap(), Some(first.clone()));
    assert_eq!(reader.incident("0190aaab-2").unwrap(), Some(second.clone()));
    assert_eq!(reader.incident("%").unwrap(), None);
    assert_eq!(reader.incident("0190aaac").unwrap(), None);
    assert!(matches!(reader.incident("0190"), Err(StoreError::Ambiguous { .. })));
    assert_eq!(reader.incidents(&IncidentFilter::default()).unwrap().rows, vec![second.clone(), first]);
    let open = IncidentFilter { open_only: true, ..IncidentFilter::default() };
    assert_eq!(reader.incidents(&open).unwrap().rows, vec![second.clone()]);
    let alike = IncidentFilter {
        fingerprint: Some(second.fingerprint.clone()),
        since_ms: Some(NOW_MS + 1),
        ..IncidentFilter::default()
    };
    assert_eq!(reader.incidents(&alike).unwrap().rows, vec![second]);
}

#[test]
fn an_incident_that_would_not_read_back_is_refused() {
    let (_dir, store) = store();
    let mut odd = incident("0190", NOW_MS);
    odd.primary.pressure = f64::NAN;
    let error = store.keep_incident(&odd).unwrap_err().to_string();
    expect!["a row for incidents cannot be stored: invalid type: null, expected f64"].assert_eq(&error);
}

#[test]
fn a_trace_has_the_columns_that_an_auditor_asks_for_and_comes_back_whole() {
    let (_dir, store) = store();
    let mut kept = trace("0190-a", 35.0, Verdict::Improved);
    kept.verification = None;
    kept.closed_ms = None;
    let id = store.keep_trace(&mut kept).unwrap();
    assert_eq!((id, kept.trace_id), (1, 1));
    let mut whole = Trace { trace_id: id, ..trace("0190-a", 35.0, Verdict::Improved) };
    store.keep_trace(&mut whole).unwrap();
    let mut other = trace("0190-b", 40.0, Verdict::Unchanged);
    store.keep_trace(&mut other).unwrap();
    assert_eq!(other.trace_id, 2);

    let reader = store.reader().unwrap();
    assert_eq!(reader.trace(1).unwrap(), Some(whole.clone()));
    assert_eq!(reader.trace(3).unwrap(), None);
    let of = TraceFilter { incident: Some("0190-a".to_owned()), ..TraceFilter::default() };
    assert_eq!(reader.traces(&of).unwrap().rows, vec![whole.clone()]);
    assert_eq!(reader.traces(&TraceFilter::default()).unwrap().rows.len(), 2);
    let similar = reader.similar_traces("lower_process_priority", Some("cpu_hog"), 10).unwrap().rows;
    assert_eq!(similar, vec![other, whole]);
    assert_eq!(reader.similar_traces("lower_process_priority", None, 1).unwrap().rows.len(), 1);
    assert_eq!(reader.similar_traces("lower_process_priority", Some("fork_storm"), 10).unwrap().rows, vec![]);

    let connection = rusqlite::Connection::open(store.path()).unwrap();
    connection
        .query_row(
            "SELECT trace_id, timestamp, observation, hypothesis, evidence, predicted_outcome, recommended_action,
                 confidence, actual_outcome, prediction_accurate, lessons_learned FROM reasoning_traces LIMIT 1",
            [],
            |_| Ok(()),
        )
        .unwrap();
}

#[test]
fn beliefs_are_what_the_verified_traces_teach() {
    let (_dir, store) = store();
    // Predicted 40 -> 30; seen 40 -> 35 (half of it), 40 -> 30 (all), 40 -> 40 (none).
    for (after, verdict) in [(35.0, Verdict::Improved), (30.0, Verdict::Resolved), (40.0, Verdict::Unchanged)] {
        store.keep_trace(&mut trace("0190-a", after, verdict)).unwrap();
    }
    let mut unverified = trace("0190-a", 0.0, Verdict::Resolved);
    unverified.verification = None;
    store.keep_trace(&mut unverified).unwrap();
    // A test teaches of its suspect.
    let mut test = trace("0190-a", 40.0, Verdict::Unchanged);
    let Some(Proposal { decision: Decision::Act { is_test, .. }, .. }) = &mut test.proposal else { panic!() };
    *is_test = true;
    store.keep_trace(&mut test).unwrap();
    let beliefs = store.reader().unwrap().beliefs().unwrap();
    assert_eq!(beliefs.len(), 1);
    let belief = &beliefs[0];
    assert_eq!((belief.action_type.as_str(), belief.failure_mode.as_str()), ("lower_process_priority", "cpu_hog"));
    assert_eq!((belief.attempts, belief.successes), (3, 2));
    assert!((belief.mean_effect - -0.125).abs() < 1e-12, "{belief:?}");
    assert!((belief.effect_factor - 0.5).abs() < 1e-12, "{belief:?}");
}

#[test]
fn a_proposal_is_settled_once() {
    let (_dir, store) = store();
    let row = proposed("0190-a");
    let id = store.keep_proposal(&row).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.proposals(true).unwrap().rows, vec![ProposalRow { id, ..row.clone() }]);
    let settle = |status| store.settle_proposal(id, status, "root", "seen", NOW_MS + 5);
    assert!(matches!(settle(ProposalStatus::Executed), Err(StoreError::Settled { .. })), "it is not approved");
    settle(ProposalStatus::Approved).unwrap();
    let late = settle(ProposalStatus::Denied).unwrap_err().to_string();
    expect!["proposal 1 is approved already; only one that is pending can become denied"].assert_eq(&late);
    assert_eq!(reader.proposals(true).unwrap().rows, vec![]);
    settle(ProposalStatus::Executed).unwrap();
    let found = reader.proposal(id).unwrap().unwrap();
    assert_eq!(found.status, ProposalStatus::Executed);
    assert_eq!((found.by.as_deref(), found.settled_ms), (Some("root"), Some(NOW_MS + 5)));
    let absent = store.settle_proposal(99, ProposalStatus::Denied, "root", "", NOW_MS).unwrap_err();
    assert!(matches!(absent, StoreError::Absent { .. }));
}

#[test]
fn permits_and_denials_say_who_what_and_by_which_rule() {
    let (_dir, store) = store();
    let denial = DenialRow {
        id: 0,
        at_ms: NOW_MS,
        incident: Some(IncidentUid("0190-a".to_owned())),
        trace_id: None,
        who: "gemini".to_owned(),
        action: renice(),
        rule: "protected.comm".to_owned(),
        reason: "sshd is protected".to_owned(),
    };
    let permit = PermitRow {
        id: 0,
        at_ms: NOW_MS,
        incident: None,
        trace_id: Some(3),
        who: "root".to_owned(),
        action: renice(),
        command: "renice -n 10 -p 812".to_owned(),
        rule: "commands.renice".to_owned(),
        reason: "approved".to_owned(),
    };
    let (denied, permitted) = (store.keep_denial(&denial).unwrap(), store.keep_permit(&permit).unwrap());
    let reader = store.reader().unwrap();
    assert_eq!(reader.denials(&AuditFilter::default()).unwrap().rows, vec![DenialRow { id: denied, ..denial }]);
    assert_eq!(reader.permits(&AuditFilter::default()).unwrap().rows, vec![PermitRow { id: permitted, ..permit }]);
    let of = AuditFilter { incident: Some("0190-a".to_owned()), ..AuditFilter::default() };
    assert_eq!(reader.denials(&of).unwrap().rows.len(), 1);
    assert_eq!(reader.permits(&of).unwrap().rows.len(), 0);
}

#[test]
fn the_journal_holds_an_intent_whole_and_every_state_it_was_in() {
    let (_dir, store) = store();
    let (first, mut second) = (intent(NOW_MS), intent(NOW_MS + 1));
    second.lease_until_ms = Some(NOW_MS + 60_000);
    // An undo is never cut, however long it is.
    second.undo = Undo::Nice {
        process: ProcessId { pid: 812, start_ticks: 53_412 },
        wrote: "10".to_owned(),
        before: (0..5000)
            .map(|tid| kernelsight::execute::undo::ThreadBefore { tid, start_ticks: 1, value: "0".to_owned() })
            .collect(),
    };
    let (a, b) = (store.intend(&first).unwrap(), store.intend(&second).unwrap());
    let unsettled = |store: &Store| -> Vec<i64> { store.unsettled().unwrap().iter().map(|row| row.id).collect() };
    assert_eq!(unsettled(&store), [a, b]);
    for id in [a, b] {
        store.advance(id, JournalState::Done, "nice 0 -> 10", NOW_MS + 2).unwrap();
    }
    assert_eq!(unsettled(&store), [a, b]);
    for id in [a, b] {
        store.advance(id, JournalState::Kept, "resolved", NOW_MS + 3).unwrap();
    }
    assert_eq!(unsettled(&store), [b], "it is kept under a lease");
    store.advance(b, JournalState::Undone, "nice 10 -> 0", NOW_MS + 4).unwrap();
    assert_eq!(unsettled(&store), Vec::<i64>::new());
    let row = store.get(b).unwrap().unwrap();
    assert_eq!(row.intent, second);
    assert_eq!((row.state, row.note.as_str(), row.changed_at_ms), (JournalState::Undone, "nice 10 -> 0", NOW_MS + 4));
    let reader = store.reader().unwrap();
    let states: Vec<JournalState> = reader.action_steps(b).unwrap().into_iter().map(|(state, ..)| state).collect();
    assert_eq!(states, [JournalState::Intended, JournalState::Done, JournalState::Kept, JournalState::Undone]);
    assert!(matches!(store.advance(99, JournalState::Done, "", 0), Err(JournalError::NoRow { id: 99 })));
    assert_eq!(store.get(99).unwrap(), None);
    let of = ActionFilter { incident: Some("0190-a".to_owned()), limit: Some(1), ..ActionFilter::default() };
    assert_eq!(reader.actions(&of).unwrap().rows[0].id, b);
}

#[test]
fn what_the_store_calls_unsettled_is_what_the_journal_does() {
    let (_dir, store) = store();
    for lease_until_ms in [None, Some(NOW_MS)] {
        for state in JournalState::ALL {
            let id = store.intend(&Intent { lease_until_ms, ..intent(NOW_MS) }).unwrap();
            store.advance(id, state, "", NOW_MS).unwrap();
            let row = store.get(id).unwrap().unwrap();
            let listed = store.unsettled().unwrap().iter().any(|row| row.id == id);
            assert_eq!(listed, row.is_unsettled(), "{state} with lease {lease_until_ms:?}");
        }
    }
}
