//! The watchtower: a model that does not answer, or fails again and again, is no judge of anything. What came from it is
//! not done until it answers again; watching, the rules and what an operator approves go on.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A call of that length suspends what came from a model.
pub const LONGEST: Duration = Duration::from_secs(60);

/// How a model is doing.
#[derive(Debug, Default)]
pub struct Watchtower {
    /// When the call that is under way began.
    asked: Option<Instant>,
    /// Why it is suspended, when that was not the length of a call that is still under way.
    suspended: Option<String>,
    /// Until when nothing is asked, and why.
    waiting: Option<(Instant, String)>,
}

/// How it is, for `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ModelState {
    /// Nothing is asked just now.
    Idle,
    /// A call is under way for so long.
    Asked { for_ms: u64 },
    /// Nothing is asked for so long, because of that.
    Waiting { for_ms: u64, why: String },
    /// What came from it is not done.
    Suspended { why: String },
}

impl Watchtower {
    pub fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
        self.waiting = None;
    }

    /// It answered, after so long.
    pub fn answered(&mut self, took: Duration) {
        self.asked = None;
        self.suspended = (took > LONGEST).then(|| too_long(took));
    }

    pub fn failed(&mut self) {
        self.asked = None;
    }

    /// It failed so often that it is left alone for a while.
    pub fn opened(&mut self, why: &str) {
        self.asked = None;
        self.suspended = Some(why.to_owned());
    }

    pub fn waits(&mut self, until: Instant, why: String) {
        self.asked = None;
        self.waiting = Some((until, why));
    }

    /// Why nothing that came from a model is done; none: it may be.
    #[must_use]
    pub fn suspends(&self, now: Instant) -> Option<String> {
        let under_way = self.asked.map(|asked| now.saturating_duration_since(asked)).filter(|took| *took > LONGEST);
        under_way.map(too_long).or_else(|| self.suspended.clone())
    }

    #[must_use]
    pub fn state(&self, now: Instant) -> ModelState {
        if let Some(why) = self.suspends(now) {
            return ModelState::Suspended { why };
        }
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        match (&self.waiting, self.asked) {
            (Some((until, why)), _) if *until > now => {
                ModelState::Waiting { for_ms: ms(*until - now), why: why.clone() }
            }
            (_, Some(asked)) => ModelState::Asked { for_ms: ms(now.saturating_duration_since(asked)) },
            _ => ModelState::Idle,
        }
    }
}

fn too_long(took: Duration) -> String {
    format!("a call took {} s; {} are the most", took.as_secs(), LONGEST.as_secs())
}
