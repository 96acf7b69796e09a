//! P10, P13: what the loop adds to the time that a model takes, and what it costs to wait for one.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{Figure, Goal, idle::busy_percent};
use crate::{
    agent::{Agent, below},
    cgroup::Limits,
    client::{Client, Trace},
    faults::{catalogue::Process, inject::Running},
    model::{Model, Script, Terms},
    place,
    say::Step,
};

const ROUNDS: usize = 7;
/// Of each turn.
const DELAY: Duration = Duration::from_millis(700);
/// A hog goes on for so long, s, and a thought of it is there well before.
const HOG_S: u64 = 40;
const POLL: Duration = Duration::from_millis(200);
/// While one call is waited for, which a minute bounds.
const WINDOWS: usize = 4;
const SETTLE: Duration = Duration::from_secs(8);

pub(super) fn measure() -> Result<Vec<Figure>> {
    Ok(vec![added()?, waiting()?])
}

fn added() -> Result<Figure> {
    let mut step =
        Step::begin(format!("{ROUNDS} thoughts about a hog, of a model that takes {} ms a turn", DELAY.as_millis()));
    let added = (0..ROUNDS).map(|round| thought(round, &mut step)).collect::<Result<Vec<f64>>>()?;
    step.done("what the loop adds to a model");
    let what = "what the loop adds to a model of known delay";
    Ok(Figure::median("P10", what, Goal::AtMost(250.0), "ms", added).noting(format!(
        "from when a case is opened until what the model said of it is heeded in a decision, without {} ms for each of its \
         turns",
        DELAY.as_millis()
    )))
}

/// Milliseconds beyond the model's own, of one incident. The model objects, so that there is something to be heeded.
fn thought(round: usize, step: &mut Step) -> Result<f64> {
    let terms = Terms { specialists: false, delay: DELAY, ..Terms::default() };
    let model = Model::begin(Script::Objecting, terms)?;
    let more = model.arguments();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (agent, _) = Agent::start_with("copilot", &more, &place::target()?.join("bench/agent.log"))?;
    let limits = Limits { memory_mb: Some(256), ..Limits::default() };
    let hog = Process::new("cpu_hog", json!({}), Some(limits));
    let waker = Process::new("waker", json!({ "work_us": 4000 }), None);
    let _victim = Running::start(&waker, &format!("bench/waker-{round}"), HOG_S)?;
    let _hog = Running::start(&hog, &format!("bench/hog-{round}"), HOG_S)?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(HOG_S) {
        step.tick();
        thread::sleep(POLL);
        if let Some((decided_ms, number)) = heeded(&agent.client)? {
            let case = agent.client.case(number).context("a trace names a case that is not there")?;
            let turns = u32::try_from(case.turns.len())?;
            agent.stop()?;
            return Ok((decided_ms - case.case.begun_ms) as f64 - (DELAY * turns).as_secs_f64() * 1e3);
        }
    }
    bail!("no decision heeded the model within {HOG_S} s")
}

/// When a decision heeded a case, and which.
fn heeded(client: &Client) -> Result<Option<(i64, i64)>> {
    for incident in client.incidents()? {
        let traces = client.traces(&incident.uid)?;
        let of = |trace: &Trace| {
            let case = trace.proposal.as_ref()?.case?;
            Some((trace.steps_of("decide").next()?.at_ms, case))
        };
        if let Some(heeded) = traces.iter().find_map(of) {
            return Ok(Some(heeded));
        }
    }
    Ok(None)
}

fn waiting() -> Result<Figure> {
    let mut step = Step::begin("an agent that waits for a model");
    let model = Model::silent()?;
    let more = model.arguments();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (agent, _) = Agent::start_with("advisor", &more, &place::target()?.join("bench/agent.log"))?;
    let mut asking = Command::new(&agent.client.binary)
        .arg("--socket")
        .arg(&agent.client.socket)
        .args(["ask", "what is wrong?"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    super::wait(&mut step, SETTLE);
    if model.asked().is_empty() {
        bail!("the model was not asked");
    }
    let mut pids = below(agent.pid());
    pids.push(agent.pid());
    let percent = (0..WINDOWS).map(|_| busy_percent(&pids, &mut step)).collect::<Result<Vec<f64>>>()?;
    // It would wait for longer than is measured.
    asking.kill()?;
    asking.wait()?;
    agent.stop()?;
    step.done("waiting for a model");
    let what = "CPU of the agent and its reasoner, while it waits for a model";
    Ok(Figure::median("P13", what, Goal::AtMost(0.5), "% of a core", percent))
}
