//! `cpu_hog`: somebody spins on the CPU for long while others wait for it.
//!
//! A compiler, a compressor and a backup want the CPU too, and are left alone: they are young, or fault, read, write
//! and sleep, while a spinner does nothing but run.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    remedy::{Remedies, freeze, give_way, restartable},
};
use crate::{
    decide::FailureMode,
    explain::{Explanation, Suspect},
    observe::{SignalType, waits::STOPPED_FROM_PERCENT},
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::CpuHog, hypothesise, remedies };

/// A hog has wanted (used, or waited for) this much of a CPU over its life, percent, and is at least so old, s.
const HOGS_FROM_PERCENT: f64 = 80.0;
const OLD_FROM_S: f64 = 10.0;
/// Who works shows it: compilers fault 6,000 to 10,000 times a second, pipes and files make one sleep.
const WORKS_FROM_FAULTS_PER_S: f64 = 500.0;
const WORKS_FROM_SLEEPS_PER_S: f64 = 20.0;
const WORKS_FROM_BYTES_PER_S: f64 = 262_144.0;
/// A build makes processes all the time, and they, not spinners, have the CPU.
const SPINS_FROM: f64 = 0.6;
const BUILDS_FROM_EXECS_PER_S: f64 = 20.0;
/// Below this nobody else is in need, percent of the time that others want a CPU.
const NEED_FROM_PERCENT: f64 = 5.0;

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    const WAITS: [&str; 4] = ["cpu_some", "runnable", "run_queue", "others_wait"];
    signal(explanation, SignalType::LoadMismatch, &WAITS)
        .or_else(|| signal(explanation, SignalType::Scheduler, &["run_queue"]))?;
    let culprit = explanation.suspects.iter().find(|suspect| suspect.of == "cpu")?;
    let wait = explanation.node.others_wait_percent;
    let unseen = explanation.node.cpu_unseen_percent;
    let hogs = hogging(explanation);
    let works = why_it_works(culprit).flatten();
    Some(
        Evidence::from(0.5)
            .weigh(
                wanted(culprit).map(|percent| percent >= HOGS_FROM_PERCENT),
                0.8,
                format!("it ran or wanted to for {:.0} % of its life", wanted(culprit).unwrap_or(0.0).min(100.0)),
            )
            .weigh(
                Some(hogs >= 0.6),
                0.6,
                format!(
                    "processes that neither fault, read, write nor sleep have {:.0} % of the CPU time in use",
                    hogs * 100.0
                ),
            )
            .weigh(
                stopped(culprit).map(|_| false),
                0.9,
                format!("its own quota stops it in {:.0} % of its periods", stopped(culprit).unwrap_or(0.0)),
            )
            .weigh(works.as_ref().map(|_| false), 0.8, works.clone().unwrap_or_default())
            .weigh(
                culprit.number("age_s").map(|age| age >= OLD_FROM_S),
                0.3,
                format!("it has run for {:.0} s", culprit.number("age_s").unwrap_or(0.0)),
            )
            .weigh(
                wait.map(|percent| percent >= NEED_FROM_PERCENT),
                0.2,
                format!("who uses little CPU waits {:.0} % of the time that it wants one", wait.unwrap_or(0.0)),
            )
            .weigh(
                unseen.map(|percent| percent < 15.0),
                0.2,
                format!("{:.0} % of the CPU time goes to processes too short-lived to be seen", unseen.unwrap_or(0.0)),
            )
            .says(format!("{} hogs the CPU", culprit.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let Some(culprit) = explanation.suspects.iter().find(|suspect| suspect.of == "cpu") else {
        return Remedies::default();
    };
    let named: Vec<String> = hogs(explanation).map(|hog| hog.entity.to_string()).collect();
    let who = if named.is_empty() { culprit.entity.to_string() } else { named.join(", ") };
    let mut ladder = give_way(explanation, culprit, &hogs(explanation).collect::<Vec<_>>());
    ladder.extend(freeze(culprit).filter(|_| explanation.yardstick().counts_own_wait()));
    Remedies {
        ladder,
        advice: format!(
            "Lower the priority of {who}, running without rest while others wait, or {}.",
            restartable(culprit)
        ),
        hold: why_not(explanation, culprit),
    }
}

/// Why this is no hog to be acted on, whatever speaks for it.
fn why_not(explanation: &Explanation, culprit: &Suspect) -> Option<String> {
    if let Some(percent) = stopped(culprit) {
        return Some(format!("its own quota stops {} in {percent:.0} % of its periods", culprit.entity));
    }
    let node = &explanation.node;
    let life = wanted(culprit).unwrap_or(0.0);
    if culprit.number("age_s").is_none_or(|age| age < OLD_FROM_S) {
        return Some(format!("{} is younger than {OLD_FROM_S:.0} s", culprit.entity));
    }
    if life < HOGS_FROM_PERCENT {
        return Some(format!("{} ran or wanted to for only {life:.0} % of its life", culprit.entity));
    }
    let spinning = hogging(explanation);
    if let Some(execs) = node.execs_per_s.filter(|execs| *execs >= BUILDS_FROM_EXECS_PER_S && spinning < SPINS_FROM) {
        return Some(format!("{execs:.0} programs are started a second, as in a build"));
    }
    if let Some(wait) = node.others_wait_percent.filter(|wait| *wait < NEED_FROM_PERCENT) {
        return Some(format!("nobody else is in need: who uses little CPU waits {wait:.0} % of the time"));
    }
    why_it_works(culprit).unwrap_or_else(|| Some("it is not known whether it works or spins".to_owned()))
}

/// In how many of its periods its own quota stops it, percent: who is held back already hogs nothing.
fn stopped(suspect: &Suspect) -> Option<f64> {
    suspect.number("cgroup_throttled_percent").filter(|percent| *percent >= STOPPED_FROM_PERCENT)
}

/// The part of the CPU time in use that goes to processes that spin, 0 to 1.
fn hogging(explanation: &Explanation) -> f64 {
    hogs(explanation).fold(0.0, |sum, hog| sum + hog.share)
}

/// Processes that spin, the culprit among them.
fn hogs(explanation: &Explanation) -> impl Iterator<Item = &Suspect> {
    explanation.suspects.iter().filter(|suspect| {
        suspect.of == "cpu"
            && wanted(suspect).is_some_and(|percent| percent >= HOGS_FROM_PERCENT)
            && why_it_works(suspect) == Some(None)
    })
}

/// Part of its life that a member ran or stood ready to, percent; where run delays are not told, that it ran.
fn wanted(suspect: &Suspect) -> Option<f64> {
    let sum = suspect.number("life_wanted_percent").or_else(|| suspect.number("life_cpu_percent"))?;
    Some(sum / members(suspect))
}

fn members(suspect: &Suspect) -> f64 {
    suspect.number("members").unwrap_or(1.0).max(1.0)
}

/// What shows that it works; `Some(None)` when nothing does, none when too little of it is known.
fn why_it_works(suspect: &Suspect) -> Option<Option<String>> {
    let each = |name: &str| suspect.number(name).map(|sum| sum / members(suspect));
    let faults = each("minor_faults_per_s")?.max(each("life_minor_faults_per_s").unwrap_or(0.0));
    // Who is starved has too much to do to sleep just now.
    let sleeps = each("voluntary_switches_per_s").into_iter().chain(each("life_voluntary_switches_per_s"));
    let sleeps = sleeps.fold(0.0, f64::max);
    let bytes = each("read_bytes_per_s").unwrap_or(0.0) + each("written_bytes_per_s").unwrap_or(0.0);
    let children = suspect.number("children").unwrap_or(0.0);
    Some(match () {
        () if faults >= WORKS_FROM_FAULTS_PER_S => Some(format!("it works: {faults:.0} page faults a second")),
        () if sleeps >= WORKS_FROM_SLEEPS_PER_S => {
            Some(format!("it works: it waits for others {sleeps:.0} times a second"))
        }
        () if bytes >= WORKS_FROM_BYTES_PER_S => Some(format!("it works: {:.0} KiB/s of I/O", bytes / 1024.0)),
        () if children >= 3.0 * members(suspect) => Some(format!("it works: it has {children:.0} children")),
        () => None,
    })
}
