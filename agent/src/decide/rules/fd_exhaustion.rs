//! `fd_exhaustion`: a process is out of file descriptors. Its soft limit can be raised up to its hard one.

use super::{
    Rule,
    evidence::{Evidence, Finding, signal},
    raise,
    remedy::{Remedies, restart, restartable},
};
use crate::{
    decide::FailureMode,
    explain::Explanation,
    observe::{Signal, SignalType},
};

pub(super) const RULE: Rule = Rule { failure_mode: FailureMode::FdExhaustion, hypothesise, remedies };

const FILES: [&str; 3] = ["emfile", "enfile", "open_files"];

fn hypothesise(explanation: &Explanation) -> Option<Finding> {
    let files = signal(explanation, SignalType::Syscall, &FILES)?;
    let (open, limit) = open_of_limit(explanation, files).unzip();
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
    let (open, limit) = open_of_limit(explanation, files).unzip();
    let count = match open.zip(limit) {
        Some((open, limit)) => format!(" with {open:.0} of {limit:.0} descriptors open"),
        None => String::new(),
    };
    let raise = match (files.entity.process(), limit) {
        (Some(id), Some(limit)) => format!("prlimit --pid {} --nofile={:.0}", id.pid, limit * 2.0),
        (Some(id), None) => format!("prlimit --pid {} --nofile", id.pid),
        (None, _) => "sysctl fs.file-max".to_owned(),
    };
    let what = match explanation.culprit() {
        Some(culprit) => format!("If it leaks them, {}; else raise its limit ({raise}).", restartable(culprit)),
        None => format!("Raise its limit ({raise})."),
    };
    let fails = signal(explanation, SignalType::Syscall, &["emfile"]);
    let ladder = fails.zip(limit).and_then(|(fails, limit)| raise::open_files(&fails.entity, limit));
    Remedies {
        ladder: ladder.into_iter().chain(explanation.culprit().and_then(restart)).collect(),
        advice: format!("{} fails for want of file descriptors{count}. {what}", files.entity),
        ..Remedies::default()
    }
}

/// Open files and their limit: as the process has them now, else as one signal says.
fn open_of_limit(explanation: &Explanation, files: &Signal) -> Option<(f64, f64)> {
    let of = |number: &dyn Fn(&str) -> Option<f64>| number("open_files").zip(number("open_files_limit"));
    let process = explanation.suspects.iter().find(|suspect| suspect.entity == files.entity);
    let now = process.and_then(|process| of(&|name| process.number(name)));
    let signals = || std::iter::once(files).chain(&explanation.symptoms).chain([&explanation.primary]);
    now.or_else(|| signals().find_map(|signal| of(&|name| signal.numbers.get(name))))
}
