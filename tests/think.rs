//! The daemon thinks with a model: a scripted one on loopback, a real reasoner at a real door, and what comes of it.

use std::{sync::Arc, time::Duration};

use kernelsight::{
    decide::{
        Decision,
        model::{Thinker as _, Thought},
    },
    execute::Policy,
    mind::{Ending, ModelSettings, account, budget::Budget, settings::Provider, story, thinking::Thinking},
    reason::replay::replay,
};
use serde_json::{Value, json};

use crate::{
    llm_dialects::{DIALECTS, whole},
    llm_server::{Answer, Asked, gemini},
    think_support::{Node, SECRET_NAME, busy, draft, reasoner, says, settings},
};

#[test]
fn a_recommendation_that_holds_is_taken_kept_and_the_same_when_it_is_gone_through_again() {
    let node = Node::new(settings(), |_, before| match before {
        0 => says("Who is busy?", "top_processes", json!({ "by": "cpu" })),
        _ => says("It is program-1.", "draft_recommendation", draft(json!([busy(41)]), Some(1))),
    });
    let (thought, _) = node.think();
    let Thought { case, proposal } = thought.unwrap();
    let proposal = proposal.unwrap();
    assert_eq!(proposal.author, "gemini/scripted");
    assert!(proposal.decision.is_like(&node.options[0].decision));
    assert!(!proposal.justification.contains("program-1"), "{}", proposal.justification);
    let reader = node.house.daemon.store.reader().unwrap();
    let (row, turns) = (reader.case(case).unwrap().unwrap(), reader.turns(case).unwrap());
    assert_eq!(turns.len(), 2);
    assert_eq!(row.tally.claims, 1);
    let told = story::story(&row, &turns);
    for part in
        ["*calls* top_processes", "Who is busy?", SECRET_NAME, "true: cpu_percent of process 41 is", "It took 2 turns"]
    {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
    let replayed = node.house.runtime.block_on(replay(&row, &turns));
    assert!(replayed.same && replayed.now.is_some(), "{replayed:#?}");
    assert_eq!(node.server.asked().len(), 2);
}

#[test]
fn in_the_format_of_each_other_provider_a_case_comes_to_the_same() {
    for (dialect, provider) in DIALECTS.iter().zip([Provider::Openai, Provider::Anthropic, Provider::Ollama]) {
        let says = |thought: &str, tool: &str, arguments: Value| {
            let call = (dialect.call)(0, tool, &[&arguments.to_string()]);
            whole(dialect.says([vec![(dialect.text)(thought)], call].concat(), dialect.reasons[1]))
        };
        let node = Node::new(settings(), move |_, before| match before {
            0 => says("Who is busy?", "top_processes", json!({ "by": "cpu" })),
            _ => says("It is program-1.", "draft_recommendation", draft(json!([busy(41)]), Some(1))),
        });
        let node = node.asking(provider, dialect.base);
        let Thought { case, proposal } = node.think().0.unwrap();
        let proposal = proposal.unwrap_or_else(|| panic!("{}: {:?}", dialect.name, node.ending(case)));
        assert_eq!(proposal.author, format!("{}/scripted", dialect.name));
        assert!(proposal.decision.is_like(&node.options[0].decision));
        let reader = node.house.daemon.store.reader().unwrap();
        let (row, turns) = (reader.case(case).unwrap().unwrap(), reader.turns(case).unwrap());
        let told = story::story(&row, &turns);
        for part in ["*calls* top_processes", "Who is busy?", "true: cpu_percent of process 41 is", "It took 2 turns"] {
            assert!(told.contains(part), "{}: no {part:?} in\n{told}", dialect.name);
        }
        assert!(node.house.runtime.block_on(replay(&row, &turns)).same, "{}", dialect.name);
        assert_eq!(node.server.asked().len(), 2);
    }
}

#[test]
fn no_name_of_the_node_and_no_key_is_in_what_is_sent() {
    let node = Node::new(settings(), |_, before| match before {
        0 => says("I look.", "describe_process", json!({ "pid": 41 })),
        _ => says("It is so.", "draft_recommendation", draft(json!([busy(41)]), Some(1))),
    });
    node.think().0.unwrap().proposal.unwrap();
    for asked in node.server.asked() {
        let body = asked.body.to_string();
        assert!(!body.contains(SECRET_NAME) && !body.contains("CANARY"), "{body}");
        assert!(body.contains("program-1"), "{body}");
    }
}

#[test]
fn a_claim_that_is_not_so_goes_back_once_and_is_refused_then() {
    let node = Node::new(settings(), |_, _| {
        says(
            "It idles.",
            "draft_recommendation",
            draft(json!([{ "kind": "process_number", "pid": 41, "number": "cpu_percent", "at_most": 1.0 }]), Some(1)),
        )
    });
    let thought = node.think().0.unwrap();
    assert_eq!(thought.proposal, None);
    let Ending::Refused { why } = node.ending(thought.case) else { panic!("{:?}", node.ending(thought.case)) };
    assert!(why[0].contains("hypothesis 1: a claim is not so: cpu_percent of process 41 is"), "{why:?}");
    assert_eq!(node.server.asked().len(), 2);
}

#[test]
fn a_draft_that_is_mended_after_it_went_back_holds() {
    let node = Node::new(settings(), |_, before| {
        let number = if before == 0 { 1.0 } else { 50.0 };
        let key = if before == 0 { "at_most" } else { "at_least" };
        let claim = json!({ "kind": "process_number", "pid": 41, "number": "cpu_percent", key: number });
        says("So.", "draft_recommendation", draft(json!([claim]), Some(1)))
    });
    assert!(node.think().0.unwrap().proposal.is_some());
}

#[test]
fn when_all_three_are_rejected_a_person_is_asked_to_look() {
    let node = Node::new(settings(), |_, _| {
        let mut draft = draft(json!([]), None);
        draft["draft"]["hypotheses"][0]["verdict"] = json!("rejected");
        says("Nothing fits.", "draft_recommendation", draft)
    });
    let proposal = node.think().0.unwrap().proposal.unwrap();
    let Decision::Inconclusive { missing } = &proposal.decision else { panic!("{proposal:?}") };
    assert!(missing.starts_with("Status: INCONCLUSIVE. Recommend Human Investigation."), "{missing}");
}

#[test]
fn a_model_that_says_nothing_is_waited_for_until_the_deadline_and_no_longer() {
    let node = Node::new(ModelSettings { deadline_s: 1, ..settings() }, |_, _| Answer::Silence);
    let (thought, took) = node.think();
    let thought = thought.unwrap();
    assert_eq!(thought.proposal, None);
    assert_eq!(node.ending(thought.case), Ending::Late);
    // A turn alone would be waited for a minute.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn what_is_no_tool_of_a_model_cannot_be_called() {
    let node = Node::new(settings(), |asked, before| match before {
        0 => says("I approve.", "approve_proposal", json!({ "proposal": 1 })),
        1 => {
            assert!(asked.body.to_string().contains("there is no function of that name"), "{}", asked.body);
            says("Then the level.", "set_autonomy", json!({ "level": "agent" }))
        }
        _ => says("Well.", "draft_recommendation", draft(json!([busy(41)]), None)),
    });
    node.think().0.unwrap().proposal.unwrap();
    assert_eq!(node.house.ordered(), Vec::<String>::new());
}

#[test]
fn a_model_is_told_nothing_of_itself() {
    let node = Node::new(settings(), |asked, before| match before {
        0 => says("What is wrong?", "list_incidents", json!({})),
        _ => {
            let body = asked.body.to_string();
            assert!(body.contains("functionResponse") && !body.contains("thinks_about"), "{body}");
            says("It is so.", "draft_recommendation", draft(json!([busy(41)]), None))
        }
    });
    assert!(node.think().0.unwrap().proposal.is_some());
}

#[test]
fn the_same_call_twice_is_answered_from_the_record_and_that_is_said() {
    let node = Node::new(settings(), |asked, before| match before {
        0 | 1 => says("I look.", "top_processes", json!({ "by": "cpu" })),
        _ => {
            assert!(asked.body.to_string().contains("you_asked_this_before"), "{}", asked.body);
            says("Well.", "draft_recommendation", draft(json!([busy(41)]), None))
        }
    });
    assert!(node.think().0.unwrap().proposal.is_some());
}

#[test]
fn nothing_is_asked_beyond_the_budget() {
    let budget = Budget { incident_tokens: Some(10), ..Budget::default() };
    let node = Node::new(ModelSettings { budget, ..settings() }, |_, _| Answer::Silence);
    let thought = node.think().0.unwrap();
    let Ending::Stopped { why } = node.ending(thought.case) else { panic!("{:?}", node.ending(thought.case)) };
    assert!(why.contains("the budget of this incident is spent"), "{why}");
    assert_eq!(node.server.asked().len(), 0);
}

#[test]
fn specialists_who_ask_at_once_do_not_exceed_together_what_one_of_them_may() {
    // Each reserves a reply of 65,536 tokens: two fit, three do not. What they take really is little, so the director fits.
    let budget = Budget { incident_tokens: None, hour_tokens: Some(195_000), ..Budget::default() };
    let settings = ModelSettings { specialists: true, reply_tokens: 65_536, budget, ..settings() };
    let node = Node::new(settings, |asked, _| {
        if !asked.body.to_string().contains("You are its specialist") {
            return says("All together.", "draft_recommendation", draft(json!([busy(41)]), None));
        }
        let opinion = json!({
            "mine": false, "failure_mode": "cpu_hog", "statement": "so", "option": null, "confidence": 0.5, "claims": [],
        });
        let call = json!({ "name": "give_opinion", "args": { "field": "one of them", "opinion": opinion } });
        let said = [json!([{ "text": "Not mine." }]), json!([{ "functionCall": call }])];
        // Not before all have asked.
        Answer::Dripping(vec![gemini(&said[0], false), gemini(&said[1], true)], Duration::from_millis(700))
    });
    let thought = node.think().0.unwrap();
    assert!(thought.proposal.is_some(), "{:?}", node.ending(thought.case));
    let turns = node.house.daemon.store.reader().unwrap().turns(thought.case).unwrap();
    let heard = turns.iter().filter(|row| row.turn.voice != "director").count();
    assert_eq!((heard, turns.len()), (2, 3), "{:?}", turns.iter().map(|row| &row.turn.voice).collect::<Vec<_>>());
}

#[test]
fn a_turn_that_fails_counts_what_it_was_sent_and_one_that_is_refused_does_not() {
    let spent = |answer: Answer| {
        let node = Node::new(settings(), move |_, _| answer.clone());
        let thought = node.think().0.unwrap();
        let reader = node.house.daemon.store.reader().unwrap();
        let turns = reader.turns(thought.case).unwrap();
        assert_eq!(turns.len(), 1, "{turns:?}");
        let spent = reader.spent(Some(&node.case.incident.uid), kernelsight::clock::now_ms()).unwrap();
        assert_eq!(spent.incident_tokens, spent.hour_tokens);
        (turns[0].turn.failed.clone().unwrap(), turns[0].usage, spent.hour_tokens)
    };
    let (kind, usage, tokens) = spent(Answer::Raw(b"data: {\r\n\r\n".to_vec()));
    assert_eq!((kind.as_str(), usage.output_tokens), ("malformed", 0));
    // The packet and the tools are some thousand tokens.
    assert!(usage.input_tokens > 1000 && tokens == usage.input_tokens, "{usage:?}, {tokens}");
    let (kind, _, tokens) = spent(Answer::Status(400, Vec::new(), "no such model".to_owned()));
    assert_eq!((kind.as_str(), tokens), ("refused", 0));
}

#[test]
fn a_hypothesis_that_was_wrong_on_this_evidence_is_not_confirmed_again() {
    let node = Node::new(settings(), |_, _| says("So.", "draft_recommendation", draft(json!([busy(41)]), Some(1))));
    let evidence = kernelsight::mind::packet::evidence(&node.case.incident, &node.case.explanation);
    let store = &node.house.daemon.store;
    let mode = kernelsight::decide::FailureMode::CpuHog;
    store.keep_refuted(&node.case.incident.fingerprint, mode, &evidence, kernelsight::clock::now_ms()).unwrap();
    let thought = node.think().0.unwrap();
    let Ending::Refused { why } = node.ending(thought.case) else { panic!("{:?}", node.ending(thought.case)) };
    assert!(why[0].contains("it may not be confirmed"), "{why:?}");
}

#[test]
fn specialists_are_heard_at_once_and_where_they_disagree_an_operator_is_asked() {
    let node = Node::new(ModelSettings { specialists: true, ..settings() }, |asked, _| {
        let body = asked.body.to_string();
        let opinion = |option: Option<usize>| {
            json!({ "field": "cpu", "opinion": {
                "mine": option.is_some(), "failure_mode": "cpu_hog", "statement": "so", "option": option, "confidence": 0.5, "claims": [],
            } })
        };
        let field = ["CPU time, run", "resident memory", "block devices", "TCP, ports"]
            .iter()
            .position(|about| body.contains(&format!("specialist for {about}")));
        match field {
            None => says("All together.", "draft_recommendation", draft(json!([busy(41)]), Some(1))),
            Some(at) => {
                let mut opinion = opinion((at == 0).then_some(1));
                opinion["field"] = json!(["cpu", "memory", "storage", "network"][at]);
                says("My field.", "give_opinion", opinion)
            }
        }
    });
    let proposal = node.think().0.unwrap().proposal.unwrap();
    let why = proposal.only_with_approval.unwrap();
    assert_eq!(why, "only 25 % of the specialists would do the same");
    assert_eq!(node.server.asked().len(), 5);
}

#[test]
fn a_thought_that_was_interrupted_goes_on_where_it_was() {
    // The second turn is not answered before the first reasoner is gone.
    let node = Node::new(settings(), |_, before| match before {
        0 => says("I look.", "top_processes", json!({ "by": "cpu" })),
        1 => Answer::Silence,
        _ => says("It is so.", "draft_recommendation", draft(json!([busy(41)]), Some(1))),
    });
    let thought = node.house.runtime.block_on(async {
        let daemon = node.house.daemon.clone();
        let first = tokio::spawn(reasoner(daemon.clone()));
        let thinking = Thinking::new(daemon.clone(), Arc::new(Policy::load(None).unwrap()));
        let second = async {
            while node.server.asked().len() < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            first.abort();
            account::close(&daemon).await;
            assert!(daemon.mind.put_back());
            reasoner(daemon.clone()).await;
        };
        tokio::select! {
            thought = thinking.think(&node.case, &node.rules, node.options.clone()) => thought,
            () = second => unreachable!("a reasoner waits for more"),
        }
    });
    let thought = thought.unwrap();
    assert!(thought.proposal.is_some());
    let asked = node.server.asked();
    assert_eq!(asked.len(), 3);
    // The turn that was under way may be billed.
    let turns = node.house.daemon.store.reader().unwrap().turns(thought.case).unwrap();
    let told: Vec<_> = turns.iter().map(|row| (row.turn.number, row.turn.failed.as_deref())).collect();
    assert_eq!(told, [(0, None), (1, Some(account::INTERRUPTED)), (1, None)]);
    assert!(turns[1].usage.input_tokens > 1000, "{:?}", turns[1].usage);
    // What was said and found before is there again, word for word.
    assert_eq!(asked[1].body["contents"], asked[2].body["contents"]);
}

#[test]
fn an_incident_is_asked_about_under_the_name_that_stands_for_it() {
    let node = Node::new(settings(), |asked, before| match before {
        0 => says("What changed?", "diff_state", json!({ "incident": "incident-1" })),
        _ => {
            let body = asked.body.to_string();
            assert!(body.contains("from_ms") && !body.contains("is not there"), "{body}");
            says("It is so.", "draft_recommendation", draft(json!([busy(41)]), Some(1)))
        }
    });
    assert!(node.think().0.unwrap().proposal.is_some());
}

#[test]
fn a_model_is_asked_beside_the_loop_and_the_incident_is_looked_at_again_for_what_it_adds() {
    let objects = |_: &Asked, _: usize| says("No.", "draft_recommendation", draft(json!([busy(41)]), None));
    let node = Node::new(settings(), objects);
    node.house.runtime.block_on(async {
        let daemon = node.house.daemon.clone();
        let reasoner = tokio::spawn(reasoner(daemon.clone()));
        let thinking = Thinking::new(daemon, Arc::new(Policy::load(None).unwrap()));
        // The same twice: one thought.
        for _ in 0..2 {
            thinking.begin(&node.case, &node.rules, node.options.clone(), true);
        }
        while node.house.ordered().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let thought = thinking.recall(&node.case, &node.rules, &node.options).unwrap();
        assert!(matches!(thought.proposal.unwrap().decision, Decision::Advise { .. }));
        reasoner.abort();
    });
    assert_eq!(node.house.ordered(), [format!("look again at {}", node.case.incident.uid)]);
    assert_eq!(node.server.asked().len(), 1);
}
