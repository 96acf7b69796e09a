//! Faults that run in a virtual machine: this machine's disk is too fast or too shared for them, and its control groups
//! are not v2's. The runner runs itself in there, and what it saw comes back as files.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{
    catalogue::{Fault, Guest},
    report::story::Story,
    rounds::{self, Course, Round, Witnessed},
    score::Score,
};
use crate::{place, say, vm};

/// Emulated, all that is not a fault's own time takes long: to boot, and around each round.
const BOOT_S: u64 = 180;
const AROUND_S: u64 = 45;

impl Guest {
    pub(crate) fn words(self) -> String {
        format!(
            "a virtual machine with control groups v2, whose disk does {} operations and {} MiB a second",
            self.disk_ops_per_s, self.disk_mb_per_s
        )
    }

    const fn speed(self) -> vm::DiskSpeed {
        vm::DiskSpeed { ops_per_s: self.disk_ops_per_s, mb_per_s: self.disk_mb_per_s }
    }
}

/// Faults by the kind of machine that they need; those that need none are left out.
pub(crate) fn kinds(faults: Vec<Fault>) -> Vec<(Guest, Vec<Fault>)> {
    let mut kinds: Vec<(Guest, Vec<Fault>)> = Vec::new();
    for fault in faults {
        let Some(guest) = fault.guest else { continue };
        match kinds.iter_mut().find(|(kind, _)| *kind == guest) {
            Some((_, of_it)) => of_it.push(fault),
            None => kinds.push((guest, vec![fault])),
        }
    }
    kinds
}

/// Runs `command` of this binary for these faults in such a machine, each so many `rounds`. Evidence that an earlier run
/// left is gone after it.
///
/// # Errors
/// When no virtual machine can be had.
pub(crate) fn run(
    guest: Guest,
    faults: &[Fault],
    command: &str,
    rounds: usize,
    evidence: &Path,
) -> Result<(say::Step, vm::Ran)> {
    let names: Vec<&str> = faults.iter().map(|fault| fault.name.as_str()).collect();
    for name in &names {
        // What an earlier run left would be taken for this one's.
        let _ = fs::remove_dir_all(evidence.join(name));
    }
    let rounds = u64::try_from(rounds)?;
    let seconds: u64 = faults.iter().map(|fault| fault.warm_up_s + fault.bound_s + AROUND_S).sum();
    let only: String = names.iter().map(|name| format!(" --only {name}")).collect();
    let step = say::Step::begin(format!("{} in {}", names.join(", "), guest.words()));
    let timeout = Duration::from_secs(BOOT_S + rounds * seconds);
    vm::faults(step, &format!("{command}{only}"), guest.speed(), evidence, timeout)
}

/// Runs each so many times, those of one kind of machine in one of it.
///
/// # Errors
/// When no virtual machine can be had. What goes wrong inside one is a failure of its faults.
pub(super) fn run_all(faults: Vec<Fault>, planned: usize) -> Result<Vec<Course>> {
    let mut courses = Vec::new();
    for (guest, faults) in kinds(faults) {
        courses.extend(run_kind(guest, faults, planned)?);
    }
    Ok(courses)
}

fn run_kind(guest: Guest, faults: Vec<Fault>, planned: usize) -> Result<Vec<Course>> {
    let evidence = place::target()?.join("faults");
    let command = format!("faults --here --report /tmp/report.html --repeat {planned}");
    let (step, ran) = run(guest, &faults, &command, planned, &evidence)?;
    let courses: Vec<Course> = faults.into_iter().map(|fault| course(fault, &evidence, planned, &ran)).collect();
    let names: Vec<&str> = courses.iter().map(|course| course.fault.name.as_str()).collect();
    let failed: Vec<String> = courses.iter().flat_map(failures).collect();
    let outcome = format!("{} in a guest of Linux {}", names.join(", "), ran.kernel);
    if failed.is_empty() {
        step.done(&outcome);
    } else {
        step.failed(&format!("{outcome}: {}", failed.join("; ")));
    }
    Ok(courses)
}

fn course(fault: Fault, evidence: &Path, planned: usize, ran: &vm::Ran) -> Course {
    let rounds = (1..=planned).map(|round| {
        let left = rounds::evidence_of(evidence, &fault.name, round, planned);
        let read = || -> Result<Witnessed> {
            let file = left.join(rounds::WITNESSED);
            let text = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no round", file.display()))
        };
        let Witnessed { score, story } = read()
            .unwrap_or_else(|error| Witnessed { score: untold(&fault, &error, &ran.said), story: Story::default() });
        Round { score, story, evidence: left }
    });
    Course { rounds: rounds.collect(), fault }
}

/// Of which nothing came out of the virtual machine, that said this.
pub(crate) fn untold(fault: &Fault, error: &anyhow::Error, said: &str) -> Score {
    let last = said.trim_end().lines().last().unwrap_or_default();
    let why = format!("nothing of it came out of the virtual machine ({error:#}), which said at last: {last}");
    Score { reasons: vec![why], ..Score::blank(&fault.name) }
}

fn failures(course: &Course) -> impl Iterator<Item = String> {
    let failed = course.rounds.iter().filter(|round| !round.score.passed);
    failed.map(|round| format!("{}: {}", course.fault.name, round.score.reasons.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::report::sample;

    #[test]
    fn what_a_virtual_machine_did_not_tell_failed_with_its_last_words() {
        let fault = sample::run_of("cpu_hog").courses.remove(0).fault;
        let ran = vm::Ran { kernel: "6.12".to_owned(), said: "boot\npanic: no init\n\n".to_owned(), code: None };
        let course = course(fault, Path::new("/nowhere"), 2, &ran);
        let reasons: Vec<&String> = course.rounds.iter().flat_map(|round| &round.score.reasons).collect();
        assert_eq!(reasons.len(), 2);
        assert!(reasons.iter().all(|reason| reason.ends_with("which said at last: panic: no init")), "{reasons:?}");
        assert!(reasons[1].contains("/nowhere/cpu_hog/round-2/round.json"), "{reasons:?}");
    }
}
