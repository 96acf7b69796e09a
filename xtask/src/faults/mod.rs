//! `cargo xtask faults`: injects each fault of the catalogue for real, and scores what the agent saw and did.

pub(crate) mod beside;
pub(crate) mod catalogue;
mod curve;
mod filesystem;
pub(crate) mod guest;
pub(crate) mod inject;
mod network;
mod node;
mod rates;
mod report;
pub(crate) mod rounds;
pub(crate) mod score;
mod settings;
mod swap;
pub(crate) mod table;
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
pub(crate) use rounds::Course;

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
    /// Run all on this machine, with what is built already: in a virtual machine that was made for it
    #[arg(long, hide = true)]
    here: bool,
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
    let planned = usize::try_from(faults.repeat)?;
    let page = faults.report.clone().map_or_else(default_page, Ok)?;
    if faults.here {
        return Ok(rounds::run_all(chosen, Vec::new(), planned, faults.line(), &page)?.all_passed());
    }
    setup::ensure(setup::For::Building)?;
    run::build()?;
    let (elsewhere, here) = apart(chosen);
    let elsewhere = guest::run_all(elsewhere, planned)?;
    say::note(&format!("the report, after each round: {}", page.display()));
    let run = rounds::run_all(here, elsewhere, planned, faults.line(), &page)?;
    if faults.json {
        println!("{:#}", run.json(&page));
    } else {
        table::print(&run);
        tell(&page);
    }
    Ok(run.all_passed())
}

/// Runs what of the catalogue needs a virtual machine, but what is open, for `test`.
///
/// # Errors
/// When there can be none.
pub(crate) fn guest_stage() -> Result<Vec<Course>> {
    guest::run_all(apart(met()?).0, 1)
}

/// Runs the rest of the catalogue, but what is open, for `test`: how many of all passed, how many failed.
pub(crate) fn stage(elsewhere: Vec<Course>) -> Result<(u32, u32)> {
    run::build()?;
    for fault in catalogue::read()? {
        if let Some(why) = &fault.open {
            say::note(&format!("left out: {} is open: {why}", fault.name));
        }
    }
    let page = default_page()?;
    let run = rounds::run_all(apart(met()?).1, elsewhere, 1, "cargo xtask test".to_owned(), &page)?;
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

fn met() -> Result<Vec<Fault>> {
    Ok(catalogue::read()?.into_iter().filter(|fault| fault.open.is_none()).collect())
}

/// Those that need a virtual machine, and those that do not.
pub(crate) fn apart(faults: Vec<Fault>) -> (Vec<Fault>, Vec<Fault>) {
    faults.into_iter().partition(|fault| fault.guest.is_some())
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

pub(crate) fn chosen(only: &[String]) -> Result<Vec<Fault>> {
    let all = catalogue::read()?;
    if let Some(unknown) = only.iter().find(|name| !all.iter().any(|fault| fault.name == **name)) {
        let names: Vec<&str> = all.iter().map(|fault| fault.name.as_str()).collect();
        bail!("`{unknown}` is no fault; {} are", names.join(", "));
    }
    Ok(all.into_iter().filter(|fault| only.is_empty() || only.contains(&fault.name)).collect())
}
