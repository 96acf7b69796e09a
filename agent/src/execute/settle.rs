//! Settling: an action is taken back or stays, once, and the journal hears of it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use super::{
    ExecuteError, Executor, Intent, Journal, JournalError, JournalRow, JournalState, Outcome, OutcomeStatus,
    undo::{TakenBack, Undo},
};
use crate::clock::uptime_ms;

/// Rounds between two tries of what cannot be taken back, at most: five minutes of housekeeping.
const ROUNDS_MAX: u32 = 60;

/// Why a row is settled that another boot left.
const OF_EARLIER_BOOT: &str = "was done before this boot";

/// What could not be taken back, and how many rounds are to be left out before it is tried again: none at first, then 1,
/// 3, 7, … A try may start a process, and most of what fails twice fails for long.
#[derive(Debug, Default)]
pub(super) struct Owed(Mutex<HashMap<i64, Rounds>>);

#[derive(Debug, Default)]
struct Rounds {
    wait: u32,
    left: u32,
}

impl Owed {
    fn is_due(&self, id: i64) -> bool {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rounds = owed.entry(id).or_default();
        let due = rounds.left == 0;
        rounds.left = rounds.left.saturating_sub(1);
        due
    }

    fn failed(&self, id: i64) {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rounds = owed.entry(id).or_default();
        rounds.left = rounds.wait;
        rounds.wait = (2 * rounds.wait + 1).min(ROUNDS_MAX);
    }

    fn is_over(&self, id: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// Rows of which the journal could not be told what became of them. Until it is, they seem to be at work, and keep all
/// others waiting.
#[derive(Debug, Default)]
pub(super) struct Untold(Mutex<BTreeSet<i64>>);

impl Untold {
    fn has(&self, id: i64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    fn set(&self, id: i64, untold: bool) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        _ = if untold { rows.insert(id) } else { rows.remove(&id) };
    }
}

impl Executor {
    /// Tells the journal what became of a row, and remembers it where that cannot be told.
    pub(super) fn tell(
        &self,
        id: i64,
        state: JournalState,
        note: &str,
        journal: &dyn Journal,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        let told = journal.advance(id, state, note, now_ms);
        self.untold.set(id, told.is_err());
        told
    }

    /// Takes an action back: the exact previous value, unless somebody else changed it since. What fails is owed from
    /// then on; what the journal could not be asked about or told is taken back with the housekeeping.
    pub fn undo(&self, id: i64, journal: &dyn Journal, now_ms: i64) -> Result<Outcome, ExecuteError> {
        let undone = self.try_undo(id, journal, now_ms);
        if matches!(undone, Err(ExecuteError::Journal(JournalError::Storage { .. }))) {
            self.untold.set(id, true);
        }
        undone
    }

    fn try_undo(&self, id: i64, journal: &dyn Journal, now_ms: i64) -> Result<Outcome, ExecuteError> {
        let row = self.row(id, journal)?;
        if let Undo::Nothing { why } = &row.intent.undo
            && row.state.may_stand()
        {
            return Err(ExecuteError::Irreversible { why: why.clone() });
        }
        let started = std::time::Instant::now();
        let taken = self.settle_row(id, journal, now_ms)?;
        Ok(Outcome {
            action_id: Some(id),
            action: row.intent.action,
            command: taken.commands.join("; "),
            status: if taken.state == JournalState::LeftAlone { OutcomeStatus::LeftAlone } else { OutcomeStatus::Done },
            output: taken.output,
            duration_ms: started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
            change: taken.note,
            lease_until_ms: None,
        })
    }

    /// Tells the journal that what was done stays.
    ///
    /// # Errors
    /// When it cannot be told, or somebody took the action back meanwhile.
    pub fn confirm(&self, id: i64, why: &str, journal: &dyn Journal, now_ms: i64) -> Result<(), ExecuteError> {
        let _claim = self.claims.claim(id).ok_or(ExecuteError::AtWork { id })?;
        let row = self.row(id, journal)?;
        if row.state != JournalState::Done {
            return Err(ExecuteError::Over { id, state: row.state });
        }
        journal.advance(id, JournalState::Kept, why, now_ms).map_err(ExecuteError::Journal)
    }

    /// At start: settles what an earlier run left open, and says what was done about each. Effects that no verdict
    /// confirmed are taken back, leases that ended meanwhile too; what an earlier boot left is void.
    pub fn settle(&self, journal: &dyn Journal, now_ms: i64) -> Result<Vec<String>, ExecuteError> {
        let rows = journal.unsettled().map_err(ExecuteError::Journal)?;
        let mut said = Vec::new();
        for row in rows {
            let holds = row.state == JournalState::Kept
                && row.intent.boot_id == self.boot_id
                && row.intent.lease_until_ms.is_some()
                && !self.lease_is_over(&row.intent, now_ms)
                && !matches!(row.intent.undo, Undo::Throttle { .. });
            if !holds {
                let why = match row.state {
                    _ if row.intent.boot_id != self.boot_id => OF_EARLIER_BOOT,
                    JournalState::Intended => "was intended, and the agent ended before it knew of an effect",
                    JournalState::Done => "was done, and the agent ended before a verdict",
                    JournalState::Owed => "could not be taken back before",
                    _ => "was kept under a lease that is over",
                };
                said.extend(self.settle_and_say(&row, journal, now_ms, why));
            }
        }
        Ok(said)
    }

    /// At start, of what stands by the journal: what was to stay went with the boot in which it was done.
    pub fn settle_earlier_boots(&self, standing: &[JournalRow], journal: &dyn Journal, now_ms: i64) -> Vec<String> {
        let is_gone = |row: &&JournalRow| {
            // What cannot be taken back outlives every boot.
            row.intent.boot_id != self.boot_id && !matches!(row.intent.undo, Undo::Nothing { .. })
        };
        let gone = standing.iter().filter(is_gone);
        gone.filter_map(|row| self.settle_and_say(row, journal, now_ms, OF_EARLIER_BOOT)).collect()
    }

    /// At each tick: takes back what has outlived its lease and what could not be taken back before, and settles the
    /// records of throttling executors that ended. Says what is new.
    pub fn expire_leases(&self, journal: &dyn Journal, now_ms: i64) -> Result<Vec<String>, ExecuteError> {
        let rows = journal.unsettled().map_err(ExecuteError::Journal)?;
        let mut said = Vec::new();
        for row in rows {
            let throttle_ended = matches!(row.intent.undo, Undo::Throttle { .. })
                && row.state != JournalState::Intended
                && self.throttling_has_ended(row.id);
            if row.state == JournalState::Owed {
                if !self.owed.is_due(row.id) {
                    continue;
                }
                // Said when it began to be owed, and when it ends.
                match self.settle_row(row.id, journal, now_ms) {
                    Ok(taken) => {
                        self.owed.is_over(row.id);
                        said.push(format!("{} could not be taken back before: {}", named(&row), taken.note));
                    }
                    Err(_) => self.owed.failed(row.id),
                }
            } else if throttle_ended {
                said.extend(self.settle_and_say(&row, journal, now_ms, "throttled by an executor that ended"));
            } else if self.lease_is_over(&row.intent, now_ms) {
                said.extend(self.settle_and_say(&row, journal, now_ms, "has outlived its lease"));
            } else if let Some(taken) = self.settle_orphan(&row, journal, now_ms) {
                said.push(format!("{} was done when the journal could not be told: {}", named(&row), taken.note));
            }
        }
        Ok(said)
    }

    /// By whichever clock says so first: one that is set back must not make a lease of minutes one of a day, and what is
    /// taken back too early is only done again.
    fn lease_is_over(&self, intent: &Intent, now_ms: i64) -> bool {
        let Some(until_ms) = intent.lease_until_ms else { return false };
        let lasted_ms = uptime_ms() - intent.uptime_ms;
        until_ms <= now_ms || (intent.boot_id == self.boot_id && lasted_ms >= until_ms - intent.made_at_ms)
    }

    /// Settles a row that nobody is at work on and nobody will tell of: one that is only intended, for whoever intends
    /// something has it claimed until its end is told, and one whose end could not be told. None when it is no such row,
    /// and when it cannot be settled yet.
    fn settle_orphan(&self, row: &JournalRow, journal: &dyn Journal, now_ms: i64) -> Option<TakenBack> {
        let may_be = |state| state == JournalState::Intended || self.untold.has(row.id);
        if !may_be(row.state) {
            return None;
        }
        let _claim = self.claims.claim(row.id)?;
        let settled = match self.row(row.id, journal) {
            Ok(row) if row.state.may_stand() && may_be(row.state) => self.settle_claimed(&row, journal, now_ms),
            Ok(_) => return None,
            Err(error) => Err(error),
        };
        settled.inspect_err(|error| tracing::warn!(%error, action = row.id, "it is settled later")).ok()
    }

    /// None: somebody else is at it, or was first.
    fn settle_and_say(&self, row: &JournalRow, journal: &dyn Journal, now_ms: i64, why: &str) -> Option<String> {
        let what = format!("{} {why}", named(row));
        match self.settle_row(row.id, journal, now_ms) {
            Ok(taken) => Some(format!("{what}: {}", taken.note)),
            Err(ExecuteError::AtWork { .. } | ExecuteError::Over { .. }) => None,
            Err(error) => Some(format!("{what}, and could not be settled, which is tried again: {error}")),
        }
    }

    fn settle_row(&self, id: i64, journal: &dyn Journal, now_ms: i64) -> Result<TakenBack, ExecuteError> {
        let _claim = self.claims.claim(id).ok_or(ExecuteError::AtWork { id })?;
        // Read under the claim: it may have ended since somebody chose it.
        let row = self.row(id, journal)?;
        if !row.state.may_stand() {
            return Err(ExecuteError::Over { id, state: row.state });
        }
        self.settle_claimed(&row, journal, now_ms)
    }

    fn settle_claimed(&self, row: &JournalRow, journal: &dyn Journal, now_ms: i64) -> Result<TakenBack, ExecuteError> {
        let id = row.id;
        if row.state == JournalState::Kept {
            // Cut off after the effect and before the record, it would still stand by the journal.
            let begun = journal.advance(id, JournalState::Owed, "it is being taken back", now_ms);
            begun.map_err(ExecuteError::Journal)?;
        }
        let taken = if row.intent.boot_id == self.boot_id {
            self.take_back(id, &row.intent)
        } else {
            Ok(TakenBack::void("the machine was started anew since, and nothing of it is left"))
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // The journal hears why, once: what is owed is tried again and again.
                let why = error.to_string();
                if row.state != JournalState::Owed || row.note != why {
                    let owed = self.tell(id, JournalState::Owed, &why, journal, now_ms);
                    owed.map_err(ExecuteError::Journal)?;
                }
                return Err(error.into());
            }
        };
        self.tell(id, taken.state, &taken.note, journal, now_ms).map_err(ExecuteError::Journal)?;
        Ok(taken)
    }

    fn row(&self, id: i64, journal: &dyn Journal) -> Result<JournalRow, ExecuteError> {
        let row = journal.get(id).map_err(ExecuteError::Journal)?;
        row.ok_or(ExecuteError::Journal(JournalError::NoRow { id }))
    }
}

/// "action 7 (freeze_cgroup on cgroup /x)"
fn named(row: &JournalRow) -> String {
    format!("action {} ({} on {})", row.id, row.intent.action.action_type, row.intent.target)
}
