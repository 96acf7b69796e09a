//! Rows that the store's tests keep.

use kernelsight::{
    decide::{Confidence, ConfidencePart, Decision, FailureMode, Hypothesis, Prediction, Proposal},
    execute::{ActionRequest, Denial, Outcome, OutcomeStatus, Undo, journal::Intent},
    explain::{Incident, IncidentStatus, IncidentUid},
    numbers,
    observe::{
        Entity, ProcessId, Severity, Signal, SignalType,
        event::BlockOperation,
        sample::{BlockCounters, Disk, Interface, KernelSample, Load, Log2Histogram, Memory, NodeSample},
        window::Tick,
    },
    reflect::{Phase, Trace, TraceStep},
    store::{Limits, ProposalRow, ProposalStatus, Store},
    text::Text,
    verify::{Verdict, Verification},
};
use serde_json::json;
use tempfile::TempDir;

pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

pub(crate) fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(opening.set_aside, None);
    assert_eq!(opening.notes, Vec::<String>::new());
    (dir, store)
}

pub(crate) fn process(pid: u32, comm: &str) -> Entity {
    Entity::Process { id: ProcessId { pid, start_ticks: 53_412 }, comm: Text::from(comm) }
}

pub(crate) fn signal(id: i64) -> Signal {
    Signal {
        id,
        signal_type: SignalType::MemoryPressure,
        measure: "psi_some_percent".into(),
        entity: process(812, "python3"),
        severity: Severity::Medium,
        peak_severity: Severity::High,
        pressure: 0.625,
        value: 31.5,
        numbers: numbers! { rss_bytes: 5_368_709_120.0, growth_bytes_per_s: 1_048_576.5 },
        sentence: "python3 (pid 812) holds 5.0 GiB and grows by 1.0 MiB/s".to_owned(),
        first_seen_ms: NOW_MS + id,
        last_seen_ms: NOW_MS + id + 12_000,
        count: 12,
        closed_ms: None,
        lost_events: 3,
    }
}

pub(crate) fn incident(uid: &str, opened_ms: i64) -> Incident {
    Incident {
        uid: IncidentUid(uid.to_owned()),
        opened_ms,
        closed_ms: None,
        status: IncidentStatus::AwaitingApproval,
        severity: Severity::High,
        title: "python3 leaks memory".to_owned(),
        primary: signal(1),
        symptoms: vec![signal(2)],
        fingerprint: "memory_pressure/psi_some_percent/process:python3".to_owned(),
    }
}

pub(crate) fn renice() -> ActionRequest {
    let serde_json::Value::Object(params) = json!({ "pid": 812, "priority": 10 }) else { unreachable!() };
    ActionRequest { action_type: "lower_process_priority".to_owned(), params }
}

pub(crate) fn proposal(incident: &str) -> Proposal {
    Proposal {
        only_with_approval: None,
        case: None,
        incident: IncidentUid(incident.to_owned()),
        author: "rules".to_owned(),
        hypotheses: vec![Hypothesis {
            failure_mode: FailureMode::CpuHog,
            statement: "python3 takes a CPU".to_owned(),
            evidence_for: vec!["98 % of one CPU".to_owned()],
            evidence_against: Vec::new(),
            confidence: 0.75,
        }],
        decision: Decision::Act {
            actions: renice().into(),
            targets: vec![ProcessId { pid: 812, start_ticks: 53_412 }],
            prediction: Prediction {
                signal_type: SignalType::LoadMismatch,
                measure: "run_queue_p99_ms".to_owned(),
                entity: Entity::Node,
                before: 40.0,
                after: 30.0,
                lower_is_better: true,
                within_s: 10,
                statement: "the wait falls to 30 ms".to_owned(),
            },
            is_test: false,
        },
        justification: "the mildest that suffices".to_owned(),
        confidence: Confidence::of(vec![ConfidencePart { name: "evidence".to_owned(), factor: 0.75 }]),
    }
}

/// It waits for an operator.
pub(crate) fn proposed(incident: &str) -> ProposalRow {
    ProposalRow {
        id: 0,
        incident: IncidentUid(incident.to_owned()),
        trace_id: Some(4),
        proposal: proposal(incident),
        status: ProposalStatus::Pending,
        made_at_ms: NOW_MS,
        expires_ms: NOW_MS + 600_000,
        settled_ms: None,
        by: None,
        reason: None,
    }
}

pub(crate) fn trace(incident: &str, after: f64, verdict: Verdict) -> Trace {
    Trace {
        trace_id: 0,
        incident: IncidentUid(incident.to_owned()),
        timestamp: NOW_MS,
        observation: "run queue p99 is 40 ms".to_owned(),
        hypothesis: "python3 takes a CPU".to_owned(),
        evidence: "98 % of one CPU".to_owned(),
        predicted_outcome: "the wait falls to 30 ms".to_owned(),
        recommended_action: "lower_process_priority".to_owned(),
        confidence: 0.75,
        actual_outcome: Some("it fell".to_owned()),
        prediction_accurate: Some(true),
        accuracy: Some(0.5),
        lessons_learned: Some("expect half".to_owned()),
        autonomy: "guardian".to_owned(),
        closed_ms: Some(NOW_MS + 30_000),
        steps: vec![TraceStep { phase: Phase::Observe, at_ms: NOW_MS, text: "run queue p99 is 40 ms".to_owned() }],
        explanation: None,
        forecast: None,
        proposal: Some(proposal(incident)),
        denial: Some(Denial { reason: "protected".to_owned(), rule: "protected.comm".to_owned() }),
        outcomes: vec![Outcome {
            action_id: Some(1),
            action: renice(),
            command: "renice -n 10 -p 812".to_owned(),
            status: OutcomeStatus::Done,
            output: String::new(),
            duration_ms: 3,
            change: "nice 0 -> 10".to_owned(),
            lease_until_ms: None,
        }],
        verification: Some(Verification {
            verdict,
            before: 40.0,
            after: Some(after),
            severity_before: Severity::High,
            severity_after: Severity::Low,
            samples: 5,
            settled_s: 10.0,
            statement: "40 ms -> less".to_owned(),
        }),
        undone: vec![],
    }
}

pub(crate) fn intent(made_at_ms: i64) -> Intent {
    Intent {
        incident: Some(IncidentUid("0190-a".to_owned())),
        author: "rules".to_owned(),
        approved_by: None,
        rule: "commands.renice".to_owned(),
        action: renice(),
        command: "renice -n 10 -p 812".to_owned(),
        target: "python3 (pid 812)".to_owned(),
        undo: Undo::Continue { process: ProcessId { pid: 812, start_ticks: 53_412 } },
        boot_id: "b".to_owned(),
        lease_until_ms: None,
        made_at_ms,
        uptime_ms: 60_000,
        target_key: "process:812@53412".to_owned(),
        deed: "deed-1".to_owned(),
    }
}

pub(crate) fn tick(wall_ms: i64) -> Tick {
    let mut latency = Log2Histogram::default();
    latency.slots[20] = 7;
    Tick {
        at_ns: 1,
        wall_ms,
        seconds: Some(1.0),
        node: NodeSample {
            memory: Some(Memory { total_bytes: 8 << 30, available_bytes: 3 << 30, ..Memory::default() }),
            load: Some(Load { one: 1.5, five: 1.25, fifteen: 1.0, runnable: 2, tasks: 300 }),
            disks: vec![
                Disk { name: Text::from("sda"), reads: 10, read_bytes: 40_960, ..Disk::default() },
                Disk { name: Text::from("loop7"), ..Disk::default() },
            ],
            interfaces: vec![Interface {
                name: Text::from("eth0"),
                up: true,
                received_packets: 5,
                ..Interface::default()
            }],
            ..NodeSample::default()
        },
        processes: Vec::new(),
        recent_calls: None,
        sockets: None,
        cgroups: Vec::new(),
        kernel: KernelSample {
            block: Some(vec![BlockCounters {
                device: Text::from("sda"),
                operation: BlockOperation::Read,
                latency,
                bytes: 28_672,
                errors: 0,
                in_flight: -1,
            }]),
            ..KernelSample::default()
        },
        events: Vec::new(),
        events_seen: 0,
        lost: 0,
    }
}
