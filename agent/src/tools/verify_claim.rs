//! `verify_claim`: whether something that somebody says of this node is so. A claim is typed, so that it can be false.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError,
    params::{Bounded, Prose},
};
use crate::{
    explain::{Incident, facts},
    live::{Daemon, Live},
    observe::{Entity, Numbers, Signal, SignalType, window::ProcessTick},
    text::Text,
};

#[derive(Debug)]
pub struct VerifyClaim;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub claim: Claim,
}

/// Something that can be looked up. Bounds are inclusive; one at least is to be given where there are two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Claim {
    /// The process runs, and is called so.
    ProcessRuns { pid: Bounded<1, 4_194_304>, name: Option<Prose<256>> },
    /// A number of a process, as `describe_process` names it, is within bounds now.
    ProcessNumber { pid: Bounded<1, 4_194_304>, number: Prose<64>, at_least: Option<f64>, at_most: Option<f64> },
    /// A number of a cgroup, as `describe_cgroup` names it, is within bounds now.
    CgroupNumber { cgroup: Prose<4096>, number: Prose<64>, at_least: Option<f64>, at_most: Option<f64> },
    /// A number of the node, such as `memory_available_bytes` or `cpu_busy_percent`, is within bounds now.
    NodeNumber { number: Prose<64>, at_least: Option<f64>, at_most: Option<f64> },
    /// A signal of this type is open, about this process where one is given.
    SignalIsOpen { signal_type: SignalType, pid: Option<Bounded<1, 4_194_304>> },
    /// One signal was seen before another, by their numbers: a cause comes before its symptom.
    SignalCameBefore { earlier: Bounded<1, { i64::MAX }>, later: Bounded<1, { i64::MAX }> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub verdict: Verdict,
    /// What was found, with its number.
    pub found: String,
    /// The value that was compared.
    pub value: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    True,
    False,
    /// What it is about is not told here; a claim that nobody can check is no evidence.
    Unknown,
}

impl Tool for VerifyClaim {
    const NAME: &'static str = "verify_claim";
    const DESCRIPTION: &'static str = "Checks one typed claim about this node against what the agent sees: a process runs, a \
        number of a process, cgroup or the node is within bounds, a signal is open, one signal came before another. Answers \
        true, false or unknown, with what was found.";
    const TIER: Tier = Tier::Analyse;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, Params { claim }: Params) -> Result<Answer, ToolError> {
        let live = daemon.look();
        check(&claim, &live).map_err(|problem| ToolError::Params { tool: Self::NAME, problem })
    }
}

/// What is found of the claim now.
///
/// # Errors
/// When it has no bound to be held against.
pub fn check(claim: &Claim, live: &Live) -> Result<Answer, String> {
    let window = &live.window;
    let process = |pid: &Bounded<1, 4_194_304>| window.process_by_pid(u32::try_from(pid.get()).unwrap_or_default());
    Ok(match claim {
        Claim::ProcessRuns { pid, name } => match (process(pid), name) {
            (None, _) => Answer::of(Verdict::False, format!("no process {pid} runs")),
            (Some(found), Some(name)) if !is_called(found, name) => {
                Answer::of(Verdict::False, format!("process {pid} is called {}", found.sample.comm))
            }
            (Some(found), _) => Answer::of(Verdict::True, format!("process {pid} is {}", found.sample.comm)),
        },
        Claim::ProcessNumber { pid, number, at_least, at_most } => {
            let numbers = process(pid).zip(window.now()).map(|(process, tick)| facts::process(process, tick));
            of_number(&format!("process {pid}"), numbers.as_ref(), number, *at_least, *at_most)?
        }
        Claim::CgroupNumber { cgroup, number, at_least, at_most } => {
            let path = cgroup.as_str();
            let numbers = window.cgroup(path).map(|cgroup| {
                let mut numbers = Numbers::default();
                facts::of_cgroup(&mut numbers, cgroup);
                numbers
            });
            of_number(&format!("cgroup {}", Text::from(path)), numbers.as_ref(), number, *at_least, *at_most)?
        }
        Claim::NodeNumber { number, at_least, at_most } => {
            let numbers = window.now().map(|_| facts::node(window).numbers());
            of_number("the node", numbers.as_ref(), number, *at_least, *at_most)?
        }
        Claim::SignalIsOpen { signal_type, pid } => {
            let is_it = |signal: &&Signal| {
                let of = |pid: &Bounded<1, 4_194_304>| matches!(&signal.entity, Entity::Process { id, .. } if i64::from(id.pid) == pid.get());
                signal.signal_type == *signal_type && pid.as_ref().is_none_or(of)
            };
            match live.signals.iter().find(is_it) {
                Some(signal) => Answer::of(Verdict::True, format!("signal {}: {}", signal.id, signal.sentence)),
                None => Answer::of(Verdict::False, format!("no such signal of {signal_type} is open")),
            }
        }
        Claim::SignalCameBefore { earlier, later } => {
            let first_seen = |id: i64| {
                let mut known = live.signals.iter().chain(live.incidents.iter().flat_map(Incident::signals));
                known.find(|signal| signal.id == id).map(|signal| signal.first_seen_ms)
            };
            match (first_seen(earlier.get()), first_seen(later.get())) {
                (Some(one), Some(other)) => {
                    let verdict = if one <= other { Verdict::True } else { Verdict::False };
                    let found = format!("signal {earlier} was seen {} ms before signal {later}", other - one);
                    Answer { value: Some((other - one) as f64), ..Answer::of(verdict, found) }
                }
                _ => Answer::of(Verdict::Unknown, "one of these signals is not open".to_owned()),
            }
        }
    })
}

impl Answer {
    fn of(verdict: Verdict, found: String) -> Self {
        Self { verdict, found, value: None }
    }
}

fn is_called(process: &ProcessTick, name: &Prose<256>) -> bool {
    process.sample.comm == Text::from(name.as_str())
}

fn of_number(
    whose: &str,
    numbers: Option<&Numbers>,
    number: &Prose<64>,
    at_least: Option<f64>,
    at_most: Option<f64>,
) -> Result<Answer, String> {
    if at_least.is_none() && at_most.is_none() {
        return Err("a claim about a number needs `at_least` or `at_most`".to_owned());
    }
    let name = Text::from(number.as_str());
    let Some(numbers) = numbers else {
        return Ok(Answer::of(Verdict::False, format!("{whose} is not there")));
    };
    let Some(value) = numbers.get(number.as_str()) else {
        let known = numbers.0.iter().map(|(name, _)| name.as_ref()).collect::<Vec<_>>().join(", ");
        return Ok(Answer::of(Verdict::Unknown, format!("{whose} has no number {name}; it has {known}")));
    };
    let holds = at_least.is_none_or(|least| value >= least) && at_most.is_none_or(|most| value <= most);
    let verdict = if holds { Verdict::True } else { Verdict::False };
    Ok(Answer { value: Some(value), ..Answer::of(verdict, format!("{name} of {whose} is {value}")) })
}
