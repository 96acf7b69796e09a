//! How a model does: counted over what was kept, told as JSON and for eyes.

use std::collections::BTreeMap;

use anstream::adapter::strip_str;
use expect_test::expect;
use jiff::tz::TimeZone;
use kernelsight::{
    cli::{eyes::Eyes, model},
    clock::now_ms,
    decide::council::Agreement,
    llm::{Finish, ModelChoice, Reply, Usage},
    mind::{
        Ending, Mind, ModelSettings,
        brief::{About, Asking, Brief, Turn},
        budget::{Budget, CONTEXT_TOKENS, HOUR_MS, Price, Spent},
        case::Tally,
        route::Route,
        settings::Provider,
        veil::Veil,
    },
    store::{CaseRow, Store, TurnRow},
    tools::{Role, get_model_metrics::Answer},
};
use serde_json::{Value, json};

use crate::{
    door_support::{House, NOW_MS},
    store_rows::{incident, proposal},
};

fn choice() -> ModelChoice {
    ModelChoice { provider: "gemini".to_owned(), model: "scripted".to_owned(), base_url: None }
}

/// A question, where it was answered; else an incident.
fn case(id: i64, begun_ms: i64, ending: Option<Ending>, tally: Tally, agreement: Option<Agreement>) -> CaseRow {
    let is_question = matches!(ending, Some(Ending::Answered { .. }));
    let about = if is_question {
        About::Question { text: "why?".to_owned(), route: Route::default() }
    } else {
        About::Incident
    };
    CaseRow {
        id,
        begun_ms,
        ended_ms: ending.as_ref().map(|_| begun_ms + 5000),
        incident: (!is_question).then(|| incident("0190-a", begun_ms)),
        brief: Brief {
            case: id,
            about,
            model: choice(),
            configured: None,
            packet: json!({}),
            tools: Vec::new(),
            turns: 12,
            reply_tokens: 8192,
            thinks: true,
            specialists: true,
            left_ms: 90_000,
            recorded: Vec::new(),
        },
        options: Vec::new(),
        names: Veil::default(),
        rules: None,
        looked_up: Vec::new(),
        tally,
        ending,
        agreement,
    }
}

fn tally(calls: [u32; 2], claims: [u32; 2], drafts: [u32; 2]) -> Tally {
    Tally {
        calls: calls[0],
        refused_calls: calls[1],
        claims: claims[0],
        false_claims: claims[1],
        drafts: drafts[0],
        sent_back: drafts[1],
    }
}

fn turn(at_ms: i64, took_ms: u64, usage: Usage, usd: Option<f64>) -> TurnRow {
    let turn = Turn {
        voice: "director".to_owned(),
        number: 0,
        digest: format!("{at_ms} {took_ms}"),
        sent: Vec::new(),
        reply: Some(Reply { parts: Vec::new(), finish: Finish::Stop, usage }),
        failed: None,
        took_ms,
        cached: false,
    };
    TurnRow { case: 1, at_ms, turn, usage, usd }
}

fn failed(at_ms: i64, kind: &str, input_tokens: u64) -> TurnRow {
    let usage = Usage { input_tokens, ..Usage::default() };
    let mut row = turn(at_ms, 60_000, usage, Some(0.0));
    (row.turn.reply, row.turn.failed) = (None, Some(kind.to_owned()));
    row
}

/// Seven cases of the last hour and one of yesterday; a hundred turns that were answered, and some that were not.
fn fill(store: &Store) {
    let (now, yesterday) = (now_ms() - 60_000, now_ms() - 25 * HOUR_MS);
    let recommended = || {
        let proposal = Box::new(proposal("0190-a"));
        Some(Ending::Recommended { proposal, agreement: Some(0.75) })
    };
    let none = Tally::default();
    let stopped = Ending::Stopped { why: "its turns were over".to_owned() };
    let cases = [
        case(1, now, recommended(), tally([20, 1], [30, 0], [5, 0]), Some(Agreement::Agrees)),
        case(2, now, recommended(), tally([10, 1], [10, 2], [5, 1]), Some(Agreement::Objects)),
        case(3, now, Some(Ending::Answered { text: "well".to_owned() }), tally([10, 0], [0, 0], [0, 0]), None),
        case(4, now, Some(Ending::Refused { why: vec!["no".to_owned()] }), tally([0, 0], [10, 8], [2, 2]), None),
        case(5, now, Some(stopped), none, None),
        case(6, now, Some(Ending::Late), none, None),
        case(7, now, None, none, None),
        case(8, yesterday, recommended(), tally([99, 99], [99, 99], [99, 99]), Some(Agreement::Adds)),
    ];
    for case in &cases {
        store.keep_case(case).unwrap();
    }
    // How a model stood to the rules is known after its case is over.
    store.keep_agreement(1, Agreement::Differs).unwrap();
    for at in 1..=100 {
        let usage = Usage { input_tokens: at * 1000, cached_tokens: 500, output_tokens: 10 };
        store.keep_turn(&turn(now, at * 10, usage, Some(0.02))).unwrap();
    }
    let mut cached = turn(now, 0, Usage::default(), None);
    cached.turn.cached = true;
    for row in [
        cached,
        failed(now, "late", 300),
        failed(now, "late", 400),
        failed(now, "rate_limited", 0),
        turn(yesterday, 99_000, Usage { input_tokens: 1 << 40, ..Usage::default() }, Some(1e6)),
    ] {
        store.keep_turn(&row).unwrap();
    }
}

fn house() -> House {
    let mut house = House::open(Role::Viewer);
    let price = Some(Price { input: 1.0, output: 2.0, cached: None });
    let budget = Budget { hour_tokens: Some(10_000_000), month_usd: Some(20.0), price, ..Budget::default() };
    let settings = ModelSettings { provider: Some(Provider::Gemini), budget, ..ModelSettings::default() };
    house.daemon.mind = Mind::new(settings, Some(choice()), 9);
    house
}

/// The door is that of the daemon as it was opened; this one has a mind of its own.
fn ask(house: &House, params: Value) -> Answer {
    use kernelsight::{
        live::Operator,
        tools::{Caller, call},
    };
    let operator = Operator { uid: 1000, pid: 1, name: "ann".to_owned() };
    let caller = Caller::new(operator, Role::Viewer);
    let asked = call(&house.daemon, &caller, "get_model_metrics", params.as_object().unwrap().clone());
    serde_json::from_value(house.runtime.block_on(asked).unwrap()).unwrap()
}

#[test]
fn what_came_of_cases_and_turns_is_counted_within_the_span() {
    let house = house();
    fill(&house.daemon.store);
    let answer = ask(&house, json!({}));
    let cases = serde_json::to_value(answer.cases).unwrap();
    assert_eq!(
        cases,
        json!({
            "all": 7, "recommended": 2, "answered": 1, "refused": 1, "stopped": 1, "late": 1, "unfinished": 1,
            "agrees": 0, "differs": 1, "objects": 1, "adds": 0,
        })
    );
    let rate = |rate: &kernelsight::tools::get_model_metrics::Rate| (rate.count, rate.of, rate.rate.unwrap());
    assert_eq!(rate(&answer.hallucinations), (10, 50, 0.2));
    assert_eq!(rate(&answer.tool_errors), (2, 40, 0.05));
    assert_eq!(rate(&answer.sent_back), (3, 12, 0.25));
    assert_eq!(rate(&answer.cache_hits), (1, 104, 1.0 / 104.0));
    assert_eq!(answer.turns.answered, 100);
    assert_eq!(answer.turns.failed, BTreeMap::from([("late".to_owned(), 2), ("rate_limited".to_owned(), 1)]));
    let near = |found: Option<f64>, exact: f64| (found.unwrap() - exact).abs() <= exact / 64.0;
    assert!(near(answer.turns.p50_ms, 500.0) && near(answer.turns.p99_ms, 990.0), "{:?}", answer.turns);
    let full = CONTEXT_TOKENS as f64;
    assert!(near(answer.context.p50, 50_000.0 / full), "{:?}", answer.context);
    assert_eq!(answer.context.max, Some(100_000.0 / full));
    let tokens = answer.tokens;
    assert_eq!((tokens.input, tokens.cached, tokens.output, tokens.failed), (5_050_000, 50_000, 1000, 700));
    assert!((answer.usd.unwrap() - 2.0).abs() < 1e-9, "{:?}", answer.usd);
    assert_eq!(answer.unpriced_turns, 0);
    // Yesterday is in a longer span.
    let longer = ask(&house, json!({ "hours": 26 }));
    assert_eq!((longer.cases.all, longer.cases.adds, longer.turns.answered), (8, 1, 101));
    assert_eq!(longer.hallucinations.count, 109);
}

#[test]
fn what_is_left_of_a_budget_is_without_what_is_under_way() {
    let house = house();
    fill(&house.daemon.store);
    let left = ask(&house, json!({})).budget;
    assert_eq!(left.incident_tokens, Some(200_000));
    assert_eq!(left.left.hour_tokens, Some(10_000_000 - 5_051_700));
    // More than all that is kept of thirty days.
    assert_eq!((left.left.month_tokens, left.left.month_usd), (Some(0), Some(0.0)));
    let asking = Asking {
        voice: "director".to_owned(),
        number: 0,
        digest: "x".to_owned(),
        estimate: Usage { input_tokens: 1000, output_tokens: 700, cached_tokens: 0 },
    };
    house.runtime.block_on(async {
        let mut account = house.daemon.mind.account().await;
        account.reserve(1, asking, &Spent::default(), &Budget::default()).unwrap();
    });
    assert_eq!(ask(&house, json!({})).budget.left.hour_tokens, Some(10_000_000 - 5_051_700 - 1700));
}

#[test]
fn of_nothing_no_rate_is_told() {
    let answer = ask(&house(), json!({ "hours": 1 }));
    for rate in [answer.hallucinations, answer.tool_errors, answer.sent_back, answer.cache_hits] {
        assert_eq!((rate.of, rate.rate), (0, None));
    }
    assert_eq!((answer.context.p50, answer.context.max, answer.turns.p50_ms, answer.usd), (None, None, None, None));
    let text = strip_str(&model::metrics(&answer, &eyes())).to_string();
    assert!(text.contains("claims not so") && text.contains("not known"), "{text}");
}

#[test]
fn a_turn_whose_price_is_not_known_is_not_one_that_was_free() {
    let house = house();
    let usage = Usage { input_tokens: 10, ..Usage::default() };
    house.daemon.store.keep_turn(&turn(now_ms(), 10, usage, None)).unwrap();
    let answer = ask(&house, json!({}));
    assert_eq!((answer.usd, answer.unpriced_turns), (None, 1));
    house.daemon.store.keep_turn(&turn(now_ms(), 20, usage, Some(0.5))).unwrap();
    let answer = ask(&house, json!({}));
    assert_eq!((answer.usd, answer.unpriced_turns), (Some(0.5), 1));
}

fn eyes() -> Eyes {
    Eyes { now_ms: NOW_MS, zone: TimeZone::UTC, width: None }
}

#[test]
fn for_eyes_it_is_a_table() {
    let house = house();
    fill(&house.daemon.store);
    let mut answer = ask(&house, json!({}));
    // What another process said its failures are called.
    answer.turns.failed.insert("\u{1b}[2J".to_owned(), 1);
    answer.unpriced_turns = 2;
    let text = strip_str(&model::metrics(&answer, &eyes())).to_string();
    expect![[r#"
        Of the last 1 d; asked now: gemini/scripted.

        WHAT              HOW MUCH                    OF WHAT
        cases             7                           2 recommended, 1 answered, 1 refused, 1 stopped, 1 late, 1 not over
        beside the rules                              1 differed, 1 objected
        claims not so     20 %                        10 of 50 claims
        calls refused     5 %                         2 of 40 calls of tools
        sent back         25 %                        3 of 12 drafts and opinions
        context           p50 45.5 %, at most 91.6 %  of 109,227 tokens
        answers           p50 500 ms, p99 984 ms      of 100 turns
        failed            4                           1 \x1b[2J, 2 late, 1 rate_limited
        from the record   0.962 %                     1 of 104 turns
        tokens            5,051,000                   5,050,000 in (50,000 from its cache), 1,000 out; 700 in turns that failed
        cost              $2.00                       without 2 turns of unknown price
        budget            4,948,300 tokens left       of this hour
                          0 tokens left               of thirty days
                          $0.00 left                  of thirty days
                          200,000 tokens              for each incident"#]].assert_eq(&text);
}
