//! `cargo xtask fuzz`: the targets of `tests/fuzz` under libFuzzer, which looks for inputs that reach new code.
//!
//! With the stable compiler: what cargo-fuzz asks of a nightly one is the address sanitizer, and of what the targets run
//! only the reading of a record's bytes is unsafe.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{place, say, setup};

/// Counters at each edge and values that are compared, for the fuzzer to steer by (rustc, "SanitizerCoverage").
const STEERED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";
/// Longest input, bytes.
const INPUT_MAX: u32 = 4096;
/// An input that takes longer is a finding, s.
const INPUT_WITHIN_S: u32 = 40;
const SECONDS: u32 = 60;

#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Which targets; all of them where none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// So long for each target, s [default: 60]
    #[arg(long, value_name = "S")]
    seconds: Option<u32>,
    /// So many inputs for each target
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    runs: Option<u32>,
    /// Only this input, once: one that was found
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "runs"])]
    input: Option<PathBuf>,
}

/// True when no target found anything.
pub(crate) fn fuzz(fuzz: &Fuzz) -> Result<bool> {
    let known = known()?;
    if let Some(unknown) = fuzz.targets.iter().find(|target| !known.contains(*target)) {
        bail!("`{unknown}` is no target; there are {}", known.into_iter().collect::<Vec<_>>().join(", "));
    }
    let targets: Vec<&String> =
        if fuzz.targets.is_empty() { known.iter().collect() } else { fuzz.targets.iter().collect() };
    ensure!(fuzz.input.is_none() || targets.len() == 1, "an input is for one target: name it");
    setup::ensure(setup::For::Building)?;
    if Command::new("c++").arg("--version").output().is_err() {
        bail!("libFuzzer needs a C++ compiler, and there is no `c++`: install g++ or clang");
    }
    let home = place::target()?.join("fuzz");
    let binaries = build(&home, &targets)?;
    let mut sound = true;
    for target in targets {
        let mut command = Command::new(binaries.join(target));
        sound &= match &fuzz.input {
            Some(input) => command.arg(input).status().context("the fuzzer cannot be started")?.success(),
            None => {
                command.arg(match (fuzz.runs, fuzz.seconds) {
                    (Some(runs), _) => format!("-runs={runs}"),
                    (None, seconds) => format!("-max_total_time={}", seconds.unwrap_or(SECONDS)),
                });
                run(&home, target, &mut command)?
            }
        };
    }
    Ok(sound)
}

/// The targets, each a binary.
fn known() -> Result<BTreeSet<String>> {
    let directory = place::workspace().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    files.map(|file| Ok(stem(&file?.path()))).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Goes on from the seeds and from what earlier runs found worth keeping. Whatever fails is kept, by the target's name.
fn run(home: &Path, target: &str, command: &mut Command) -> Result<bool> {
    let (corpus, found) = (home.join("corpus").join(target), home.join("found"));
    for directory in [&corpus, &found] {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    let mut findings = OsString::from("-artifact_prefix=");
    findings.push(found.join(format!("{target}-")));
    let before = found_by(&found, target)?;
    command
        .args([
            format!("-max_len={INPUT_MAX}"),
            format!("-timeout={INPUT_WITHIN_S}"),
            "-print_final_stats=1".to_owned(),
        ])
        .arg(findings)
        .arg(&corpus)
        .arg(place::workspace().join("fuzz/corpus").join(target));
    let log = home.join(format!("{target}.log"));
    let _ = fs::remove_file(&log);
    let (step, status) = say::quiet(say::Step::begin(format!("fuzz {target}")), command, &log)?;
    let said = fs::read(&log).with_context(|| format!("{} cannot be read", log.display()))?;
    let said = String::from_utf8_lossy(&said);
    if status.success() {
        let (inputs, edges) = (executed(&said), edges(&said));
        step.done(&format!(
            "{target}: {inputs} inputs, {edges} edges reached, {} kept",
            fs::read_dir(&corpus)?.count()
        ));
        return Ok(true);
    }
    step.failed(&format!("{target}: all of it in {}", log.display()));
    for line in said.lines().filter(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer")) {
        say::note(line);
    }
    for input in found_by(&found, target)?.difference(&before) {
        say::note(&format!("cargo xtask fuzz {target} --input {}", input.display()));
    }
    Ok(false)
}

fn found_by(found: &Path, target: &str) -> Result<BTreeSet<PathBuf>> {
    let files = fs::read_dir(found).with_context(|| format!("{} cannot be read", found.display()))?;
    let files: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    Ok(files.into_iter().filter(|file| stem(file).starts_with(&format!("{target}-"))).collect())
}

/// Inputs that were run, of the statistics at the end.
fn executed(said: &str) -> u64 {
    let number = |line: &str| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok();
    said.lines().find_map(number).unwrap_or(0)
}

/// Edges that were reached, of the last line that tells them: `#12 NEW cov: 345 ft: …`.
fn edges(said: &str) -> u64 {
    let number = |line: &str| line.split_once(" cov: ")?.1.split(' ').next()?.parse().ok();
    said.lines().rev().find_map(number).unwrap_or(0)
}

/// Where the fuzzers are. Their machine is named, so that build scripts and macros are built as always.
fn build(home: &Path, targets: &[&String]) -> Result<PathBuf> {
    fs::create_dir_all(home).with_context(|| format!("{} cannot be made", home.display()))?;
    lock_as_the_workspace()?;
    let host = host()?;
    let log = home.join("build.log");
    let _ = fs::remove_file(&log);
    let mut cargo = place::cargo(&["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    cargo.args(targets.iter().flat_map(|target| ["--bin", target.as_str()]));
    cargo.arg("--target-dir").arg(home).env("RUSTFLAGS", STEERED);
    say::logged("build the fuzzers (the first time some minutes)", &mut cargo, &log)?;
    Ok(home.join(host).join("release"))
}

/// What is fuzzed is what is shipped: its lock file is the workspace's, and libFuzzer's packages beside that.
fn lock_as_the_workspace() -> Result<()> {
    let (from, to) = (place::workspace().join("Cargo.lock"), place::workspace().join("fuzz/Cargo.lock"));
    let written = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified());
    let is_newer = match (written(&from), written(&to)) {
        (Ok(from), Ok(to)) => from > to,
        _ => true,
    };
    if is_newer {
        fs::copy(&from, &to).with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))?;
    }
    Ok(())
}

fn host() -> Result<String> {
    let said = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for which machine it compiles")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_counts_of_a_run_are_told() {
        let said = "INFO: seed corpus: files: 20\n#21\tINITED cov: 311 ft: 700 corp: 9/2Kb\n\
                    #500\tNEW    cov: 345 ft: 801 corp: 12/3Kb\nDone 500 runs in 1 second(s)\n\
                    stat::number_of_executed_units: 500\nstat::average_exec_per_sec:     500\n";
        assert_eq!((executed(said), edges(said)), (500, 345));
    }

    #[test]
    fn a_run_that_says_nothing_counts_nothing() {
        assert_eq!((executed(""), edges("")), (0, 0));
    }
}
