//! P8: from the crossing of a leak to its relief, done by the rules and verified, and beside it the bare effect: the
//! same cgroup frozen by one write of a file at that moment, and looked at for as long.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Figure, Goal, reaction::Ears, rounds::ratios};
use crate::{
    agent::Agent,
    cgroup::Limits,
    clock,
    faults::{catalogue::Process, inject::Running},
    place,
    say::Step,
};

const ROUNDS: usize = 5;
const SETTLE: Duration = Duration::from_secs(6);
const GOAL: Goal = Goal::AtMost(1.3);
const LEAK_S: u64 = 60;
/// From the leak's begin until it is frozen, and from then to the verdict.
const FROZEN_WITHIN: Duration = Duration::from_secs(30);
const VERDICT_WITHIN: Duration = Duration::from_secs(25);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What the bare leak holds when it is frozen.
const BARE_AFTER: Duration = Duration::from_millis(1500);

/// Of one round, ms.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// From the crossing until nothing of the leak runs any more, and until the verdict.
    relief_ms: f64,
    verdict_ms: f64,
    /// What the verdict waits for, so that the measure can tell.
    settle_ms: f64,
    /// From the write of the file until nothing runs any more.
    bare_ms: f64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("a leak that the rules freeze, {ROUNDS} times"));
    let mut rounds = Vec::new();
    for number in 0..ROUNDS {
        let bare_first = number % 2 == 0;
        let before = if bare_first { Some(bare(number)?) } else { None };
        let ours = ours(number, &mut step)?;
        let bare_ms = before.map_or_else(|| bare(number), Ok)?;
        rounds.push(Round { bare_ms, ..ours });
    }
    step.done("relief");
    Ok(figures(&rounds))
}

fn figures(rounds: &[Round]) -> Vec<Figure> {
    let each = |of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
    let (relief, bare) = (each(|round| round.relief_ms), each(|round| round.bare_ms));
    let (verdict, looked) = (each(|round| round.verdict_ms), each(|round| round.bare_ms + round.settle_ms));
    vec![
        Figure::median(
            "P8",
            "crossing of a leak to its verified relief, over the bare effect and as long a look",
            GOAL,
            "x",
            ratios(&verdict, &looked),
        )
        .beside("ours, to the verdict", "ms", verdict)
        .beside("a file written by hand, looked at for as long", "ms", looked)
        .noting("the verdict waits for the seconds that the measure needs to show an effect, and both sides have those"),
        Figure::median("P8", "the same without the look: crossing to relief, over the bare effect", GOAL, "x", ratios(&relief, &bare))
            .beside("ours, to where nothing of it runs", "ms", relief)
            .beside("a file written by hand", "ms", bare)
            .noting(
                "in between are the decision, its row in the journal, on disk before the effect, and an executor that is begun \
                 and confines itself; a file written by hand has none of them. The limit would take an executor that waits \
                 confined, and a journal that is not on a disk",
            ),
    ]
}

/// A leak of an agent of its own, whose journal has nothing that limits it.
fn ours(number: usize, step: &mut Step) -> Result<Round> {
    let (agent, _) = Agent::start("guardian", &place::target()?.join("bench/agent.log"))?;
    super::wait(step, SETTLE);
    let ears = Ears::open(&agent)?;
    let leak = leak(&format!("bench/relief-{number}"))?;
    let pid = leak.culprits.first().copied().context("the leak names no process")?;
    let frozen_ns = until_frozen(&leak)?;
    let crossed_ns = ears.last_step(pid, frozen_ns).context("no step of the leak came before it was frozen")?;
    let wall_offset_ms = clock::now_ms() as f64 - clock::monotonic_ns() as f64 / 1e6;
    let (verdict_at_ms, settle_ms) = verdict(&agent, step)?;
    drop((ears, leak));
    agent.stop()?;
    let crossed_ms = crossed_ns as f64 / 1e6;
    Ok(Round {
        relief_ms: frozen_ns as f64 / 1e6 - crossed_ms,
        verdict_ms: verdict_at_ms as f64 - wall_offset_ms - crossed_ms,
        settle_ms,
        bare_ms: f64::NAN,
    })
}

/// The same leak, frozen by one write.
fn bare(number: usize) -> Result<f64> {
    let leak = leak(&format!("bench/bare-{number}"))?;
    thread::sleep(BARE_AFTER);
    let cgroup = leak.cgroup.as_ref().context("the leak has no cgroup")?;
    let begun_ns = clock::monotonic_ns();
    cgroup.freeze()?;
    Ok((until_frozen(&leak)? - begun_ns) as f64 / 1e6)
}

fn leak(group: &str) -> Result<Running> {
    let settings = json!({ "base_mb": 64, "rate_mb_per_s": 30.0, "bound_mb": 480 });
    let limits = Limits { memory_mb: Some(512), ..Limits::default() };
    let process = Process::new("anon_hog", settings, Some(limits));
    Running::start(&process, group, LEAK_S)
}

/// When the kernel says so, on the clock of its events.
fn until_frozen(leak: &Running) -> Result<i64> {
    let begun = Instant::now();
    while begun.elapsed() < FROZEN_WITHIN {
        if leak.cgroup.as_ref().is_some_and(crate::cgroup::Cgroup::is_frozen) {
            return Ok(clock::monotonic_ns());
        }
        thread::sleep(LOOK_EVERY);
    }
    bail!("the leak was not frozen within {} s", FROZEN_WITHIN.as_secs())
}

/// When the loop found that it helped, Unix time, ms, and for how long it looked.
fn verdict(agent: &Agent, step: &mut Step) -> Result<(i64, f64)> {
    let begun = Instant::now();
    while begun.elapsed() < VERDICT_WITHIN {
        for incident in agent.client.incidents()? {
            let traces = agent.client.traces_json(&incident.uid)?;
            if let Some(found) = resolved(&traces) {
                return Ok(found);
            }
        }
        super::wait(step, Duration::from_millis(250));
    }
    bail!("no verdict that it helped came within {} s", VERDICT_WITHIN.as_secs())
}

/// Of the first trace that ends so.
fn resolved(answer: &Value) -> Option<(i64, f64)> {
    let traces = answer.as_array().or_else(|| answer["traces"].as_array())?;
    traces.iter().find_map(|trace| {
        if trace["verification"]["verdict"] != "resolved" {
            return None;
        }
        let steps = trace["steps"].as_array()?;
        let step = steps.iter().find(|step| step["phase"] == "verify")?;
        let settle_s = trace["proposal"]["decision"]["prediction"]["within_s"].as_f64()?;
        Some((step["at_ms"].as_i64()?, settle_s * 1e3))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_look_counts_on_both_sides_of_the_one_and_of_the_other_on_neither() {
        let round = Round { relief_ms: 40.0, verdict_ms: 12_040.0, settle_ms: 12_000.0, bare_ms: 4.0 };
        let figures = figures(&[round]);
        assert!(figures[0].is_met(), "{:?}", figures[0].figure);
        assert_eq!(figures[1].figure, Some(10.0));
    }

    #[test]
    fn a_verdict_is_that_of_a_pass_that_helped() {
        let trace = |verdict: &str| {
            json!({ "verification": { "verdict": verdict }, "steps": [{ "phase": "verify", "at_ms": 5, "text": "x" }],
                "proposal": { "decision": { "prediction": { "within_s": 12 } } } })
        };
        assert_eq!(resolved(&json!({ "traces": [trace("failed"), trace("resolved")] })), Some((5, 12_000.0)));
        assert_eq!(resolved(&json!([trace("failed")])), None);
    }
}
