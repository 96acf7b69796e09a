//! `cargo xtask faults`: injects each fault of the catalogue for real, and scores what the agent saw and did.

pub(crate) mod catalogue;
mod filesystem;
pub(crate) mod inject;
mod network;
pub(crate) mod score;
mod settings;
mod swap;
mod watch;

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use crate::{place, run, say, setup};
use catalogue::Fault;
use score::{Mark, Score};

#[derive(Debug, Default, Args)]
pub(crate) struct Faults {
    /// Only the fault of this name; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Each fault so many times
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Say what there is, and run nothing
    #[arg(long)]
    list: bool,
}

/// True when every one passed.
pub(crate) fn faults(faults: &Faults) -> Result<bool> {
    let chosen = chosen(&faults.only)?;
    if faults.list {
        for fault in &chosen {
            let kind = if fault.control.is_some() { "control" } else { "fault" };
            let open = fault.open.as_ref().map_or_else(String::new, |why| format!(" (open: {why})"));
            println!("{:20} {kind:8} {:3} s  {}{open}", fault.name, fault.bound_s, fault.about);
        }
        return Ok(true);
    }
    setup::ensure(setup::For::Building)?;
    run::build()?;
    let scores = run_all(&chosen, faults.repeat)?;
    if faults.json {
        let failed = scores.iter().filter(|score| !score.passed).count();
        println!("{:#}", json!({ "passed": scores.len() - failed, "failed": failed, "faults": scores }));
    } else {
        print(&scores);
    }
    Ok(scores.iter().all(|score| score.passed))
}

/// Runs the catalogue but what is open, for `test`: how many passed, how many failed.
pub(crate) fn stage() -> Result<(u32, u32)> {
    run::build()?;
    let (open, met): (Vec<Fault>, Vec<Fault>) = catalogue::read()?.into_iter().partition(|fault| fault.open.is_some());
    for fault in &open {
        say::note(&format!("left out: {} is open: {}", fault.name, fault.open.as_deref().unwrap_or_default()));
    }
    let scores = run_all(&met, 1)?;
    print(&scores);
    let failed = u32::try_from(scores.iter().filter(|score| !score.passed).count())?;
    Ok((u32::try_from(scores.len())? - failed, failed))
}

fn run_all(chosen: &[Fault], repeat: u32) -> Result<Vec<Score>> {
    if !nix::unistd::geteuid().is_root() {
        bail!("faults are injected into cgroups and watched through eBPF; both need root");
    }
    let evidence = place::target()?.join("faults");
    let mut scores = Vec::new();
    for round in 0..repeat {
        for fault in chosen {
            let score = one(fault, &evidence.join(&fault.name))?;
            let acted = score.acted_on_a_control(fault);
            scores.push(score);
            if acted {
                say::note(&format!("{} is a control and was acted on: the whole run fails here", fault.name));
                return Ok(scores);
            }
        }
        if repeat > 1 {
            say::note(&format!("round {} of {repeat} is over", round + 1));
        }
    }
    Ok(scores)
}

fn one(fault: &Fault, evidence: &Path) -> Result<Score> {
    let mut step = say::Step::begin(format!("{} ({})", fault.name, fault.about));
    // What an earlier run left explains nothing of this one.
    let _ = fs::remove_dir_all(evidence);
    let seen = watch::watch(fault, evidence, &mut step).with_context(|| format!("the fault {}", fault.name));
    let score = match &seen {
        Ok(seen) => score::score(fault, seen),
        // A run that broke is a failure of this fault, with its reason, and the others go on.
        Err(error) => {
            let broken = score::Seen { agent_troubles: vec![format!("{error:#}")], ..score::Seen::default() };
            score::score(fault, &broken)
        }
    };
    if score.passed {
        step.done(&fault.name);
    } else {
        step.failed(&format!("{}: {}", fault.name, score.reasons.join("; ")));
    }
    Ok(score)
}

/// A command of this machine that a fault stands on.
fn must(command: &mut Command) -> Result<()> {
    let line = say::line_of(command);
    let done = command.output().with_context(|| format!("`{line}` cannot be run"))?;
    if !done.status.success() {
        bail!("`{line}` failed ({}): {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

fn chosen(only: &[String]) -> Result<Vec<Fault>> {
    let all = catalogue::read()?;
    if let Some(unknown) = only.iter().find(|name| !all.iter().any(|fault| fault.name == **name)) {
        let names: Vec<&str> = all.iter().map(|fault| fault.name.as_str()).collect();
        bail!("`{unknown}` is no fault; {} are", names.join(", "));
    }
    Ok(all.into_iter().filter(|fault| only.is_empty() || only.contains(&fault.name)).collect())
}

fn print(scores: &[Score]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["fault", "", "detected", "blamed", "explained", "resolved", "undone", "what was done"]);
    for score in scores {
        let detected =
            score.detected_s.map_or_else(|| shown(score.detected).to_owned(), |seconds| format!("{seconds:.1} s"));
        let done = if score.actions.is_empty() { "nothing".to_owned() } else { score.actions.join("; ") };
        table.add_row([
            score.name.as_str(),
            if score.passed { "pass" } else { "FAIL" },
            &detected,
            shown(score.blamed),
            shown(score.explained),
            shown(score.resolved),
            shown(score.undone),
            &done,
        ]);
    }
    println!("{table}");
    for score in scores.iter().filter(|score| !score.passed) {
        println!("{} failed:", score.name);
        score.reasons.iter().for_each(|reason| println!("  {reason}"));
    }
    let failed = scores.iter().filter(|score| !score.passed).count();
    println!("faults: {} passed, {failed} failed", scores.len() - failed);
}

const fn shown(mark: Mark) -> &'static str {
    match mark {
        Mark::Yes => "yes",
        Mark::No => "NO",
        Mark::None => "-",
    }
}
