//! What each verb prints for eyes.

use anstream::adapter::strip_str;
use expect_test::{Expect, expect};
use jiff::tz::TimeZone;
use kernelsight::{
    cli::{
        actions, autonomy,
        doctor::{self, Check, Health},
        eyes::{self, Eyes},
        incidents, predict, proposals, signals, status, trace, trends, watch,
    },
    decide::{Confidence, ConfidencePart, Decision, Prediction, Proposal},
    execute::{ActionRequest, Intent, JournalRow, JournalState, Undo},
    explain::{Baseline, Direction, IncidentStatus, Trend},
    live::{Autonomy, News, PartState},
    observe::{Entity, Event, ProcessId, Severity, SignalType, event::What},
    reflect::{Phase, TraceStep},
    simulate::{Forecast, Projection},
    store::{ProposalRow, ProposalStatus},
    tools::{
        get_incident, list_actions, list_incidents, list_proposals, list_traces, query_signals, set_autonomy,
        simulate_scenario, summarize_trends,
    },
    verify::Verdict,
};
use serde_json::json;

use crate::door_support::{NOW_MS, incident, outcome, signal, status as daemon_status};

fn eyes() -> Eyes {
    Eyes { now_ms: NOW_MS, zone: TimeZone::UTC, width: None }
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&strip_str(text).to_string());
}

#[test]
fn status_says_first_whether_all_is_well() {
    let first =
        |status: &_| status::text(status, false, &eyes()).lines().next().map(|line| strip_str(line).to_string());
    let mut status = daemon_status();
    assert_eq!(first(&status).unwrap(), "The node is well: nothing is abnormal; but of the agent, 1 part is off.");
    status.parts[1].state = PartState::On;
    assert_eq!(first(&status).unwrap(), "All is well: nothing is abnormal, and all 3 parts work.");
    status.open_signals = 2;
    assert_eq!(
        first(&status).unwrap(),
        "Nothing is wrong, but 2 signals are open (`kernelsight signals`); the agent is whole."
    );
    status.open_incidents = 1;
    assert_eq!(first(&status).unwrap(), "Not well: 1 incident is open (`kernelsight incidents`); the agent is whole.");
}

#[test]
fn status_shows_what_does_not_work_and_what_it_costs() {
    let mut status = daemon_status();
    status.events_lost = 12;
    status.notes.push("the database was damaged; it was set aside as kernelsight.db.damaged-1".to_owned());
    check(&status::text(&status, false, &eyes()), expect![[""]]);
    check(&status::text(&status, true, &eyes()), expect![[""]]);
}

#[test]
fn signals_are_a_table_with_open_ones_first() {
    let mut past = signal();
    (past.id, past.closed_ms, past.lost_events) = (2, Some(NOW_MS - 4000), 3);
    let answer =
        query_signals::Answer { signals: vec![signal(), past], open: 1, lookback_minutes: 60, truncated: false };
    check(&signals::text(&answer, &eyes()), expect![[""]]);
    let none = query_signals::Answer { signals: Vec::new(), open: 0, lookback_minutes: 90, truncated: false };
    check(&signals::text(&none, &eyes()), expect![[""]]);
}

#[test]
fn a_narrow_terminal_wraps_and_no_line_is_wider() {
    let answer = query_signals::Answer { signals: vec![signal()], open: 1, lookback_minutes: 60, truncated: false };
    let narrow = Eyes { width: Some(72), ..eyes() };
    let text = signals::text(&answer, &narrow);
    let lines: Vec<String> = text.lines().map(|line| strip_str(line).to_string()).collect();
    assert!(lines.len() > 4, "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 72), "{text}");
}

#[test]
fn incidents_are_one_row_each() {
    let mut past = incident();
    (past.status, past.closed_ms) = (IncidentStatus::Resolved, Some(NOW_MS));
    let mut waits = incident();
    waits.status = IncidentStatus::AwaitingApproval;
    let answer = list_incidents::Answer { incidents: vec![incident(), waits, past] };
    check(&incidents::text(&answer, &eyes()), expect![[""]]);
    check(&incidents::text(&list_incidents::Answer { incidents: Vec::new() }, &eyes()), expect![[""]]);
    check(
        &incidents::one(&get_incident::Answer { incident: incident(), traces: vec![head()] }, &eyes()),
        expect![[""]],
    );
}

#[test]
fn traces_are_one_row_each() {
    let mut denied = head();
    (denied.trace_id, denied.verdict, denied.denied) = (13, None, Some("sshd is protected".to_owned()));
    let mut undone = head();
    (undone.trace_id, undone.verdict, undone.undone) = (14, Some(Verdict::Unchanged), true);
    let answer = list_traces::Answer { traces: vec![undone, denied, head()] };
    check(&trace::text(&answer, &eyes()), expect![[""]]);
}

#[test]
fn a_proposal_says_what_why_and_how_to_answer() {
    let answer = list_proposals::Answer { proposals: vec![proposal()] };
    check(&proposals::text(&answer, &eyes()), expect![[""]]);
    let mut denied = proposal();
    (denied.status, denied.by, denied.reason) =
        (ProposalStatus::Denied, Some("ann".to_owned()), Some("it is the backup".to_owned()));
    denied.settled_ms = Some(NOW_MS);
    let answer = list_proposals::Answer { proposals: vec![denied] };
    let text = strip_str(&proposals::text(&answer, &eyes())).to_string();
    assert!(text.contains("settled  10:00:00 (now) by ann: it is the backup"), "{text}");
    assert!(!text.contains("approve"), "{text}");
}

#[test]
fn actions_say_what_stands_and_how_to_take_it_back() {
    let answer = list_actions::Answer { actions: vec![action()] };
    check(&actions::text(&answer, &eyes()), expect![[""]]);
    check(&actions::outcome(&outcome(), &eyes()), expect![[""]]);
}

#[test]
fn trends_show_what_moves_beside_what_is_usual() {
    let moving = summarize_trends::Series {
        measure: "rss_bytes".to_owned(),
        entity: "process:812@53412".to_owned(),
        trend: Some(rising()),
        unknown: None,
        usual: Some(usual()),
    };
    let unknown = summarize_trends::Series {
        measure: "rss_bytes".to_owned(),
        entity: "process:9@1".to_owned(),
        trend: None,
        unknown: Some("3 points, 10 are needed".to_owned()),
        usual: None,
    };
    let answer = summarize_trends::Answer {
        signal_type: SignalType::MemoryPressure,
        window_minutes: 5,
        series: vec![moving, unknown],
        pattern: summarize_trends::Pattern {
            signals: 2,
            open: 1,
            worst: Severity::High,
            about: vec![("process:python3".to_owned(), 2)],
            stood_s: 95.0,
        },
    };
    check(&trends::text(std::slice::from_ref(&answer), false, &eyes()), expect![[""]]);
    check(&trends::text(&[answer], true, &eyes()), expect![[""]]);
}

#[test]
fn a_prediction_shows_its_arithmetic() {
    let answer = simulate_scenario::Answer {
        signal_type: SignalType::MemoryPressure,
        duration_minutes: 30,
        incidents: vec![simulate_scenario::Scenario {
            incident: incident().uid,
            title: incident().title,
            culprit: None,
            forecast: Forecast {
                if_nothing_is_done: "OOM in 21 min if nothing is done".to_owned(),
                projections: vec![Projection {
                    what: "node memory".to_owned(),
                    current: 35.2,
                    slope_per_min: 1.18,
                    threshold: 60.0,
                    unit: "%".to_owned(),
                    minutes: Some(21.0),
                    r_squared: 0.92,
                    points: 30,
                    formula: "35.2 % + 1.18 %/min reaches 60 % in 21.0 min, r² 0.92, 30 points".to_owned(),
                }],
                effects: Vec::new(),
            },
            reached_within: true,
            unknown: vec!["what is usual is not known yet".to_owned()],
        }],
        lines: vec![simulate_scenario::Line { entity: "process:812@53412".to_owned(), trend: rising(), at_end: 4.2e9 }],
    };
    check(&predict::text(&[answer], &eyes()), expect![[""]]);
    let calm = simulate_scenario::Answer {
        signal_type: SignalType::Scheduler,
        duration_minutes: 60,
        incidents: Vec::new(),
        lines: Vec::new(),
    };
    check(&predict::text(&[calm], &eyes()), expect![[""]]);
}

#[test]
fn news_are_one_line_each() {
    let mut closed = signal();
    closed.closed_ms = Some(NOW_MS);
    let step = TraceStep {
        phase: Phase::Decide,
        at_ms: NOW_MS,
        text: "cpu_hog, 0.87 sure.\nlower_process_priority pid=812".to_owned(),
    };
    let event = Event {
        at_ns: 5,
        process: ProcessId { pid: 812, start_ticks: 53_412 },
        comm: "python3".into(),
        cgroup_id: 1,
        what: What::RssStep { rss_bytes: 1 << 30 },
    };
    let news = [
        News::SignalOpened { signal: signal() },
        News::SignalChanged { signal: signal() },
        News::SignalClosed { signal: closed },
        News::IncidentOpened { incident: incident() },
        News::IncidentChanged { incident: incident() },
        News::Step { incident: incident().uid, step },
        News::Note { text: "an action of the run before was taken back".to_owned() },
        News::Raw { event },
    ];
    let lines: Vec<String> = news.iter().map(|news| watch::line(news, &eyes())).collect();
    assert!(lines.iter().all(|line| line.lines().count() == 1));
    check(&lines.join("\n"), expect![[""]]);
}

#[test]
fn the_level_is_told_with_what_it_was() {
    let text = |before, now| autonomy::text(&set_autonomy::Answer { before, now });
    assert_eq!(text(Autonomy::Advisor, Autonomy::Guardian), "The level is guardian now; it was advisor.");
    assert_eq!(text(Autonomy::Agent, Autonomy::Agent), "The level is agent already.");
}

#[test]
fn the_doctor_says_what_works_without_and_how_to_mend() {
    let report = doctor::Report {
        can_run: false,
        checks: vec![
            Check { name: "kernel", health: Health::Good, found: "6.18.0".to_owned(), without: None, mend: None },
            Check {
                name: "pressure (PSI)",
                health: Health::Lacking,
                found: "/proc/pressure is not there".to_owned(),
                without: Some("pressure is judged by what else is known, and later".to_owned()),
                mend: Some("start the kernel with psi=1".to_owned()),
            },
            Check {
                name: "state directory",
                health: Health::Fatal,
                found: "/x cannot be written".to_owned(),
                without: Some("without a database there is no undo journal".to_owned()),
                mend: Some("run as root".to_owned()),
            },
        ],
    };
    check(&doctor::text(&report, &eyes()), expect![[""]]);
}

#[test]
fn numbers_are_said_as_people_say_them() {
    let said: Vec<String> = [
        ("rss_bytes", 1_610_612_736.0),
        ("growth_bytes_per_s", 209_715_200.0),
        ("psi_some_percent", 35.21),
        ("latency_ns", 12_345.0),
        ("run_queue_p99_ns", 4_200_000.0),
        ("wait_ms", 1500.0),
        ("faults_per_s", 123_456.7),
        ("ratio", 0.0321),
        ("count", 0.0),
        ("tiny", 0.000_012),
        ("psi_some_percent", f64::NAN),
    ]
    .into_iter()
    .map(|(measure, value)| eyes::measured(measure, value))
    .collect();
    assert_eq!(
        said,
        [
            "1.5 GiB",
            "200 MiB/s",
            "35.2 %",
            "12.3 µs",
            "4.2 ms",
            "1.5 s",
            "123,457/s",
            "0.032",
            "0",
            "1.2e-5",
            "unknown %"
        ]
    );
    let times: Vec<String> = [0.25, 12.0, 60.0, 185.0, 7800.0, 273_600.0].into_iter().map(eyes::duration).collect();
    assert_eq!(times, ["250 ms", "12 s", "1 min", "3 min 5 s", "2 h 10 min", "3 d 4 h"]);
    assert_eq!(eyes().when(NOW_MS - 86_400_000), "2026-11-20 10:00:00 (1 d ago)");
    assert_eq!(eyes().ago(NOW_MS + 90_000), "in 1 min 30 s");
}

fn head() -> list_traces::Head {
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

fn request() -> ActionRequest {
    ActionRequest {
        action_type: "lower_process_priority".to_owned(),
        params: json!({ "pid": 812, "priority": 10 }).as_object().unwrap().clone(),
    }
}

fn process() -> Entity {
    Entity::Process { id: ProcessId { pid: 812, start_ticks: 53_412 }, comm: "python3".into() }
}

fn proposal() -> ProposalRow {
    ProposalRow {
        id: 7,
        incident: incident().uid,
        trace_id: Some(12),
        proposal: Proposal {
            incident: incident().uid,
            author: "rules".to_owned(),
            hypotheses: Vec::new(),
            decision: Decision::Act {
                action: request(),
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

fn action() -> JournalRow {
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
        },
        state: JournalState::Kept,
        note: "resolved".to_owned(),
        changed_at_ms: NOW_MS,
    }
}

fn rising() -> Trend {
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

fn usual() -> Baseline {
    Baseline { samples: 300, p50: 2e8, p75: 2.5e8, p95: 3e8, p99: 4e8, volatility: 1e7 }
}
