//! `cargo xtask faults`: injects each fault of the catalogue for real, and scores what the agent saw and did.

pub(crate) mod catalogue;
mod curve;
mod filesystem;
pub(crate) mod inject;
mod machine;
mod network;
mod node;
mod rates;
mod report;
mod rounds;
pub(crate) mod score;
mod settings;
mod swap;
mod table;
mod tally;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::{Args, value_parser};

use crate::{place, run, say, setup};
use catalogue::Fault;

#[derive(Debug, Args)]
pub(crate) struct Faults {
    /// Only the fault of this name; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Each fault so many times: whether every one passes (pass^N) is told beside how often one does (pass@1)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Write the report here [default: faults/report.html in the target directory]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
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
    let page = faults.report.clone().map_or_else(default_page, Ok)?;
    say::note(&format!("the report, after each round: {}", page.display()));
    let run = rounds::run_all(chosen, usize::try_from(faults.repeat)?, faults.line(), &page)?;
    if faults.json {
        println!("{:#}", run.json(&page));
    } else {
        table::print(&run);
        tell(&page);
    }
    Ok(run.all_passed())
}

/// Runs the catalogue but what is open, for `test`: how many passed, how many failed.
pub(crate) fn stage() -> Result<(u32, u32)> {
    run::build()?;
    let (open, met): (Vec<Fault>, Vec<Fault>) = catalogue::read()?.into_iter().partition(|fault| fault.open.is_some());
    for fault in &open {
        say::note(&format!("left out: {} is open: {}", fault.name, fault.open.as_deref().unwrap_or_default()));
    }
    let page = default_page()?;
    let run = rounds::run_all(met, 1, "cargo xtask test".to_owned(), &page)?;
    table::print(&run);
    tell(&page);
    let (passed, failed) = run.passed_and_failed();
    Ok((u32::try_from(passed)?, u32::try_from(failed)?))
}

impl Faults {
    /// The command that runs the same again.
    fn line(&self) -> String {
        let only = self.only.iter().flat_map(|name| [" --only ", name]).collect::<String>();
        let repeat = if self.repeat > 1 { format!(" --repeat {}", self.repeat) } else { String::new() };
        format!("cargo xtask faults{only}{repeat}")
    }
}

fn default_page() -> Result<PathBuf> {
    Ok(place::target()?.join("faults/report.html"))
}

fn tell(page: &Path) {
    println!("report: {}", page.display());
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
