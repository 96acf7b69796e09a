//! `cargo xtask test`: format, lints, tests, faults; each a stage with its time, counted at the end.

use std::{fs, panic, path::Path, process::Command, thread};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    faults::{self, Course},
    place, say, setup, vm,
};

/// Lines of a failed stage that are shown; the log has all of them.
const SHOWN_LINES: usize = 150;
/// Tests at once, for each CPU.
const THREADS_PER_CPU: usize = 2;

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Leave the fault catalogue out
    #[arg(long)]
    no_faults: bool,
    /// Only the tests whose name contains this; formats, lints and faults are left out
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u32,
    failed: u32,
    ignored: u32,
}

/// True when nothing failed.
pub(crate) fn test(test: &Test) -> Result<bool> {
    setup::ensure(setup::For::Development)?;
    let log = place::target()?.join("test.log");
    let _ = fs::remove_file(&log);
    let mut total = Count::default();
    let whole = test.filter.is_none();
    if whole {
        total.add(stage("format", &mut place::cargo(&["fmt", "--all", "--check"]), &log)?);
        build_beside_what_guests_need(&log)?;
    }
    let with_faults = whole && !test.no_faults;
    let mut in_guest = Ok(Vec::new());
    if whole {
        let (count, courses) = lints_and_faults_beside_guests(&log, with_faults)?;
        total.add(count);
        in_guest = courses;
    }
    // Shown in the log only; a test that was skipped says so there, and is told below.
    let mut cargo = place::cargo(&["test", "--release", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    // They wait for the kernel more than they compute.
    let at_once = THREADS_PER_CPU * thread::available_parallelism().map_or(1, usize::from);
    cargo.arg(format!("--test-threads={at_once}")).args(&test.filter);
    total.add(stage("tests", &mut cargo, &log)?);
    if with_faults {
        total.add(faults(in_guest)?);
    }
    println!("{} passed, {} failed{}", total.passed, total.failed, total.ignored_words());
    Ok(total.failed == 0)
}

/// What guests are made of comes over the network, while the CPUs build.
fn build_beside_what_guests_need(log: &Path) -> Result<()> {
    thread::scope(|scope| {
        if is_root() {
            // Where it cannot be had, the stage tells why.
            scope.spawn(|| _ = vm::make_ready());
        }
        let mut build = place::cargo(&["test", "--release", "--workspace", "--no-run"]);
        say::logged("build the tests (release)", &mut build, log)
    })
}

/// A guest keeps one CPU busy, whatever the machine has: what needs no quiet goes on beside it, on the others. Whoever
/// is through with that takes guests, too. The faults that run in a guest are answered, or why there was none for them.
fn lints_and_faults_beside_guests(log: &Path, with_faults: bool) -> Result<(Count, Result<Vec<Course>>)> {
    // Cargo's lock is held while it lints, so the guests' part of it comes first.
    let programs = &vm::programs();
    let (beside, afterwards, lints, courses) = thread::scope(|scope| {
        let beside = scope.spawn(|| guests(programs, vm::BESIDE));
        let lints = lints(log);
        let courses = if with_faults && is_root() { faults::guest_stage() } else { Ok(Vec::new()) };
        let afterwards = guests(programs, vm::AFTERWARDS);
        (beside.join().unwrap_or_else(|panic| panic::resume_unwind(panic)), afterwards, lints, courses)
    });
    let mut sum = beside;
    sum.add(afterwards);
    sum.add(lints?);
    Ok((sum, courses))
}

fn lints(log: &Path) -> Result<Count> {
    let mut clippy = place::cargo(&["clippy", "--release", "--workspace", "--all-targets"]);
    match setup::newer_linter()? {
        None => _ = clippy.args(["--", "-D", "warnings"]),
        // What a later linter thinks of in addition is no fault of this tree.
        Some(version) => {
            say::note(&format!("clippy {version} is newer than the one this tree is held to; it warns, in the log"));
        }
    }
    stage("lints", &mut clippy, log)
}

/// The catalogue. Without root it is left out, but where everything must be tested that is a failure.
fn faults(in_guest: Result<Vec<Course>>) -> Result<Count> {
    let left_out = Count { failed: must_all().into(), ..Count::default() };
    if !is_root() {
        say::note("skipped: the fault catalogue needs root, for cgroups and eBPF");
        return Ok(left_out);
    }
    let mut sum = Count::default();
    let in_guest = in_guest.unwrap_or_else(|why| {
        say::note(&format!("skipped: faults in a virtual machine: {why:#}"));
        sum.add(left_out);
        Vec::new()
    });
    let (passed, failed) = faults::stage(in_guest)?;
    sum.add(Count { passed, failed, ignored: 0 });
    Ok(sum)
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The tests that need another kernel than this machine's. Where no guest can be had that is said, and a failure where
/// everything must be tested.
fn guests(programs: &Result<vm::Programs>, trials: &[vm::Trial]) -> Count {
    let mut sum = Count::default();
    let mut each = |step: say::Step, ran: vm::Ran| {
        let mut count = count(&ran.said);
        let outcome = format!("guest of Linux {}: {} passed{}", ran.kernel, count.passed, count.ignored_words());
        if ran.passed() {
            step.done(&outcome);
        } else {
            count.failed = count.failed.max(1);
            step.failed(&format!("{outcome}, {} failed", count.failed));
            show(&ran.said);
        }
        sum.add(count);
    };
    let ran = match programs {
        Ok(programs) => vm::stage(programs, trials, &mut each).map_err(|why| format!("{why:#}")),
        Err(why) => Err(format!("{why:#}")),
    };
    if let Err(why) = ran {
        say::note(&format!("skipped: tests in virtual machines: {why}"));
        sum.add(Count { failed: must_all().into(), ..Count::default() });
    }
    sum
}

/// Whether a test that cannot be run is a failure.
fn must_all() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Runs one stage. It counts as its tests, or as one where it has none.
fn stage(name: &str, command: &mut Command, log: &Path) -> Result<Count> {
    let begins = fs::metadata(log).map_or(0, |meta| meta.len());
    let (step, status) = say::quiet(say::Step::begin(name), command, log)?;
    let written = fs::read(log).with_context(|| format!("{} cannot be read", log.display()))?;
    let said = String::from_utf8_lossy(written.get(usize::try_from(begins)?..).unwrap_or_default()).into_owned();
    let mut count = count(&said);
    if status.success() {
        if count == Count::default() {
            count.passed = 1;
        }
        step.done(&format!("{name}: {} passed{}", count.passed, count.ignored_words()));
        for skip in said.lines().filter(|line| line.trim_start().starts_with("skipped:")) {
            say::note(skip.trim());
        }
    } else {
        // Something else than a test may have failed: the build, the linter.
        count.failed = count.failed.max(1);
        step.failed(&format!(
            "{name}: {} passed, {} failed, all of it in {}",
            count.passed,
            count.failed,
            log.display()
        ));
        show(&said);
    }
    Ok(count)
}

/// What cargo and the tests said that tells why: without the lines of what went well.
fn show(said: &str) {
    let dull = |line: &&str| {
        let line = line.trim();
        line.ends_with("... ok") || line.starts_with("Compiling ") || line.starts_with("Checking ") || line.is_empty()
    };
    let lines: Vec<&str> = said.lines().filter(|line| !dull(line)).collect();
    let hidden = lines.len().saturating_sub(SHOWN_LINES);
    if hidden > 0 {
        say::note(&format!("the first {hidden} lines are left out"));
    }
    say::quote(&lines[hidden..]);
}

/// Sums the `test result:` lines of libtest.
fn count(said: &str) -> Count {
    let mut sum = Count::default();
    for line in said.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        let number = |what: &str| {
            line.split(['.', ';'])
                .filter_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u32>().ok())
                .sum::<u32>()
        };
        sum.add(Count { passed: number(" passed"), failed: number(" failed"), ignored: number(" ignored") });
    }
    sum
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    fn ignored_words(self) -> String {
        if self.ignored == 0 { String::new() } else { format!(", {} ignored", self.ignored) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_binaries_are_summed() {
        let said = "running 3 tests\ntest a ... ok\n\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                    test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        assert_eq!(count(said), Count { passed: 8, failed: 2, ignored: 1 });
    }

    #[test]
    fn a_stage_without_tests_counts_none() {
        assert_eq!(count("Checking xtask v0.1.0\n    Finished\n"), Count::default());
    }
}
