//! Holds over restarts: an operator's pause, the brake after failures in a row, the latch after a crash loop.

use serde::{Deserialize, Serialize};

use super::{Agent, docket::Ending};
use crate::{
    clock::{now_ms, uptime_ms},
    execute::{Guard, Hold, HoldKind},
    live::{Daemon, Operator},
    store::{Store, StoreError},
};

/// The settings under which they are kept.
const HOLDS: &str = "holds";
const STARTS: &str = "starts";
const FAILURES: &str = "failures_in_a_row";
/// So many starts within that time are a crash loop.
const LOOP_STARTS: usize = 5;
const LOOP_WITHIN_MS: i64 = 60_000;
/// Who makes a hold that no operator made.
const AGENT: &str = "the agent";

/// The latest starts, by time since that boot, ms.
#[derive(Default, Serialize, Deserialize)]
struct Starts {
    boot_id: String,
    uptime_ms: Vec<i64>,
}

/// Takes up what held before, counts this start, and says what a person should know of it.
pub(super) fn begin(
    guard: &Guard,
    store: &Store,
    boot_id: &str,
    of_this_start: impl IntoIterator<Item = (HoldKind, String)>,
) -> Result<Vec<String>, StoreError> {
    // Whatever it was that held is not forgotten because it cannot be read.
    let unread = |error| vec![hold(HoldKind::Paused, format!("what held before cannot be read: {error}"), AGENT, None)];
    let kept_holds = kept::<Vec<Hold>>(store, HOLDS).map_or_else(unread, Option::unwrap_or_default);
    for hold in kept_holds.into_iter().filter(|hold| !hold.kind.is_of_this_start()) {
        guard.hold(hold);
    }
    for (kind, why) in of_this_start {
        guard.hold(hold(kind, why, AGENT, None));
    }
    let before = kept::<Starts>(store, STARTS).unwrap_or_else(|error| {
        tracing::error!(%error, "the starts before this one cannot be counted");
        None
    });
    let mut starts = before.filter(|starts| starts.boot_id == boot_id).unwrap_or_default();
    let now = uptime_ms();
    starts.boot_id = boot_id.to_owned();
    starts.uptime_ms.retain(|then| (now - LOOP_WITHIN_MS..=now).contains(then));
    starts.uptime_ms.push(now);
    // To end would only be a loop of starts without an end.
    let uncounted = StoreError::damage(keep(store, STARTS, &starts, AGENT))?;
    let uncounted = uncounted.map(|error| format!("its starts cannot be counted: {error}"));
    let is_loop = starts.uptime_ms.len() >= LOOP_STARTS;
    let looped = || format!("it was started {} times in {} s", starts.uptime_ms.len(), LOOP_WITHIN_MS / 1000);
    if let Some(why) = uncounted.or_else(|| is_loop.then(looped)) {
        guard.hold(hold(HoldKind::CrashLoop, why, AGENT, None));
        if let Some(error) = StoreError::damage(keep(store, HOLDS, &guard.holds(now_ms()), AGENT))? {
            tracing::error!(%error, "the latch holds, but not over a restart");
        }
    }
    Ok(guard.holds(now_ms()).iter().map(|hold| format!("{hold}: it looks and changes nothing")).collect())
}

fn hold(kind: HoldKind, why: String, by: &str, for_s: Option<u32>) -> Hold {
    let since_ms = now_ms();
    let until_ms = for_s.map(|for_s| since_ms + i64::from(for_s) * 1000);
    Hold { kind, why, by: by.to_owned(), since_ms, until_ms }
}

/// What was kept; none where nothing was. An error, too, where it cannot be read back.
fn kept<T: for<'de> Deserialize<'de>>(store: &Store, key: &str) -> Result<Option<T>, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Damaged {
        table: "settings",
        id: key.to_owned(),
        why: error.to_string(),
    };
    let setting = store.reader()?.setting(key)?;
    setting.map(|setting| serde_json::from_str(&setting.value).map_err(damaged)).transpose()
}

fn keep<T: Serialize>(store: &Store, key: &str, value: &T, by: &str) -> Result<(), StoreError> {
    let unstorable = |error: serde_json::Error| StoreError::Unstorable { table: "settings", why: error.to_string() };
    store.keep_setting(key, &serde_json::to_string(value).map_err(unstorable)?, by, now_ms())
}

impl Agent {
    /// Nothing is done from now on until it is resumed, or for so long.
    pub(super) fn pause(&self, why: String, for_s: Option<u32>, by: &Operator) -> Result<Hold, String> {
        let hold = hold(HoldKind::Paused, why, &by.name, for_s);
        self.guard().hold(hold.clone());
        self.keep_holds(&by.name)?;
        self.rooms.note(format!("{hold}: it looks and changes nothing"));
        Ok(hold)
    }

    /// Ends every hold that an operator may end.
    pub(super) fn resume(&self, by: &Operator) -> Result<Vec<Hold>, String> {
        let ended = self.guard().release(&[HoldKind::Paused, HoldKind::Storm, HoldKind::CrashLoop]);
        self.keep_holds(&by.name)?;
        keep(&self.rooms.daemon.store, FAILURES, &0, &by.name).map_err(|error| error.to_string())?;
        for hold in &ended {
            self.rooms.note(format!("{} ended what was {hold}", by.name));
        }
        Ok(ended)
    }

    /// Counts verdicts that failed in a row, over incidents and restarts; the brake is pulled when there are too many.
    pub(super) fn count_verdict(&self, ending: &Ending) {
        if !matches!(ending, Ending::Acted { .. }) {
            return;
        }
        let Daemon { store, .. } = &self.rooms.daemon;
        let counted = (|| {
            let before = kept::<u32>(store, FAILURES)?.unwrap_or(0);
            let failures = ending.failures_in_a_row(before);
            if failures != before {
                keep(store, FAILURES, &failures, AGENT)?;
            }
            Ok::<u32, StoreError>(failures)
        })();
        // What cannot be counted counts as the last straw.
        let failures = counted.unwrap_or_else(|error| {
            tracing::error!(%error, "verdicts cannot be counted; nothing more is done");
            u32::MAX
        });
        let most = self.guard().limits().failures_in_a_row();
        if failures >= most && !self.guard().holds(now_ms()).iter().any(|hold| hold.kind == HoldKind::Storm) {
            let hold = hold(HoldKind::Storm, format!("{most} actions in a row did not help"), AGENT, None);
            self.rooms.note(format!("{hold}: it looks and changes nothing until `kernelsight resume`"));
            self.guard().hold(hold);
            if let Err(error) = self.keep_holds(AGENT) {
                tracing::error!(%error, "the brake holds, but not over a restart");
            }
        }
    }

    fn keep_holds(&self, by: &str) -> Result<(), String> {
        let holds = self.guard().holds(now_ms());
        let kept = keep(&self.rooms.daemon.store, HOLDS, &holds, by);
        self.rooms.daemon.change().status.holds = holds;
        kept.map_err(|error| error.to_string())
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.rooms.guard
    }
}
