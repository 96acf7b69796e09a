//! `fd_exhaustion`: a process is out of file descriptors. Its soft limit can be raised up to its hard one.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    raise,
    remedy::{Remedies, restartable},
};
use crate::{decide::FailureMode, explain::Explanation, observe::SignalType};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::FdExhaustion, hypothesise, remedies };

const FILES: [&str; 3] = ["emfile", "enfile", "open_files"];

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let files = signal(explanation, SignalType::Syscall, &FILES)?;
    let (open, limit) = open_of_limit(explanation);
    let full = open.zip(limit).map(|(open, limit)| open >= limit * 0.9);
    Some(
        Evidence::from(0.6)
            .weigh(Some(true), 0.3, format!("{} is {:.0}", files.measure, files.value))
            .weigh(full, 0.5, format!("{:.0} of {:.0} descriptors are open", open.unwrap_or(0.0), limit.unwrap_or(0.0)))
            .says(format!("{} is out of file descriptors", files.entity)),
    )
}

fn remedies(explanation: &Explanation) -> Remedies {
    let files = signal(explanation, SignalType::Syscall, &FILES).unwrap_or(&explanation.primary);
    let (open, limit) = open_of_limit(explanation);
    let count = match open.zip(limit) {
        Some((open, limit)) => format!(" with {open:.0} of {limit:.0} descriptors open"),
        None => String::new(),
    };
    let raise = match (files.entity.process(), limit) {
        (Some(id), Some(limit)) => format!("prlimit --pid {} --nofile={:.0}", id.pid, limit * 2.0),
        (Some(id), None) => format!("prlimit --pid {} --nofile", id.pid),
        (None, _) => "sysctl fs.file-max".to_owned(),
    };
    let restart = explanation
        .culprit()
        .map_or_else(String::new, |culprit| format!("; if it leaks them, {}", restartable(culprit)));
    let fails = signal(explanation, SignalType::Syscall, &["emfile"]);
    let ladder = fails.zip(limit).and_then(|(fails, limit)| raise::open_files(&fails.entity, limit));
    Remedies {
        ladder: ladder.into_iter().collect(),
        advice: format!(
            "{} fails for want of file descriptors{count}. Raise its limit ({raise}){restart}.",
            files.entity
        ),
        ..Remedies::default()
    }
}

/// Of the signal that says so, else of the process that it names.
fn open_of_limit(explanation: &Explanation) -> (Option<f64>, Option<f64>) {
    let said = |name: &str| {
        let signals = std::iter::once(&explanation.primary).chain(&explanation.symptoms);
        signals.filter_map(|signal| signal.numbers.get(name)).next()
    };
    let known = |name: &str| said(name).or_else(|| explanation.culprit()?.number(name));
    (known("open_files"), known("open_files_limit"))
}
