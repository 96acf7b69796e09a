//! What an earlier run left, taken up at the start: its actions settled, its holds held, its level and its numbers read.

use std::time::Duration;

use clap::ValueEnum as _;

use super::{holds, standing::AUTONOMY};
use crate::{
    clock::now_ms,
    execute::{Executor, Guard, HoldKind, Journal as _},
    explain::Baseline,
    live::Autonomy,
    llm::ModelChoice,
    mind::MODEL,
    observe::SignalType,
    store::{Opening, Reader, Store, StoreError},
};

/// Actors of a daemon that ended end too; one that is stuck is not waited for longer before the agent watches.
const EARLIER_END_WITHIN: Duration = Duration::from_secs(5);

/// What is known of it once it was taken up.
#[derive(Debug)]
pub struct Past {
    /// What a person should know of it, in plain sentences; they are kept.
    pub notes: Vec<String>,
    /// The level that an operator set last, where it can be read.
    pub(super) autonomy: Option<Autonomy>,
    pub(super) next_signal_id: i64,
    pub(super) next_case: i64,
    /// Who an operator chose to be asked beside the rules; none: nobody chose.
    pub(super) model: Option<Option<ModelChoice>>,
    /// Signal type, measure, class, and what was usual.
    pub(super) baselines: Vec<(SignalType, String, String, Baseline)>,
}

impl Past {
    /// Takes up what the database tells, with what was found when it was opened. What cannot be read or written for
    /// damage is said and holds back what acts; it does not end the start, which would only be a loop of starts.
    ///
    /// # Errors
    /// When the database cannot be written for another reason, or not be read at all.
    pub fn take_up(
        store: &Store,
        opening: Opening,
        executor: &Executor,
        guard: &Guard,
        unconfined: Option<String>,
    ) -> Result<Self, StoreError> {
        let mut notes = opening.notes;
        let unsettled = executor.earlier_are_gone(EARLIER_END_WITHIN).err().map(|error| error.to_string());
        if unsettled.is_none() {
            notes.extend(settle(executor, store));
        }
        let holds = [(HoldKind::Unconfined, unconfined), (HoldKind::Unsettled, unsettled)];
        let of_this_start = holds.into_iter().filter_map(|(kind, why)| Some((kind, why?)));
        notes.extend(holds::begin(guard, store, executor.boot_id(), of_this_start)?);
        for note in &notes {
            if let Some(error) = StoreError::damage(store.keep_note(note, now_ms()))? {
                tracing::error!(%error, note, "what was found at the start cannot be kept");
            }
        }
        let reader = store.reader()?;
        // Without it the lowest level is that of a start.
        let kept = reader.setting(AUTONOMY).unwrap_or_else(|error| {
            tracing::error!(%error, "the autonomy level that was set last cannot be read");
            None
        });
        Ok(Self {
            notes,
            autonomy: kept.and_then(|setting| Autonomy::from_str(&setting.value, false).ok()),
            next_signal_id: reader.next_signal_id()?,
            next_case: reader.next_case()?,
            model: model(&reader),
            baselines: reader.baselines().unwrap_or_else(|error| {
                tracing::error!(%error, "baselines could not be read; nothing is usual until they can");
                Vec::new()
            }),
        })
    }
}

fn model(reader: &Reader) -> Option<Option<ModelChoice>> {
    match reader.setting(MODEL) {
        Ok(kept) => serde_json::from_str(&kept?.value).ok(),
        Err(error) => {
            tracing::error!(%error, "who was chosen to be asked cannot be read");
            None
        }
    }
}

/// Settles what an earlier run left. Where the journal cannot be read that is said, and the agent watches: it reads the
/// journal before each action, and does nothing while it cannot.
fn settle(executor: &Executor, store: &Store) -> Vec<String> {
    let unread = |why: &dyn std::fmt::Display| format!("{why}: nothing is done while that is so");
    let mut notes = executor.settle(store, now_ms()).unwrap_or_else(|error| vec![unread(&error)]);
    let barring = store.unreadable(Guard::PAST).unwrap_or_else(|error| vec![error.to_string()]);
    match store.reader().and_then(|reader| reader.standing_actions()) {
        Ok(standing) => {
            notes.extend(executor.settle_earlier_boots(&standing.rows, store, now_ms()));
            let others = standing.unread.iter().filter(|why| !barring.contains(why));
            notes.extend(others.map(|why| format!("{why}: what it did cannot be taken back by this agent")));
        }
        Err(error) => notes.push(unread(&error)),
    }
    notes.extend(barring.iter().map(|why| unread(why)));
    notes
}
