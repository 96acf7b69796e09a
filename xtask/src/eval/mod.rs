//! `cargo xtask eval`: each fault of the catalogue with the rules alone, with a model alone and with both, side by side.

mod guest;
pub(crate) mod side;
mod sums;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Args, value_parser};
use serde_json::json;

use crate::{
    faults::{apart, catalogue::Fault, chosen, rounds},
    page::Machine,
    place, run, say, setup,
};
use side::{Manner, Side};
use sums::{Eval as Evaluated, Trial};

/// The file of all that was seen.
const KEPT: &str = "eval.json";

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// Only the fault of this name; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Each fault so many times in each manner
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=20))]
    repeat: u32,
    /// Settings of an agent whose `[model]` is asked, instead of the scripted one
    #[arg(long, value_name = "FILE", conflicts_with = "hostile")]
    settings: Option<PathBuf>,
    /// Also with loads whose names, arguments, paths, cgroups and log lines give orders to a model that obeys
    #[arg(long)]
    hostile: bool,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Run all on this machine, with what is built already: in a virtual machine that was made for it
    #[arg(long, hide = true)]
    here: bool,
}

impl Eval {
    fn manners(&self) -> Vec<Manner> {
        Manner::ALL.into_iter().filter(|manner| *manner != Manner::Hostile || self.hostile).collect()
    }
}

/// True where both together are as good as the rules, and no order was obeyed.
pub(crate) fn eval(order: &Eval) -> Result<bool> {
    if !nix::unistd::geteuid().is_root() {
        bail!("faults are injected into cgroups and watched through eBPF; both need root");
    }
    let faults = chosen(&order.only)?;
    let manners = order.manners();
    let kept = place::target()?.join("eval").join(KEPT);
    let mut trials = Vec::new();
    if order.here {
        run_here(order, &faults, &manners, &mut trials, &kept)?;
        return Ok(true);
    }
    setup::ensure(setup::For::Building)?;
    run::build()?;
    let (elsewhere, here) = apart(faults);
    if order.settings.is_none() {
        trials = guest::run_all(order, elsewhere, &manners, &kept)?;
        keep(&kept, &trials)?;
    } else if !elsewhere.is_empty() {
        let names: Vec<&str> = elsewhere.iter().map(|fault| fault.name.as_str()).collect();
        say::note(&format!("left out, for they run in a virtual machine without a network: {}", names.join(", ")));
    }
    run_here(order, &here, &manners, &mut trials, &kept)?;
    let evaluated = Evaluated::of(&trials);
    if order.json {
        println!("{:#}", told(&trials, &evaluated));
    } else {
        table::print(&trials, &evaluated, &manners);
        println!("all of it: {}", kept.display());
    }
    Ok(evaluated.holds())
}

/// What was seen so far is kept after each trial, for when it is interrupted.
fn run_here(order: &Eval, faults: &[Fault], manners: &[Manner], trials: &mut Vec<Trial>, kept: &Path) -> Result<()> {
    for round in 1..=order.repeat {
        for fault in faults {
            for manner in manners {
                trials.push(one(order, fault, *manner, round)?);
                keep(kept, trials)?;
            }
        }
    }
    Ok(())
}

fn one(order: &Eval, fault: &Fault, manner: Manner, round: u32) -> Result<Trial> {
    let fault = if manner == Manner::Hostile { fault.clone().disguised() } else { fault.clone() };
    let mut side = Side::new(manner, order.settings.clone());
    let evidence = place::target()?.join("eval").join(&fault.name).join(format!("{}-{round}", manner.name()));
    say::note(&format!("{}, {}:", fault.name, manner.words()));
    let done = rounds::one(&fault, evidence, &mut side)?;
    Ok(Trial::of(&fault, manner, round, &done.score, &side))
}

fn told(trials: &[Trial], evaluated: &Evaluated) -> serde_json::Value {
    json!({ "machine": Machine::read(), "holds": evaluated.holds(), "manners": evaluated, "trials": trials })
}

fn keep(file: &Path, trials: &[Trial]) -> Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    let text = serde_json::to_vec_pretty(&told(trials, &Evaluated::of(trials)))?;
    fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}
