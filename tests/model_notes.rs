//! What incidents and proposals tell of the model beside them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anstream::adapter::strip_str;
use expect_test::{Expect, expect};
use jiff::tz::TimeZone;
use kernelsight::{
    cli::{eyes::Eyes, incidents, proposals},
    explain::IncidentUid,
    live::Operator,
    llm::ModelChoice,
    mind::{
        Ending, Mind, ModelSettings, ModelStatus, OpenCase, brief::About, case::NewCase, names::Names,
        settings::Decide, veil::Veil, watchtower::ModelState,
    },
    store::ProposalStatus,
    tools::{Caller, Role, call, get_incident, list_incidents, list_proposals},
};
use serde_json::{Value, json};

use crate::{
    cli_values::proposal,
    door_support::{House, NOW_MS, incident},
};

fn choice() -> ModelChoice {
    ModelChoice { provider: "gemini".to_owned(), model: "scripted".to_owned(), base_url: None }
}

fn status(state: ModelState, thinks_about: Option<IncidentUid>) -> Option<ModelStatus> {
    Some(ModelStatus { choice: choice(), decide: Decide::Both, state, thinks_about, came_to_nothing: None })
}

fn waiting() -> ModelState {
    ModelState::Waiting { for_ms: 12_000, why: "it takes no more requests just now".to_owned() }
}

fn suspended() -> ModelState {
    ModelState::Suspended { why: "a call took 61 s;\n60 are the most".to_owned() }
}

fn other() -> IncidentUid {
    IncidentUid("01ffffff-0000-7000-8000-000000000000".to_owned())
}

fn eyes() -> Eyes {
    Eyes { now_ms: NOW_MS, zone: TimeZone::UTC, width: None }
}

/// The last line of each: of all incidents, of one, of proposals.
fn told(model: &Option<ModelStatus>) -> String {
    let listed = list_incidents::Answer { incidents: vec![incident()], model: model.clone(), unread: Vec::new() };
    let one = get_incident::Answer {
        incident: incident(),
        traces: Vec::new(),
        cases: Vec::new(),
        model: model.clone(),
        unread: Vec::new(),
    };
    let shown = list_proposals::Shown { row: proposal(), dry_runs: Vec::new(), no_dry_run: None };
    let proposed = list_proposals::Answer { proposals: vec![shown], model: model.clone(), unread: Vec::new() };
    let last = |text: String| strip_str(&text).to_string().lines().last().unwrap().to_owned();
    let lines = [
        last(incidents::text(&listed, &eyes())),
        last(incidents::one(&one, &eyes())),
        last(proposals::text(&proposed, &eyes())),
    ];
    lines.join("\n")
}

fn check(model: &Option<ModelStatus>, expected: Expect) {
    expected.assert_eq(&told(model));
}

#[test]
fn a_model_that_thinks_about_it_waits_or_is_suspended_is_told_in_one_line() {
    check(
        &status(ModelState::Asked { for_ms: 900 }, Some(incident().uid)),
        expect![[r#"
        The model gemini/scripted: thinks about 019a9b1c-2d3e
        The model gemini/scripted: thinks about 019a9b1c-2d3e
        The model gemini/scripted: thinks about 019a9b1c-2d3e"#]],
    );
    check(
        &status(waiting(), Some(incident().uid)),
        expect![[r#"
        The model gemini/scripted: thinks about 019a9b1c-2d3e; asked again in 12 s: it takes no more requests just now
        The model gemini/scripted: thinks about 019a9b1c-2d3e; asked again in 12 s: it takes no more requests just now
        The model gemini/scripted: thinks about 019a9b1c-2d3e; asked again in 12 s: it takes no more requests just now"#]],
    );
    check(
        &status(suspended(), None),
        expect![[r#"
        The model gemini/scripted: suspended, nothing is done on its word: a call took 61 s; 60 are the most
        The model gemini/scripted: suspended, nothing is done on its word: a call took 61 s; 60 are the most
        The model gemini/scripted: suspended, nothing is done on its word: a call took 61 s; 60 are the most"#]],
    );
}

#[test]
fn one_that_idles_or_thinks_about_another_is_no_news() {
    check(
        &None,
        expect![[r#"
        1 incident is open. More of one: `kernelsight incidents ID`, `kernelsight trace ID`.
        The loop has not taken it up.
          story    kernelsight trace 12"#]],
    );
    assert_eq!(told(&status(ModelState::Idle, None)), told(&None));
    assert_eq!(told(&status(ModelState::Asked { for_ms: 900 }, Some(other()))), told(&None));
}

#[test]
fn that_the_last_case_came_to_nothing_is_told_until_one_comes_to_something() {
    let idle = status(ModelState::Idle, None).unwrap();
    check(
        &Some(ModelStatus { came_to_nothing: Some("there is no such model:\ngpt-x".to_owned()), ..idle }),
        expect![[r#"
        The model gemini/scripted: the last case came to nothing: there is no such model: gpt-x
        The model gemini/scripted: the last case came to nothing: there is no such model: gpt-x
        The model gemini/scripted: the last case came to nothing: there is no such model: gpt-x"#]],
    );
    let mind = Mind::new(ModelSettings::default(), Some(choice()), 1);
    let told = || mind.status().unwrap().came_to_nothing;
    let why = vec!["process 7 is not there".to_owned(), "nor is 8".to_owned()];
    assert_eq!(told(), None);
    mind.came_of(&Ending::Refused { why });
    assert_eq!(told().as_deref(), Some("what it said was not so: process 7 is not there; nor is 8"));
    mind.came_of(&Ending::Answered { text: "It is calm.".to_owned() });
    assert_eq!(told(), None);
    mind.came_of(&Ending::Stopped { why: "\u{1b}[2Jall is well".to_owned() });
    assert!(!told().unwrap().contains('\u{1b}'), "{:?}", told());
    mind.came_of(&Ending::Late);
    assert_eq!(told().as_deref(), Some("its time was over"));
    mind.choose(Some(choice()));
    assert_eq!(told(), None);
}

#[test]
fn lists_that_are_empty_tell_of_a_suspended_one_too_and_what_is_over_does_not() {
    let model = status(suspended(), None);
    let none = list_incidents::Answer { incidents: Vec::new(), model: model.clone(), unread: Vec::new() };
    let text = strip_str(&incidents::text(&none, &eyes())).to_string();
    assert!(text.starts_with("Nothing is wrong, and nothing was.\nThe model gemini/scripted: suspended"), "{text}");
    let none = list_proposals::Answer { proposals: Vec::new(), model: model.clone(), unread: Vec::new() };
    let text = strip_str(&proposals::text(&none, &eyes())).to_string();
    assert!(text.starts_with("Nothing waits for you.\n\nThe model gemini/scripted: suspended"), "{text}");
    let mut past = incident();
    past.closed_ms = Some(NOW_MS);
    let one = get_incident::Answer { incident: past, traces: Vec::new(), cases: Vec::new(), model, unread: Vec::new() };
    assert!(!incidents::one(&one, &eyes()).contains("The model"));
    // Of a proposal that was settled nobody waits for what a model thinks.
    let mut settled = proposal();
    settled.status = ProposalStatus::Denied;
    let thinks = status(ModelState::Idle, Some(settled.incident.clone()));
    let shown = list_proposals::Shown { row: settled, dry_runs: Vec::new(), no_dry_run: None };
    let answer = list_proposals::Answer { proposals: vec![shown], model: thinks, unread: Vec::new() };
    assert!(!proposals::text(&answer, &eyes()).contains("thinks about"));
}

#[test]
fn the_daemon_tells_what_is_thought_about_until_it_is_over() {
    let mut house = House::open(Role::Viewer);
    house.daemon.mind = Mind::new(ModelSettings::default(), Some(choice()), 1);
    house.daemon.change().incidents = vec![incident()];
    let new = NewCase {
        id: 1,
        about: About::Incident,
        incident: Some(incident()),
        model: choice(),
        options: Vec::new(),
        forbidden: Vec::new(),
        rules: None,
        packet: json!({}),
        around: Names::default(),
        within: Duration::from_secs(60),
        veil: Veil::default(),
    };
    let (case, _ended) = OpenCase::open(new);
    let case = Arc::new(case);
    let uid = json!(incident().uid);
    let prefix = json!({ "incident": "019a9b1c" });
    let thought = || {
        ["list_incidents", "get_incident", "list_proposals"].map(|tool| {
            let params = if tool == "get_incident" { prefix.clone() } else { json!({}) };
            ask(&house, tool, params)["model"]["thinks_about"].clone()
        })
    };
    assert!(house.daemon.mind.lay(Arc::clone(&case)));
    assert_eq!(thought(), [Value::Null, Value::Null, Value::Null], "it only waits");
    assert!(house.daemon.mind.take().is_some());
    assert_eq!(thought(), [uid.clone(), uid.clone(), uid]);
    house.daemon.mind.watch(|tower| tower.waits(Instant::now() + Duration::from_secs(30), "so".to_owned()));
    assert_eq!(ask(&house, "list_incidents", json!({}))["model"]["state"], "waiting");
    case.end(Ending::Late);
    assert_eq!(thought(), [Value::Null, Value::Null, Value::Null]);
    house.daemon.mind.choose(None);
    assert_eq!(ask(&house, "list_incidents", json!({})).get("model"), None);
}

/// As a viewer, of the daemon as it is now.
fn ask(house: &House, tool: &str, params: Value) -> Value {
    let caller = Caller::new(Operator { uid: 1000, pid: 1, name: "ann".to_owned() }, Role::Viewer);
    let asked = call(&house.daemon, &caller, tool, params.as_object().unwrap().clone());
    house.runtime.block_on(asked).unwrap()
}
