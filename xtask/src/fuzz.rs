//! `cargo xtask fuzz`: the gate under libFuzzer, which looks for lines and actions that reach new code of it.
//!
//! With the stable compiler: what cargo-fuzz asks of a nightly one is the address sanitizer, and nothing that the gate
//! runs is unsafe.

use std::{ffi::OsString, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{place, say, setup};

/// Counters at each edge and values that are compared, for the fuzzer to steer by (rustc, "SanitizerCoverage").
const STEERED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";
/// Longest input, bytes: a line may have 640.
const INPUT_MAX: u32 = 1024;

#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// So many inputs; each is four cases: two as it is, and a line and an action that are made of it
    #[arg(long, value_name = "N", default_value_t = 250_000)]
    runs: u32,
}

/// True when the gate allowed nothing that its oracle does not.
pub(crate) fn fuzz(fuzz: &Fuzz) -> Result<bool> {
    setup::ensure(setup::For::Building)?;
    if Command::new("c++").arg("--version").output().is_err() {
        bail!("libFuzzer needs a C++ compiler, and there is no `c++`: install g++ or clang");
    }
    let target = place::target()?.join("fuzz");
    fs::create_dir_all(&target).with_context(|| format!("{} cannot be made", target.display()))?;
    let gate = build(&target)?;
    let corpus = target.join("corpus");
    fs::create_dir_all(&corpus).with_context(|| format!("{} cannot be made", corpus.display()))?;
    let mut findings = OsString::from("-artifact_prefix=");
    findings.push(target.join("found-"));
    let mut run = Command::new(gate);
    run.args([format!("-runs={}", fuzz.runs), format!("-max_len={INPUT_MAX}"), "-print_final_stats=1".to_owned()]);
    let status = run.arg(findings).arg(corpus).status().context("the fuzzer cannot be started")?;
    if status.success() {
        println!("{} inputs, {} cases: the gate allowed none that its oracle refuses", fuzz.runs, fuzz.runs * 4);
    } else {
        println!(
            "the gate and its oracle differ, or the gate died; the input is at {}",
            target.join("found-*").display()
        );
    }
    Ok(status.success())
}

/// Where the fuzzer is. Its target is named, so that build scripts and macros are built as always.
fn build(target: &std::path::Path) -> Result<PathBuf> {
    let host = host()?;
    let log = target.join("build.log");
    let _ = fs::remove_file(&log);
    let mut cargo = place::cargo(&["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    cargo.arg("--target-dir").arg(target).env("RUSTFLAGS", STEERED);
    say::logged("build the fuzzer (the first time some minutes)", &mut cargo, &log)?;
    Ok(target.join(host).join("release/gate"))
}

fn host() -> Result<String> {
    let said = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for which machine it compiles")
}
