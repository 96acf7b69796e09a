//! `cargo xtask setup`: what the build needs and this machine lacks, found by trying it and installed by name.

mod apt;
mod ebpf;
mod mcp_client;
mod peers;
mod pick;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

pub(crate) use peers::peer;

use crate::{place, say};

/// What the machine must be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Building,
    /// Building, and `cargo fmt` and `cargo clippy`.
    Development,
}

/// Makes the machine ready; when it is, one line and less than a second.
pub(crate) fn ensure(purpose: For) -> Result<()> {
    let log = log()?;
    let step = say::Step::begin("set-up");
    let mut lacking = Vec::new();
    if place::find("cc").is_none() {
        lacking.push(Need::Compiler);
    }
    let ebpf = ebpf::check();
    if let Err(why) = &ebpf {
        lacking.push(Need::Ebpf(why.clone()));
    }
    if purpose == For::Development {
        lacking.extend(["clippy", "fmt"].into_iter().filter(|tool| !answers(tool)).map(Need::Component));
        if place::find("systemd-analyze").is_none() {
            lacking.push(Need::Analyzer);
        }
        // Not everybody has that directory on the path; the tests that need them are root's.
        let is_there = |tool| place::find(tool).is_some() || Path::new("/usr/sbin").join(tool).exists();
        if !["ip", "tc"].into_iter().all(is_there) {
            lacking.push(Need::Interfaces);
        }
        if !mcp_client::is_there() {
            lacking.push(Need::McpClient);
        }
    }
    if let (true, Ok(ready)) = (lacking.is_empty(), &ebpf) {
        step.done(&format!("set up: {ready}"));
        return Ok(());
    }
    step.done(&format!("set-up looked around: {} missing, log in {}", lacking.len(), log.display()));
    // A log of one set-up, not of all that ever were.
    let _ = std::fs::remove_file(&log);
    for need in lacking {
        match need {
            Need::Compiler => {
                say::note("no C compiler, which the bundled SQLite needs");
                apt::install(&["gcc", "libc6-dev"], &log)?;
            }
            Need::Ebpf(why) => {
                say::note(&format!("no compiler for eBPF: {why}"));
                ebpf::install(&log)?;
            }
            Need::Component(tool) => {
                let component = if tool == "fmt" { "rustfmt" } else { tool };
                let mut rustup = Command::new("rustup");
                rustup.args(["component", "add", component]);
                say::logged(&format!("rustup component add {component}"), &mut rustup, &log)?;
            }
            Need::Analyzer => {
                say::note("no systemd-analyze, which judges the unit");
                // Everything else can be built and tested without it; CI fails where it is missing.
                if let Err(why) = apt::install(&["systemd"], &log) {
                    say::note(&format!("its test will be skipped: {why}"));
                }
            }
            Need::Interfaces => {
                say::note("no ip and tc, with which tests make interfaces of their own");
                if let Err(why) = apt::install(&["iproute2"], &log) {
                    say::note(&format!("those tests will be skipped: {why}"));
                }
            }
            Need::McpClient => {
                say::note("no MCP client of another make, which `kernelsight mcp` is tested with");
                if let Err(why) = mcp_client::install(&log) {
                    say::note(&format!("those tests will be skipped: {why:#}"));
                }
            }
        }
    }
    Ok(())
}

/// Brings the lists of packages up to date, once a run.
pub(crate) fn refresh(log: &Path) {
    apt::refresh(log);
}

/// Installs what virtual machines are made of.
pub(crate) fn guests(log: &Path, systemd: bool) -> Result<()> {
    let of_systems = [("debootstrap", "debootstrap"), ("mkfs.ext4", "e2fsprogs"), ("systemctl", "systemd")];
    let wanted = [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
        ("cpio", "cpio"),
        ("strip", "binutils"),
    ];
    let lacking: Vec<&str> = wanted
        .into_iter()
        .chain(of_systems.into_iter().filter(|_| systemd))
        .filter(|(program, _)| place::find(program).is_none())
        .map(|(_, package)| package)
        .collect();
    if lacking.is_empty() { Ok(()) } else { apt::install(&lacking, log) }
}

/// The version of the linter here, where it is newer than the one whose lints the project is held to.
pub(crate) fn newer_linter() -> Result<Option<String>> {
    let said = output(&mut place::cargo(&["clippy", "--version"]))?;
    let version = said.split_whitespace().nth(1).unwrap_or_default();
    let newer = pick::clippy_release(version) > Some(ebpf::least_release()?);
    Ok(newer.then(|| version.to_owned()))
}

enum Need {
    Compiler,
    Ebpf(String),
    Component(&'static str),
    Analyzer,
    /// What makes network interfaces, and queueing disciplines on them.
    Interfaces,
    McpClient,
}

fn log() -> Result<PathBuf> {
    Ok(place::target()?.join("setup.log"))
}

/// Whether `cargo TOOL` is installed.
fn answers(tool: &str) -> bool {
    let asked = place::cargo(&[tool, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// What a command prints, when it succeeds.
fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("`{program}` cannot be started"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        bail!("`{}`: {}", say::line_of(command), line.trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
