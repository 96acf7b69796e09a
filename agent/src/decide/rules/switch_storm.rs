//! `switch_storm`: a few processes wake each other so fast that the CPUs do little but switch.
//!
//! Moving such a pair to one CPU does not help: a pipe ping-pong did 146,000 switches a second on two CPUs and 166,000
//! on one, 103,000 at nice 10, and 31,000 under a quota of a fifth of a CPU, when measured. So the CPU time is limited.

use super::{
    Rule,
    evidence::{Evidence, Finding, most, signal},
    remedy::{Remedies, give_way, restartable},
};
use crate::{
    decide::FailureMode,
    explain::{Explanation, Suspect},
    observe::SignalType,
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::SwitchStorm, hypothesise, remedies };

/// A database or a proxy on full load switches less than this, a second.
const STORM_FROM_PER_S: f64 = 20_000.0;
const OLD_FROM_S: f64 = 5.0;
/// Who moves so many bytes to or from a device for each switch waits for that, as a database does: each wait of a direct
/// write of 4 KiB moves 1 to 4 KiB, a pipe's none.
const WORKS_FROM_BYTES: f64 = 256.0;

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    signal(explanation, SignalType::Scheduler, &["switches"])?;
    let (culprit, _) = most(explanation, switches)?;
    let (voluntary, involuntary) =
        (culprit.number("voluntary_switches_per_s")?, culprit.number("involuntary_switches_per_s").unwrap_or(0.0));
    let all: f64 = explanation.suspects.iter().filter_map(switches).sum();
    let storming: f64 = storming(explanation).into_iter().filter_map(switches).sum();
    let storming = storming / all.max(1.0);
    Some(
        Evidence::from(0.5)
            .weigh(
                Some(voluntary + involuntary >= STORM_FROM_PER_S),
                0.5,
                format!("{} switches {:.0} times a second", culprit.entity, voluntary + involuntary),
            )
            .weigh(
                Some(voluntary >= 4.0 * involuntary),
                0.4,
                format!("{:.0} of these to wait, {:.0} because others want the CPU", voluntary, involuntary),
            )
            .weigh(
                works(culprit).map(|_| false),
                0.8,
                format!("it moves {:.0} bytes of block I/O for each switch", works(culprit).unwrap_or(0.0)),
            )
            .weigh(
                Some(storming >= 0.6),
                0.4,
                format!("the first suspects have {:.0} % of all switches", storming * 100.0),
            )
            .says(format!("{} and its partner do little but wake each other", culprit.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some((culprit, _)) = most(explanation, switches) else { return Remedies::default() };
    let young = culprit.number("age_s").is_none_or(|age| age < OLD_FROM_S);
    Remedies {
        ladder: give_way(explanation, culprit, &storming(explanation)),
        advice: format!(
            "{} wakes and sleeps without end: batch what it exchanges, or {}.",
            culprit.entity,
            restartable(culprit)
        ),
        hold: match works(culprit) {
            Some(bytes) => Some(format!("{} works: {bytes:.0} bytes of block I/O for each switch", culprit.entity)),
            None => young.then(|| format!("{} is younger than {OLD_FROM_S:.0} s", culprit.entity)),
        },
    }
}

/// Those who wake each other: the partner of a pair switches as often.
fn storming(explanation: &Explanation) -> Vec<&Suspect> {
    let storms = |suspect: &&Suspect| switches(suspect).is_some_and(|rate| rate >= 0.2 * STORM_FROM_PER_S);
    explanation.suspects.iter().filter(storms).collect()
}

/// Bytes of block I/O for each switch, where they are so many that it waits for a device.
fn works(suspect: &Suspect) -> Option<f64> {
    let bytes = suspect.number("read_bytes_per_s")? + suspect.number("written_bytes_per_s")?;
    switches(suspect).map(|switches| bytes / switches.max(1.0)).filter(|bytes| *bytes >= WORKS_FROM_BYTES)
}

fn switches(suspect: &Suspect) -> Option<f64> {
    Some(suspect.number("voluntary_switches_per_s")? + suspect.number("involuntary_switches_per_s").unwrap_or(0.0))
}
