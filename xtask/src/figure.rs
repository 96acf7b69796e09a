//! Figures beside what is wanted of them: taken one measurement after the other, and shown in one table.

use std::{fmt, fs};

use anyhow::{Context, Result, bail};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;

use crate::{place, run, say, setup};

/// What is measured in one go; it gives one figure or more.
pub(crate) struct Measurement<C> {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: fn(&C) -> Result<Vec<Figure>>,
}

/// One figure beside its goal.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// As the goals are numbered: `P12`.
    pub(crate) id: &'static str,
    pub(crate) what: String,
    pub(crate) figure: f64,
    pub(crate) goal: Goal,
    pub(crate) unit: &'static str,
    /// How it was taken: rounds, spread, what it is relative to.
    pub(crate) note: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// What a verb calls its measurements, and a figure that is as wanted or not.
pub(crate) struct Words {
    /// One of the measurements.
    pub(crate) one: &'static str,
    pub(crate) met: &'static str,
    pub(crate) missed: &'static str,
}

/// Takes the measurements of these names, all where none is named. True when every goal is met.
pub(crate) fn take<C>(
    known: &[Measurement<C>],
    only: &[String],
    json: bool,
    words: &Words,
    context: &C,
) -> Result<bool> {
    if let Some(unknown) = only.iter().find(|name| !known.iter().any(|known| known.name == **name)) {
        let names: Vec<&str> = known.iter().map(|known| known.name).collect();
        bail!("`{unknown}` is no {}; {} are", words.one, names.join(", "));
    }
    setup::ensure(setup::For::Building)?;
    run::build()?;
    let logs = place::target()?.join("bench");
    fs::create_dir_all(&logs).with_context(|| format!("{} cannot be made", logs.display()))?;
    let mut figures = Vec::new();
    for chosen in known.iter().filter(|known| only.is_empty() || only.iter().any(|name| name == known.name)) {
        say::note(&format!("{}: {}", chosen.name, chosen.about));
        let taken = (chosen.measure)(context).with_context(|| format!("the {} {}", words.one, chosen.name))?;
        figures.extend(taken);
    }
    // What is missed comes first.
    figures.sort_by_key(Figure::is_met);
    if json {
        let rows = figures.iter().map(|figure| json!({ "met": figure.is_met(), "figure": figure })).collect::<Vec<_>>();
        println!(
            "{:#}",
            json!({ "missed": figures.iter().filter(|figure| !figure.is_met()).count(), "figures": rows })
        );
    } else {
        print(&figures, words);
    }
    Ok(figures.iter().all(Figure::is_met))
}

impl Figure {
    pub(crate) fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtMost(bound) => self.figure <= bound,
            Goal::AtLeast(bound) => self.figure >= bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "at most {bound}"),
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
        }
    }
}

fn print(figures: &[Figure], words: &Words) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "goal", "figure", "wanted", "what", "how"]);
    for figure in figures {
        table.add_row([
            if figure.is_met() { words.met } else { words.missed }.to_owned(),
            figure.id.to_owned(),
            format!("{:.3} {}", figure.figure, figure.unit),
            format!("{} {}", figure.goal, figure.unit),
            figure.what.clone(),
            figure.note.clone(),
        ]);
    }
    println!("{table}");
    let missed = figures.iter().filter(|figure| !figure.is_met()).count();
    println!("{} goals {}, {missed} {}", figures.len() - missed, words.met, words.missed);
}
