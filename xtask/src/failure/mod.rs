//! `cargo xtask failure`: what the agent claims to stand, tried for real and for long, each claim beside its bound. The
//! quick forms are tests (`tests/failure_*.rs`).

mod door;
mod kills;
mod leftovers;
mod long;
mod model;
mod reflex;
mod soak;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::Args;

use crate::figure::{self, Figure, Goal, Measurement, Words};

/// Every case, the most dangerous to a node first.
const CASES: [Measurement<Failure>; 6] = [
    Measurement {
        name: "kills",
        about: "kill -9 at any instant of start, load, action, undo, stop",
        measure: kills::measure,
    },
    Measurement { name: "bytes", about: "every byte of a small database flipped", measure: |_| long::bytes() },
    Measurement {
        name: "flood",
        about: "a ring that is sent ten times what is taken of it",
        measure: |_| long::flood(),
    },
    Measurement {
        name: "reflex",
        about: "a leak under the load that the agent is there for",
        measure: |_| reflex::measure(),
    },
    Measurement {
        name: "model",
        about: "a model that fails in each of the ways that models do",
        measure: |_| model::measure(),
    },
    Measurement {
        name: "soak",
        about: "an hour of signals in minutes, an hour of ticks in twelve",
        measure: |_| soak::measure(),
    },
];
const WORDS: Words = Words { one: "case", met: "pass", missed: "FAIL" };

#[derive(Debug, Args)]
pub(crate) struct Failure {
    /// Only this case; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// The instants of an earlier run again; each run says its own
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How often the agent is killed
    #[arg(long, value_name = "N", default_value_t = 300)]
    kills: u32,
}

/// True when every claim holds.
pub(crate) fn failure(failure: &Failure) -> Result<bool> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the agent's failures need root, for eBPF and for what it does to processes");
    }
    let taken = figure::take(&CASES, &failure.only, &WORDS, failure, |_| Ok(()))?;
    if failure.json {
        println!("{:#}", figure::json(&taken));
    } else {
        figure::print(&taken, &WORDS);
    }
    Ok(taken.is_well())
}

/// A claim that holds when nothing is counted against it.
fn none_of(what: &str, against: &[String], of: String) -> Figure {
    let shown = against.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("; ");
    Figure::once("proof", what, Goal::AtMost(0.0), "", against.len() as f64).noting(if against.is_empty() {
        of
    } else {
        format!("{of}; {shown}")
    })
}

/// Numbers by chance, the same again of the same seed (splitmix64, Steele et al. 2014).
struct Chance(u64);

impl Chance {
    fn of(seed: Option<u64>) -> (Self, u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = seed.unwrap_or(now.as_nanos() as u64);
        (Self(seed), seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to just below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_instants_and_all_of_a_range_are_met() {
        let (mut one, seed) = Chance::of(Some(7));
        let (mut other, _) = Chance::of(Some(seed));
        let first: Vec<u64> = (0..100).map(|_| one.below(5)).collect();
        assert_eq!(first, (0..100).map(|_| other.below(5)).collect::<Vec<_>>());
        assert!((0..5).all(|phase| first.contains(&phase)), "{first:?}");
    }

    #[test]
    fn one_count_against_a_claim_fails_it_and_is_shown() {
        assert!(none_of("a claim", &[], "of 3".to_owned()).is_met());
        let failed = none_of("a claim", &["round 2".to_owned()], "of 3".to_owned());
        assert!(!failed.is_met());
        assert_eq!(failed.note, "of 3; round 2");
    }
}
