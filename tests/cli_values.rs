//! Values that the tests of what verbs print are made of.

use kernelsight::{
    decide::{Confidence, ConfidencePart, Decision, Prediction, Proposal, council::Agreement},
    execute::{ActionRequest, Intent, JournalRow, JournalState, Undo},
    explain::{Baseline, Direction, Trend},
    observe::{Entity, ProcessId, SignalType},
    store::{CaseHead, ProposalRow, ProposalStatus},
    tools::list_traces,
    verify::Verdict,
};
use serde_json::json;

use crate::door_support::{NOW_MS, incident};

pub(crate) fn asked() -> CaseHead {
    CaseHead {
        case: 3,
        begun_ms: NOW_MS,
        author: "gemini/scripted".to_owned(),
        ended: Some("recommended".to_owned()),
        agreement: Some(Agreement::Agrees),
    }
}

pub(crate) fn head() -> list_traces::Head {
    list_traces::Head {
        trace_id: 12,
        incident: incident().uid,
        timestamp: NOW_MS - 9000,
        observation: "memory grows".to_owned(),
        hypothesis: "memory_leak by python3 (pid 812)".to_owned(),
        recommended_action: "limit_cgroup_memory cgroup=/x bytes=1073741824".to_owned(),
        confidence: 0.87,
        verdict: Some(Verdict::Resolved),
        denied: None,
        undone: false,
        closed_ms: Some(NOW_MS),
    }
}

pub(crate) fn request() -> ActionRequest {
    ActionRequest {
        action_type: "lower_process_priority".to_owned(),
        params: json!({ "pid": 812, "priority": 10 }).as_object().unwrap().clone(),
    }
}

pub(crate) fn process() -> Entity {
    Entity::Process { id: ProcessId { pid: 812, start_ticks: 53_412 }, comm: "python3".into() }
}

pub(crate) fn proposal() -> ProposalRow {
    ProposalRow {
        id: 7,
        incident: incident().uid,
        trace_id: Some(12),
        proposal: Proposal {
            only_with_approval: None,
            case: None,
            incident: incident().uid,
            author: "rules".to_owned(),
            hypotheses: Vec::new(),
            decision: Decision::Act {
                actions: request().into(),
                targets: vec![ProcessId { pid: 812, start_ticks: 53_412 }],
                prediction: Prediction {
                    signal_type: SignalType::LoadMismatch,
                    measure: "run_queue_p99_ns".to_owned(),
                    entity: process(),
                    before: 9e6,
                    after: 1e6,
                    lower_is_better: true,
                    within_s: 15,
                    statement: "run-queue p99 falls from 9 ms to 1 ms within 15 s".to_owned(),
                },
                is_test: false,
            },
            justification: "python3 takes 97 % of a CPU that others wait for".to_owned(),
            confidence: Confidence::of(vec![
                ConfidencePart { name: "evidence".to_owned(), factor: 0.9 },
                ConfidencePart { name: "past success".to_owned(), factor: 0.95 },
            ]),
        },
        status: ProposalStatus::Pending,
        made_at_ms: NOW_MS - 30_000,
        expires_ms: NOW_MS + 570_000,
        settled_ms: None,
        by: None,
        reason: None,
    }
}

pub(crate) fn action() -> JournalRow {
    JournalRow {
        id: 3,
        intent: Intent {
            incident: Some(incident().uid),
            author: "rules".to_owned(),
            approved_by: Some("ann".to_owned()),
            rule: "renice".to_owned(),
            action: request(),
            command: "renice -n 10 -p 812".to_owned(),
            target: "python3 (pid 812)".to_owned(),
            undo: Undo::Nothing { why: "a test".to_owned() },
            boot_id: String::new(),
            lease_until_ms: Some(NOW_MS + 600_000),
            made_at_ms: NOW_MS - 20_000,
            uptime_ms: 60_000,
            target_key: "process:812@53412".to_owned(),
            deed: "deed-1".to_owned(),
        },
        state: JournalState::Kept,
        note: "resolved".to_owned(),
        changed_at_ms: NOW_MS,
    }
}

pub(crate) fn rising() -> Trend {
    Trend {
        measure: "rss_bytes".to_owned(),
        current: 1_073_741_824.0,
        slope_per_min: 104_857_600.0,
        r_squared: 0.992,
        direction: Direction::Rising,
        points: 60,
        span_s: 60.0,
    }
}

pub(crate) fn usual() -> Baseline {
    Baseline { samples: 300, p50: 2e8, p75: 2.5e8, p95: 3e8, p99: 4e8, volatility: 1e7 }
}
