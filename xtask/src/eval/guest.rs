//! Faults that need a virtual machine: the evaluation runs itself in there, and its trials come back.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{
    Eval,
    side::{Manner, Side},
    sums::Trial,
};
use crate::{
    faults::{
        catalogue::{Fault, Guest},
        guest,
    },
    vm,
};

/// What is kept in there.
#[derive(Deserialize)]
struct Told {
    trials: Vec<Trial>,
}

/// # Errors
/// When no virtual machine can be had. What goes wrong inside one is a failure of its faults.
pub(super) fn run_all(order: &Eval, faults: Vec<Fault>, manners: &[Manner], kept: &Path) -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for (guest, faults) in guest::kinds(faults) {
        trials.extend(run(order, guest, &faults, manners, kept)?);
    }
    Ok(trials)
}

fn run(order: &Eval, guest: Guest, faults: &[Fault], manners: &[Manner], kept: &Path) -> Result<Vec<Trial>> {
    let evidence = kept.parent().context("nothing is kept nowhere")?;
    // What an earlier run left would be taken for this one's.
    _ = fs::remove_file(kept);
    let hostile = if order.hostile { " --hostile" } else { "" };
    let command = format!("eval --here --repeat {}{hostile}", order.repeat);
    let rounds = manners.len() * usize::try_from(order.repeat)?;
    let (step, ran) = guest::run(guest, faults, &command, rounds, evidence)?;
    let came = read(kept);
    match &came {
        Ok(_) => step.done(&format!("{} of them in a guest of Linux {}", faults.len(), ran.kernel)),
        Err(error) => step.failed(&format!("a guest of Linux {}: {error:#}", ran.kernel)),
    }
    let each = (1..=order.repeat).flat_map(|round| faults.iter().map(move |fault| (round, fault)));
    let each = each.flat_map(|(round, fault)| manners.iter().map(move |manner| (round, fault, *manner)));
    Ok(each.map(|(round, fault, manner)| find(&came, &ran, fault, manner, round)).collect())
}

fn read(kept: &Path) -> Result<Vec<Trial>> {
    let text = fs::read(kept).with_context(|| format!("{} cannot be read", kept.display()))?;
    let told: Told = serde_json::from_slice(&text).with_context(|| format!("{} tells no trials", kept.display()))?;
    Ok(told.trials)
}

/// What came of it, or a failure of it.
fn find(came: &Result<Vec<Trial>>, ran: &vm::Ran, fault: &Fault, manner: Manner, round: u32) -> Trial {
    let is_it = |trial: &&Trial| trial.fault == fault.name && trial.manner == manner && trial.round == round;
    let why = match came {
        Ok(trials) => match trials.iter().find(is_it) {
            Some(trial) => return trial.clone(),
            None => anyhow::anyhow!("it was not come to"),
        },
        Err(error) => anyhow::anyhow!("{error:#}"),
    };
    let untold = guest::untold(fault, &why, &ran.said);
    Trial { is_told: false, ..Trial::of(fault, manner, round, &untold, &Side::new(manner, None)) }
}
