//! The account: what turns cost that were let go and are not recorded yet. Each counts as spent by its estimate until it is,
//! so that specialists who ask at once cannot exceed together what each of them may.

use std::time::{Duration, Instant};

use super::{
    brief::{Asking, Turn},
    budget::{Budget, OverBudget, Spent},
};
use crate::{clock::now_ms, live::Daemon, llm::Usage, store::TurnRow, tools::ask};

/// Turns under way at once. A reasoner has fewer voices.
const MOST: usize = 16;
/// How a turn failed whose end nobody told.
pub const INTERRUPTED: &str = "interrupted";
/// Kinds of failure by which the provider took nothing in.
const TOOK_NOTHING: [&str; 3] = ["unreachable", "rate_limited", "refused"];

#[derive(Debug, Default)]
pub struct Account {
    under_way: Vec<Reserved>,
}

/// A turn that was let go.
#[derive(Clone, Debug, PartialEq)]
struct Reserved {
    case: i64,
    asking: Asking,
    since: Instant,
}

/// Why a turn is not let go.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotReserved {
    #[error(transparent)]
    Over(#[from] OverBudget),
    #[error("{MOST} turns are under way already")]
    TooMany,
}

impl Account {
    /// Lets a turn go if it fits beside what is spent and what is under way; it counts from now on.
    ///
    /// # Errors
    /// The first limit that it would exceed.
    pub fn reserve(&mut self, case: i64, asking: Asking, spent: &Spent, budget: &Budget) -> Result<(), NotReserved> {
        if self.under_way.len() >= MOST {
            return Err(NotReserved::TooMany);
        }
        budget.admit(&self.with(spent, Some(case), budget), &asking.estimate)?;
        self.under_way.push(Reserved { case, asking, since: Instant::now() });
        Ok(())
    }

    /// What is spent with what is under way; that of `case` counts for its incident.
    #[must_use]
    pub fn with(&self, spent: &Spent, case: Option<i64>, budget: &Budget) -> Spent {
        self.under_way.iter().fold(*spent, |spent, reserved| {
            let tokens = reserved.asking.estimate.tokens();
            let on_it = if case == Some(reserved.case) { tokens } else { 0 };
            Spent {
                incident_tokens: spent.incident_tokens.saturating_add(on_it),
                hour_tokens: spent.hour_tokens.saturating_add(tokens),
                month_tokens: spent.month_tokens.saturating_add(tokens),
                month_usd: spent.month_usd + budget.cost_usd(&reserved.asking.estimate).unwrap_or(0.0),
            }
        })
    }

    /// What a turn counts for once it is recorded: what its provider says; of one that failed what it was sent, by the
    /// estimate, unless nothing was taken in.
    #[must_use]
    pub fn charge(&self, case: i64, turn: &Turn) -> Usage {
        match (&turn.reply, turn.failed.as_deref()) {
            (Some(_), _) if turn.cached => Usage::default(),
            (Some(reply), _) => reply.usage,
            (None, Some(kind)) if TOOK_NOTHING.contains(&kind) => Usage::default(),
            (None, _) => self.at(case, &turn.digest).map_or_else(Usage::default, |at| self.under_way[at].sent()),
        }
    }

    /// A turn is recorded: it is not under way any more.
    pub fn release(&mut self, case: i64, digest: &str) {
        if let Some(at) = self.at(case, digest) {
            self.under_way.remove(at);
        }
    }

    fn at(&self, case: i64, digest: &str) -> Option<usize> {
        self.under_way.iter().position(|reserved| reserved.case == case && reserved.asking.digest == digest)
    }
}

impl Reserved {
    /// What was sent, and may be billed whatever came of it.
    fn sent(&self) -> Usage {
        Usage { output_tokens: 0, ..self.asking.estimate }
    }

    fn interrupted(&self, budget: &Budget) -> TurnRow {
        let usage = self.sent();
        let turn = Turn {
            voice: self.asking.voice.clone(),
            number: self.asking.number,
            digest: self.asking.digest.clone(),
            sent: Vec::new(),
            reply: None,
            failed: Some(INTERRUPTED.to_owned()),
            took_ms: ms(self.since.elapsed()),
            cached: false,
        };
        TurnRow { case: self.case, at_ms: now_ms(), turn, usage, usd: budget.cost_usd(&usage) }
    }
}

/// Whoever had turns under way is gone, or asks for another case: nobody will record them. They count as failed.
pub async fn close(daemon: &Daemon) {
    let mut account = daemon.mind.account().await;
    let budget = &daemon.mind.settings().budget;
    while let Some(reserved) = account.under_way.last() {
        let row = reserved.interrupted(budget);
        if let Err(error) = ask::write(daemon, move |store| store.keep_turn(&row)).await {
            tracing::warn!(%error, "a turn that was interrupted does not count for the budget");
        }
        // Whoever is cut off before this leaves it to the next.
        account.under_way.pop();
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
