//! Taking figures: one measurement after the other, each with how long it took and how busy the node was before.

use std::{fs, time::Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::{Figure, Standing, Words};
use crate::{faults::inject::psi_percent, place, run, say, setup};

/// What is measured in one go; it gives one figure or more.
pub(crate) struct Measurement<C> {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: fn(&C) -> Result<Vec<Figure>>,
}

/// Figures, what is missed first; and the measurements that they are from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) figures: Vec<Figure>,
    pub(crate) courses: Vec<Course>,
}

/// How one measurement went.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Course {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) seconds: f64,
    /// Share of the ten seconds before it in which some task waited for a CPU; none where the kernel does not tell.
    pub(crate) cpu_wait_before_percent: Option<f64>,
    /// Why it gave no figures.
    pub(crate) broke: Option<String>,
}

/// Takes the measurements of these names, all where none is named. One that breaks does not keep the others from being
/// taken; `each` sees all that there is after each.
pub(crate) fn take<C>(
    known: &[Measurement<C>],
    only: &[String],
    words: &Words,
    context: &C,
    mut each: impl FnMut(&Taken) -> Result<()>,
) -> Result<Taken> {
    if let Some(unknown) = only.iter().find(|name| !known.iter().any(|known| known.name == **name)) {
        let names: Vec<&str> = known.iter().map(|known| known.name).collect();
        bail!("`{unknown}` is no {}; {} are", words.one, names.join(", "));
    }
    setup::ensure(setup::For::Building)?;
    run::build()?;
    let logs = place::target()?.join("bench");
    fs::create_dir_all(&logs).with_context(|| format!("{} cannot be made", logs.display()))?;
    let mut taken = Taken::default();
    for chosen in known.iter().filter(|known| only.is_empty() || only.iter().any(|name| name == known.name)) {
        say::note(&format!("{}: {}", chosen.name, chosen.about));
        let (cpu_wait_before_percent, begun) = (psi_percent("cpu"), Instant::now());
        let figures = (chosen.measure)(context).with_context(|| format!("the {} {}", words.one, chosen.name));
        let broke = figures.as_ref().err().map(|error| format!("{error:#}"));
        taken.add(figures.unwrap_or_else(|error| {
            say::error(&error);
            Vec::new()
        }));
        let seconds = begun.elapsed().as_secs_f64();
        let (name, about) = (chosen.name, chosen.about);
        taken.courses.push(Course { name, about, seconds, cpu_wait_before_percent, broke });
        each(&taken)?;
    }
    Ok(taken)
}

impl Taken {
    /// What is missed comes first, then what was not taken; else the order is that of the measurements.
    pub(crate) fn add(&mut self, figures: Vec<Figure>) {
        self.figures.extend(figures);
        self.figures.sort_by_key(Figure::standing);
    }

    pub(crate) fn count(&self, standing: Standing) -> usize {
        self.figures.iter().filter(|figure| figure.standing() == standing).count()
    }

    /// Why measurements gave no figures.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &str> {
        self.courses.iter().filter_map(|course| course.broke.as_deref())
    }

    /// Whether no goal is missed, and nothing broke.
    pub(crate) fn is_well(&self) -> bool {
        self.count(Standing::Missed) == 0 && self.broken().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Goal;

    #[test]
    fn what_is_missed_comes_first_and_what_was_not_taken_before_what_is_met() {
        let figure = |what: &str, figure| Figure::once("P1", what, Goal::AtMost(1.0), "x", figure);
        let mut taken = Taken::default();
        taken.add(vec![figure("met", 0.5), Figure::not_taken("P2", "not", Goal::AtMost(1.0), "x", "no peer")]);
        taken.add(vec![figure("missed", 2.0), figure("met later", 1.0)]);
        let order: Vec<&str> = taken.figures.iter().map(|figure| figure.what.as_str()).collect();
        assert_eq!(order, ["missed", "not", "met", "met later"]);
        assert!(!taken.is_well());
    }

    #[test]
    fn a_figure_that_was_not_taken_fails_nothing_and_a_measurement_that_broke_does() {
        let mut taken = Taken::default();
        taken.add(vec![Figure::not_taken("P2", "not", Goal::AtMost(1.0), "x", "no peer")]);
        assert!(taken.is_well());
        let broke = Some("the agent is gone".to_owned());
        taken.courses.push(Course { name: "x", about: "x", seconds: 1.0, cpu_wait_before_percent: None, broke });
        assert!(!taken.is_well());
    }
}
