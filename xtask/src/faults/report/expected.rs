//! What a fault of the catalogue expects, in words.

use super::plot::asked;
use crate::faults::catalogue::{Control, Culprit, Expect, Fault};

/// Each expectation with its name.
pub(super) fn expected(fault: &Fault) -> Vec<(&'static str, String)> {
    match (&fault.expect, &fault.control) {
        (Some(expect), _) => of_fault(expect),
        (None, Some(control)) => of_control(control),
        (None, None) => Vec::new(),
    }
}

fn of_control(control: &Control) -> Vec<(&'static str, String)> {
    vec![
        ("signals", format!("none worse than {}", control.worst.name())),
        ("helped by", "nothing: it is no fault, and what is done to it fails the whole run".to_owned()),
    ]
}

fn of_fault(expect: &Expect) -> Vec<(&'static str, String)> {
    let culprits: Vec<&str> = expect.culprit.iter().map(|culprit| culprit.words()).collect();
    let mut rows = vec![
        ("detected", format!("{} within {} s", expect.signals.join(" or "), expect.within_s)),
        ("blamed", culprits.join(" or ")),
        ("explained", format!("as {}", expect.cause.join(" or "))),
        ("helped by", helped_by(expect)),
    ];
    rows.extend(expect.after.iter().map(|check| ("at the end", format!("{} {}", check.measure, asked(check)))));
    if expect.may_lose_processes {
        rows.push(("losses", "the kernel may end processes of the load for memory".to_owned()));
    }
    rows
}

fn helped_by(expect: &Expect) -> String {
    if expect.actions.is_empty() {
        return "nothing: it is rightly left alone".to_owned();
    }
    let alone = if expect.may_be_left_alone { ", or left alone" } else { "" };
    let vain = if expect.may_be_in_vain { "; in vain, if it is taken back" } else { "" };
    format!("{}{alone}{vain}", expect.actions.join(" or "))
}

impl Culprit {
    const fn words(self) -> &'static str {
        match self {
            Self::Process => "a process that the load names",
            Self::Cgroup => "the load's cgroup",
            Self::Limit => "a limit of the load's cgroup",
        }
    }
}
