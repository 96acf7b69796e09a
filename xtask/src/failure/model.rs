//! A model that fails in each of the ways that models do: a real agent, its reasoner, and a server that fails it. It ends
//! in time, does nothing, and holds no more than before.

use std::fs;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Figure, Goal, door::Door, none_of};
use crate::{
    agent::Agent,
    model::{Model, Terms, WAYS, Way},
    place,
    say::Step,
};

/// Of each way, each with an agent of its own: one that was failed thrice leaves its model alone for a while.
const TIMES: usize = 20;
const DEADLINE_S: u64 = 1;
/// More than this held at any time is a failure, MB: of the agent, and of who thinks for it.
const AGENT_MB: f64 = 64.0;
const REASONER_MB: f64 = 48.0;

/// What came of one failure.
struct Failed {
    took_ms: f64,
    troubles: Vec<String>,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let (mut late_ms, mut troubles) = (Vec::new(), Vec::new());
    for way in WAYS {
        let mut step = Step::begin(format!("a model that fails by {}, {TIMES} times", way.0));
        let mut worst = f64::MIN;
        for _ in 0..TIMES {
            step.tick();
            let failed = fail(&way).with_context(|| way.0.to_owned())?;
            worst = worst.max(failed.took_ms - DEADLINE_S as f64 * 1e3);
            troubles.extend(failed.troubles.into_iter().map(|trouble| format!("{}: {trouble}", way.0)));
        }
        step.done(way.0);
        late_ms.push(worst);
    }
    let most = late_ms.iter().copied().fold(f64::MIN, f64::max);
    let of = format!("{} ways, {TIMES} times each", WAYS.len());
    let what = "a failing model is given up at its deadline: most beyond it";
    Ok(vec![
        Figure::once("proof", what, Goal::AtMost(100.0), "ms", most.max(0.0)).noting(of.clone()),
        none_of("a failing model has nothing done, and nothing grow", &troubles, of),
    ])
}

fn fail(way: &Way) -> Result<Failed> {
    let terms = Terms { specialists: false, deadline_s: DEADLINE_S, ..Terms::default() };
    let model = Model::failing(way.1, terms)?;
    let more = model.arguments();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (agent, _) = Agent::start_with("guardian", &more, &place::target()?.join("failure.log"))?;
    let mut door = Door::open(&agent.client.socket)?;
    let case = door.call("ask_model", &json!({ "question": "what is wrong with this node?" }))?["case"].clone();
    let ended = loop {
        let kept = door.call("query_case", &json!({ "case": case, "wait": true }))?["case"].take();
        if kept["ending"].is_object() {
            break kept;
        }
    };
    let at = |key: &str| ended[key].as_i64().with_context(|| format!("a case without {key}"));
    let took_ms = (at("ended_ms")? - at("begun_ms")?) as f64;
    let mut troubles = Vec::new();
    if matches!(ended["ending"]["kind"].as_str(), Some("answered" | "recommended")) {
        troubles.push(format!("it came to {}", ended["ending"]));
    }
    let actions = door.call("list_actions", &json!({}))?;
    if actions["actions"].as_array().is_none_or(|actions| !actions.is_empty()) {
        troubles.push(format!("something was done: {actions}"));
    }
    troubles.extend(grown(agent.pid()));
    agent.stop()?;
    Ok(Failed { took_ms, troubles })
}

/// Who held too much.
fn grown(agent: u32) -> Vec<String> {
    let of = |pid: u32| -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
    };
    let reasoners = crate::agent::below(agent).into_iter().map(|pid| (pid, REASONER_MB));
    let all = std::iter::once((agent, AGENT_MB)).chain(reasoners);
    all.filter_map(|(pid, bound)| {
        let held = of(pid)?;
        (held > bound).then(|| format!("process {pid} held {held:.0} MB"))
    })
    .collect()
}
