//! Who may do what through the door, and how strictly it reads.

use std::sync::Arc;

use expect_test::{Expect, expect};
use kernelsight::{
    explain::IncidentUid,
    live::{Autonomy, News},
    observe::{Event, ProcessId, event::What},
    tools::{Rights, Role, TOOLS, Tier},
};
use serde_json::{Value, json};

use crate::{
    cli_values::proposal,
    door_support::{House, SILENT, ask, incident, note, signal},
};

fn check(answer: Result<Value, String>, expected: Expect) {
    expected.assert_eq(&match answer {
        Ok(value) => format!("ok {value}"),
        Err(text) => text,
    });
}

#[test]
fn a_viewer_may_look_and_no_more() {
    let house = House::open(Role::Viewer);
    house.level(Autonomy::Agent);
    assert!(house.call("get_status", json!({})).is_ok());
    for tool in TOOLS.iter().filter(|tool| tool.tier == Tier::Execute) {
        let refused = house.call(tool.name, json!({})).unwrap_err();
        assert!(refused.contains("only root and the group kernelsight-admin"), "{}: {refused}", tool.name);
    }
    assert_eq!(house.ordered(), Vec::<String>::new());
    let viewer = format!("{} (uid {})", nix_name(), nix::unistd::getuid());
    let refused =
        house.call("set_autonomy", json!({ "level": "agent" })).unwrap_err().replace(&viewer, "ann (uid 1000)");
    check(
        Err(refused),
        expect![
            "ann (uid 1000) may not use set_autonomy: only root and the group kernelsight-admin may approve, deny, undo, execute or change the level"
        ],
    );
}

#[test]
fn a_stranger_sees_nothing_and_is_told_why() {
    let house = House::open(Role::Nobody);
    for tool in TOOLS {
        assert!(house.call(tool.name, json!({})).unwrap_err().contains("may not use"), "{}", tool.name);
    }
    let listed = house.runtime.block_on(async { house.client().await.list_all_tools().await.unwrap() });
    assert!(listed.is_empty());
}

#[test]
fn a_role_is_told_of_the_tools_that_it_may_use() {
    let names = |role| -> Vec<String> {
        let house = House::open(role);
        let tools = house.runtime.block_on(async { house.client().await.list_all_tools().await.unwrap() });
        tools.into_iter().map(|tool| tool.name.into_owned()).collect()
    };
    for role in Role::ALL {
        let his: Vec<&str> = TOOLS.iter().filter(|tool| tool.audience.has(role)).map(|tool| tool.name).collect();
        assert_eq!(names(role), his, "{}", role.name());
    }
}

/// A cell says what comes of a call at a level: `+` it is made, `-` it is not for that role, `^` the level is too low.
#[test]
fn every_tool_by_every_role_and_level() {
    let mut matrix = String::new();
    for role in [Role::Model, Role::Viewer, Role::Admin] {
        let house = House::open(role);
        matrix += &format!("{}\n", role.name());
        for tool in TOOLS {
            let cell = |level| {
                house.level(level);
                match house.kind(tool.name, json!({ "no such parameter": 1 })).as_str() {
                    "role" => '-',
                    "level" => '^',
                    "params" | "no_case" => '+',
                    other => panic!("{}: {other}", tool.name),
                }
            };
            let cells: String = [Autonomy::Advisor, Autonomy::Copilot, Autonomy::Guardian, Autonomy::Agent]
                .map(cell)
                .into_iter()
                .collect();
            matrix += &format!("  {cells} {}\n", tool.name);
        }
        assert_eq!(house.ordered(), Vec::<String>::new());
    }
    expect![[r#"
        model
          ++++ get_status
          ++++ query_signals
          ++++ list_incidents
          ++++ get_incident
          ++++ list_traces
          ++++ query_trace
          ---- query_case
          ---- get_model_metrics
          ++++ query_baseline
          ++++ list_actions
          ++++ list_proposals
          ++++ top_processes
          ++++ describe_process
          ++++ describe_cgroup
          ++++ get_pressure
          ++++ get_logs
          ---- follow
          ++++ summarize_trends
          ++++ simulate_scenario
          ++++ simulate_action
          ++++ find_similar_incidents
          ++++ diff_state
          ++++ verify_claim
          ++++ propose_action
          ++++ check_policy
          ---- ask_model
          ++++ give_opinion
          ++++ draft_recommendation
          ++++ dry_run
          ---- deny_proposal
          ---- undo_action
          ---- undo_all
          ---- pause
          ---- resume
          ---- set_autonomy
          ---- set_model
          ---- approve_proposal
          ---- execute_remediation
          ++++ take_case
          ++++ may_ask
          ++++ record_turn
          ++++ tell_progress
          ++++ end_case
        viewer
          ++++ get_status
          ++++ query_signals
          ++++ list_incidents
          ++++ get_incident
          ++++ list_traces
          ++++ query_trace
          ++++ query_case
          ++++ get_model_metrics
          ++++ query_baseline
          ++++ list_actions
          ++++ list_proposals
          ++++ top_processes
          ++++ describe_process
          ++++ describe_cgroup
          ++++ get_pressure
          ++++ get_logs
          ++++ follow
          ++++ summarize_trends
          ++++ simulate_scenario
          ++++ simulate_action
          ++++ find_similar_incidents
          ++++ diff_state
          ++++ verify_claim
          ++++ propose_action
          ++++ check_policy
          ++++ ask_model
          ---- give_opinion
          ---- draft_recommendation
          ++++ dry_run
          ---- deny_proposal
          ---- undo_action
          ---- undo_all
          ---- pause
          ---- resume
          ---- set_autonomy
          ---- set_model
          ---- approve_proposal
          ---- execute_remediation
          ---- take_case
          ---- may_ask
          ---- record_turn
          ---- tell_progress
          ---- end_case
        admin
          ++++ get_status
          ++++ query_signals
          ++++ list_incidents
          ++++ get_incident
          ++++ list_traces
          ++++ query_trace
          ++++ query_case
          ++++ get_model_metrics
          ++++ query_baseline
          ++++ list_actions
          ++++ list_proposals
          ++++ top_processes
          ++++ describe_process
          ++++ describe_cgroup
          ++++ get_pressure
          ++++ get_logs
          ++++ follow
          ++++ summarize_trends
          ++++ simulate_scenario
          ++++ simulate_action
          ++++ find_similar_incidents
          ++++ diff_state
          ++++ verify_claim
          ++++ propose_action
          ++++ check_policy
          ++++ ask_model
          ---- give_opinion
          ---- draft_recommendation
          ++++ dry_run
          ++++ deny_proposal
          ++++ undo_action
          ++++ undo_all
          ++++ pause
          ++++ resume
          ++++ set_autonomy
          ++++ set_model
          ^+++ approve_proposal
          ^+++ execute_remediation
          ---- take_case
          ---- may_ask
          ---- record_turn
          ---- tell_progress
          ---- end_case
    "#]]
    .assert_eq(&matrix);
}

#[test]
fn an_operator_keeps_a_single_tool_from_a_role() {
    let rights = Rights::parse("[model]\nblock = ['query_trace']\n[viewer]\nallow = ['get_status']").unwrap();
    let refused =
        |role, tool| House::with_rights(Arc::new(move |_, _| role), rights.clone()).kind(tool, json!({ "x": 1 }));
    assert_eq!(refused(Role::Model, "query_trace"), "blocked");
    // It is let in, and has no case to ask for.
    assert_eq!(refused(Role::Model, "query_signals"), "no_case");
    assert_eq!(refused(Role::Viewer, "query_signals"), "blocked");
    assert_eq!(refused(Role::Viewer, "get_status"), "params");
    assert_eq!(refused(Role::Viewer, "undo_all"), "role");
    assert_eq!(refused(Role::Admin, "query_trace"), "params");
    let house = House::with_rights(Arc::new(|_, _| Role::Viewer), rights);
    let listed = house.runtime.block_on(async { house.client().await.list_all_tools().await.unwrap() });
    assert_eq!(listed.iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(), ["get_status"]);
}

#[test]
fn rights_only_narrow_and_leave_an_admin_the_brakes() {
    let wrong = |text: &str| Rights::parse(text).unwrap_err().to_string();
    assert!(
        wrong("[model]\nblock = ['delete_pod']").contains("`model` of tools.toml names `delete_pod`, which is no tool")
    );
    assert!(wrong("[model]\nallow = ['undo_all']").contains("which is not for that role; this file only narrows"));
    assert!(wrong("[viewer]\nallow = ['pause']").contains("this file only narrows"));
    assert!(wrong("[admin]\nblock = ['undo_all']").contains("keeps `undo_all` from admins"));
    assert!(wrong("[admin]\nallow = ['get_status', 'pause', 'undo_all']").contains("keeps `undo_action` from admins"));
    assert!(wrong("[root]\nblock = []").contains("unknown field `root`"));
    assert_eq!(Rights::load(None).unwrap(), Rights::default());
}

#[test]
fn at_advisor_nothing_is_carried_out_whoever_asks() {
    let house = House::open(Role::Admin);
    check(
        house.call("approve_proposal", json!({ "proposal": 7 })),
        expect![
            "approve_proposal does nothing at level advisor: it needs copilot or above (`kernelsight autonomy copilot`)"
        ],
    );
    assert!(house.call("execute_remediation", json!({})).unwrap_err().contains("at level advisor"));
    assert_eq!(house.ordered(), Vec::<String>::new());
}

#[test]
fn an_admin_gives_orders_and_the_spine_knows_who() {
    let house = House::open(Role::Admin);
    let set = house.call("set_autonomy", json!({ "level": "guardian" })).unwrap();
    assert_eq!(set, json!({ "before": "advisor", "now": "guardian" }));
    assert_eq!(
        house.call("approve_proposal", json!({ "proposal": 7 })).unwrap()["outcomes"][0]["change"],
        "nice 0 -> 10"
    );
    house.call("deny_proposal", json!({ "proposal": 8, "reason": "it is mine" })).unwrap();
    house.call("undo_action", json!({ "action": 3 })).unwrap();
    let all = house.call("undo_all", json!({})).unwrap();
    assert_eq!((all["outcomes"].as_array().unwrap().len(), &all["failures"]), (1, &json!(["action 2: it is stuck"])));
    let paused = house.call("pause", json!({ "reason": "the disk is replaced", "for_s": 600 })).unwrap();
    assert_eq!((&paused["kind"], &paused["by"]), (&json!("paused"), &json!("ann")));
    house.call("resume", json!({})).unwrap();
    let params = json!({ "pid": 812, "priority": 10 });
    let asked = json!({ "action_type": "lower_process_priority", "params": params, "justification": "it hogs", "confidence": 0.9 });
    house.call("execute_remediation", asked).unwrap();
    let me = format!("{} (uid {})", nix_name(), nix::unistd::getuid());
    assert_eq!(
        house.ordered(),
        [
            format!("set guardian by {me}").as_str(),
            "approve 7",
            "deny 8: it is mine",
            "undo 3",
            "undo all",
            format!("pause for Some(600) s by {}: the disk is replaced", nix_name()).as_str(),
            "resume",
            r#"lower_process_priority {"pid":812,"priority":10}: it hogs (0.9)"#,
        ]
    );
}

#[test]
fn what_the_spine_refuses_is_told_in_its_words() {
    let house = House::open(Role::Admin);
    house.level(Autonomy::Copilot);
    check(house.call("approve_proposal", json!({ "proposal": 9 })), expect!["refused: proposal 9 is denied already"]);
}

#[test]
fn parameters_are_read_strictly_and_the_error_says_what_would_be_right() {
    let house = House::open(Role::Admin);
    house.level(Autonomy::Agent);
    check(
        house.call("query_signals", json!({ "severity": "high" })),
        expect![
            "query_signals: unknown field `severity`, expected one of `severity_min`, `lookback_minutes`, `signal_types`; it takes severity_min (low|medium|high|critical, optional), lookback_minutes (integer 1 to 525600, optional), signal_types (list of memory_pressure|load_mismatch|io_congestion|network_degradation|tcp_exhaustion|swap_thrashing|block_device_saturation|scheduler|syscall|page_fault, optional)"
        ],
    );
    check(
        house.call("query_trace", json!({ "trace": "one" })),
        expect![[
            r#"query_trace: `trace` is "one": invalid type: string "one", expected i64; it takes trace (integer 1 to 9223372036854775807)"#
        ]],
    );
    check(
        house.call("query_trace", json!({ "trace": 0 })),
        expect![
            "query_trace: `trace` is 0: it must be from 1 to 9223372036854775807; it takes trace (integer 1 to 9223372036854775807)"
        ],
    );
    check(
        house.call("query_trace", json!({})),
        expect!["query_trace: missing field `trace`; it takes trace (integer 1 to 9223372036854775807)"],
    );
    check(
        house.call("get_status", json!({ "all": true })),
        expect!["get_status: unknown field `all`, there are no fields; it takes no parameters"],
    );
    check(
        house.call("set_autonomy", json!({ "level": "root" })),
        expect![[
            r#"set_autonomy: `level` is "root": unknown variant `root`, expected one of `advisor`, `copilot`, `guardian`, `agent`; it takes level (advisor|copilot|guardian|agent)"#
        ]],
    );
    check(
        house.call(
            "execute_remediation",
            json!({ "action_type": "flush_buffers", "params": {}, "justification": "x", "confidence": 1.5 }),
        ),
        expect![
            "execute_remediation: `confidence` is 1.5: it must be from 0 to 1; it takes action_type (one of 54 names), params (object), justification (string), confidence (number 0 to 1)"
        ],
    );
    check(
        house.call("deny_proposal", json!({ "proposal": 1, "reason": "\u{1b}[2J" })),
        expect![[
            r#"deny_proposal: `reason` is "\\u001b[2J": it must have no control characters; it takes proposal (integer 1 to 9223372036854775807), reason (string)"#
        ]],
    );
    assert_eq!(house.ordered(), Vec::<String>::new());
}

#[test]
fn what_a_caller_wrote_is_escaped_and_bounded_in_what_refuses_it() {
    let house = House::open(Role::Admin);
    let refused = house.call("get_status", json!({ "\u{1b}]0;x\u{7}\u{202e}": true })).unwrap_err();
    check(
        Err(refused),
        expect![r"get_status: unknown field `\u{1b}]0;x\u{7}\u{202e}`, there are no fields; it takes no parameters"],
    );
    let refused = house.call("get_status", json!({ "a".repeat(100_000): true })).unwrap_err();
    assert!(refused.len() < 2000, "{} bytes", refused.len());
    let reason = "it lowers the priority of \u{202e}1 dip";
    let refused = house.call("deny_proposal", json!({ "proposal": 1, "reason": reason })).unwrap_err();
    assert!(refused.contains("no control characters") && refused.is_ascii(), "{refused}");
    assert_eq!(house.ordered(), Vec::<String>::new());
}

#[test]
fn a_tool_that_is_none_is_answered_with_those_that_are() {
    let house = House::open(Role::Viewer);
    let refused = house.call("rm -rf /", json!({})).unwrap_err();
    assert!(refused.starts_with("`rm -rf /` is not a tool of this agent; it has get_status, "), "{refused}");
}

#[test]
fn every_schema_is_strict_and_says_what_each_parameter_is() {
    for tool in TOOLS {
        let schema = Value::Object((tool.schema)());
        assert_eq!(schema["type"], "object", "{}", tool.name);
        assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
        assert!(!schema.to_string().contains("$ref"), "{}: {schema}", tool.name);
        assert!(tool.description.len() > 20, "{}", tool.name);
    }
}

#[test]
fn the_tools_of_the_plan_have_their_names_and_parameters() {
    let told: Vec<String> =
        ["query_signals", "summarize_trends", "simulate_scenario", "propose_action", "execute_remediation"]
            .into_iter()
            .map(|name| {
                let tool = TOOLS.iter().find(|tool| tool.name == name).unwrap();
                let schema = (tool.schema)();
                let params: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
                format!("{name}({})", params.join(", "))
            })
            .collect();
    expect![[r#"
        query_signals(severity_min, lookback_minutes, signal_types)
        summarize_trends(signal_type, analysis_window)
        simulate_scenario(signal_type, duration_minutes)
        propose_action(failure_mode, urgency)
        execute_remediation(action_type, params, justification, confidence)"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn signals_are_found_open_and_past_by_severity_and_type() {
    let house = House::open(Role::Viewer);
    let open = signal();
    let mut past = signal();
    let now = kernelsight::clock::now_ms();
    (past.id, past.first_seen_ms, past.last_seen_ms, past.closed_ms) =
        (2, now - 90_000, now - 60_000, Some(now - 60_000));
    house.daemon.change().signals = vec![open];
    house.daemon.store.keep_signal(&past);
    house.daemon.store.flush().unwrap();
    let found = |params| {
        let answer = house.call("query_signals", params).unwrap();
        let ids: Vec<i64> =
            answer["signals"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
        (ids, answer["open"].as_i64().unwrap())
    };
    assert_eq!(found(json!({})), (vec![1, 2], 1));
    // The open one is high now and was critical; the one that is over counts at its worst.
    assert_eq!(found(json!({ "severity_min": "critical" })), (vec![2], 0));
    assert_eq!(found(json!({ "signal_types": ["scheduler"] })), (vec![], 0));
    assert_eq!(found(json!({ "signal_types": ["memory_pressure", "scheduler"] })), (vec![1, 2], 1));
}

#[test]
fn an_incident_is_found_by_the_beginning_of_its_id() {
    let house = House::open(Role::Viewer);
    house.daemon.store.keep_incident(&incident()).unwrap();
    let answer = house.call("get_incident", json!({ "incident": "019a9b1c" })).unwrap();
    assert_eq!(answer["incident"]["title"], "python3 (pid 812) eats the memory");
    check(
        house.call("get_incident", json!({ "incident": "ffff" })),
        expect!["incident ffff is not there; see `kernelsight incidents` (list_incidents) for those that are"],
    );
    check(
        house.call("query_trace", json!({ "trace": 99 })),
        expect!["trace 99 is not there; see `kernelsight trace` (list_traces) for those that are"],
    );
}

#[test]
fn a_follower_hears_what_happens_once_and_raw_only_when_asked() {
    let house = House::open(Role::Viewer);
    house.runtime.block_on(async {
        let client = house.client().await;
        let follow = |params| ask(&client, "follow", params);
        let none = follow(json!({ "wait_s": 0 })).await.unwrap();
        assert_eq!(none, json!({ "news": [], "lost": 0 }));
        let raw = || News::Raw {
            event: Event {
                at_ns: 1,
                process: ProcessId { pid: 5, start_ticks: 6 },
                comm: "sh".into(),
                cgroup_id: 1,
                what: What::Exec,
            },
        };
        house.daemon.tell(raw());
        house.daemon.tell(note("first"));
        let heard = follow(json!({ "wait_s": 5 })).await.unwrap();
        assert_eq!(heard, json!({ "news": [{ "news": "note", "text": "first" }], "lost": 0 }));
        house.daemon.tell(raw());
        let heard = follow(json!({ "wait_s": 5, "raw": true })).await.unwrap();
        assert_eq!(heard["news"][0]["event"]["event"], "exec");
        // A second client begins to listen when it first asks.
        let other = house.client().await;
        assert_eq!(ask(&other, "follow", json!({ "wait_s": 0 })).await.unwrap()["news"], json!([]));
    });
}

#[test]
fn a_follower_that_is_too_slow_is_told_how_much_it_lost() {
    let house = House::open(Role::Viewer);
    house.runtime.block_on(async {
        let client = house.client().await;
        ask(&client, "follow", json!({ "wait_s": 0 })).await.unwrap();
        for number in 0..100 {
            house.daemon.tell(note(&format!("{number}")));
        }
        let heard = ask(&client, "follow", json!({})).await.unwrap();
        assert_eq!(heard["lost"], 36, "the channel holds 64 of the 100");
        assert_eq!(heard["news"].as_array().unwrap().len(), 64);
        assert_eq!(heard["news"][0]["text"], "36");
    });
}

fn nix_name() -> String {
    kernelsight::serve::peer::name(nix::unistd::getuid())
}

#[test]
fn root_is_admin_and_a_user_without_the_groups_is_nobody() {
    use kernelsight::serve::peer::role;
    use nix::unistd::{Gid, Uid};
    assert_eq!(role(Uid::from_raw(0), Gid::from_raw(0)), Role::Admin);
    // An id that no user database has, in no group of ours.
    assert_eq!(role(Uid::from_raw(3_999_999_999), Gid::from_raw(3_999_999_999)), Role::Nobody);
}

#[test]
fn a_proposal_is_listed_with_its_dry_run_and_without_where_the_loop_does_not_answer() {
    let house = House::open(Role::Viewer);
    house.daemon.store.keep_proposal(&proposal()).unwrap();
    let list = || house.call("list_proposals", json!({})).unwrap()["proposals"].clone();
    let shown = list();
    assert_eq!((shown[0]["dry_runs"].as_array().unwrap().len(), &shown[0]["no_dry_run"]), (1, &Value::Null), "{shown}");

    let mut silent = proposal();
    silent.incident = IncidentUid(SILENT.to_owned());
    house.daemon.store.keep_proposal(&silent).unwrap();
    let shown = list();
    assert_eq!(shown.as_array().unwrap().len(), 2, "{shown}");
    for row in shown.as_array().unwrap() {
        assert_eq!(row["dry_runs"], json!([]), "{row}");
        assert_eq!(row["no_dry_run"], json!("refused: the loop stands still"), "{row}");
    }
}
