//! The guard before every effect: holds, the dead man's switch, and the limits on the whole. Taking back passes it freely.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Denial, Journal, JournalError,
    limits::{Asked, Limits, Now, Over},
};

/// A loop that has not turned for so long, or for so many turns, watches nothing that an action does.
const STALLS_MS: i64 = 15_000;
const STALLS_TURNS: i64 = 3;
/// When to ask again while something holds, ms.
const ASK_AGAIN_MS: i64 = 10_000;

/// Why nothing at all is done for now. Looking and taking back go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    pub kind: HoldKind,
    /// In words, for whoever finds it.
    pub why: String,
    /// Who made it: an operator's name, or `the agent`.
    pub by: String,
    /// Unix time, ms.
    pub since_ms: i64,
    /// Unix time, ms, when it ends by itself; none: an operator ends it.
    pub until_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// An operator paused it.
    Paused,
    /// Verdicts failed in a row.
    Storm,
    /// It started again and again.
    CrashLoop,
    /// Whoever reasons takes too long; it ends when an answer comes.
    Watchtower,
    /// The daemon could not be confined at its start.
    Unconfined,
    /// An actor of an earlier daemon is at work, so nobody knows yet what it did.
    Unsettled,
}

impl HoldKind {
    /// Whether it says something of this start alone, and not of the node.
    #[must_use]
    pub const fn is_of_this_start(self) -> bool {
        matches!(self, Self::Unconfined | Self::Unsettled)
    }

    const fn ends(self) -> &'static str {
        match self {
            Self::Paused | Self::Storm | Self::CrashLoop => "`kernelsight resume` ends that",
            Self::Watchtower => "that ends when an answer comes",
            Self::Unconfined => "only another start ends that",
            Self::Unsettled => "that ends when it is gone",
        }
    }

    /// The rule under which it refuses.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Paused => "hold.paused",
            Self::Storm => "hold.storm",
            Self::CrashLoop => "hold.crash_loop",
            Self::Watchtower => "hold.watchtower",
            Self::Unconfined => "hold.unconfined",
            Self::Unsettled => "hold.unsettled",
        }
    }
}

/// `paused by ann: the disk is being replaced`
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            HoldKind::Paused => "paused",
            HoldKind::Storm => "held back after failures",
            HoldKind::CrashLoop => "held back after a crash loop",
            HoldKind::Watchtower => "only watching",
            HoldKind::Unconfined => "not confined, held back",
            HoldKind::Unsettled => "held back while an actor of an earlier daemon is at work,",
        };
        write!(f, "{what} by {}", self.by)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

/// Why the guard lets nothing through.
#[derive(Debug, thiserror::Error)]
pub enum Barred {
    #[error(transparent)]
    Over(#[from] Over),
    #[error("nothing was done, because what was done before could not be read: {0}")]
    NoJournal(#[from] JournalError),
}

impl Barred {
    /// For the record.
    #[must_use]
    pub fn denial(&self) -> Denial {
        let rule = match self {
            Self::Over(over) => over.rule,
            Self::NoJournal(_) => "journal",
        };
        Denial { reason: self.to_string(), rule: rule.to_owned() }
    }
}

/// One a daemon. What it counts is in the journal; what it holds for is told by the spine, which keeps it.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    /// After which the loop counts as stalled, ms.
    stalls_ms: i64,
    holds: Mutex<Vec<Hold>>,
    /// Time since boot at the loop's last turn, ms.
    turned_ms: AtomicI64,
    /// Held from the check to the intent, so that two never count as one.
    gate: Mutex<()>,
}

impl Guard {
    /// So many actions of the past are looked at: more than the ceiling allows in the time that any limit looks back.
    pub const PAST: u32 = 256;

    /// Of a loop that turns so often.
    #[must_use]
    pub fn new(limits: Limits, turns_every: Duration) -> Self {
        let every_ms = i64::try_from(turns_every.as_millis()).unwrap_or(i64::MAX);
        let stalls_ms = STALLS_MS.max(every_ms.saturating_mul(STALLS_TURNS));
        Self { limits, stalls_ms, holds: Mutex::default(), turned_ms: AtomicI64::new(i64::MIN), gate: Mutex::default() }
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The loop has turned.
    pub fn turned(&self, uptime_ms: i64) {
        self.turned_ms.store(uptime_ms, Ordering::Relaxed);
    }

    /// What holds at `wall_ms`, Unix time.
    #[must_use]
    pub fn holds(&self, wall_ms: i64) -> Vec<Hold> {
        let mut holds = lock(&self.holds);
        holds.retain(|hold| hold.until_ms.is_none_or(|until_ms| until_ms > wall_ms));
        holds.clone()
    }

    /// Holds from now on; one a kind, the newest counts.
    pub fn hold(&self, hold: Hold) {
        let mut holds = lock(&self.holds);
        holds.retain(|other| other.kind != hold.kind);
        holds.push(hold);
    }

    /// Ends the holds of these kinds, and answers which those were.
    pub fn release(&self, kinds: &[HoldKind]) -> Vec<Hold> {
        let mut holds = lock(&self.holds);
        let (ended, left) = holds.drain(..).partition(|hold| kinds.contains(&hold.kind));
        *holds = left;
        ended
    }

    /// Whether all that is asked may be done now.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn check(&self, asked: &[Asked<'_>], journal: &dyn Journal, now: Now<'_>) -> Result<(), Barred> {
        let closed = |rule, why| Err(Over { rule, why, wait_ms: ASK_AGAIN_MS, operator_may: false }.into());
        if let Some(hold) = self.holds(now.wall_ms).first() {
            return closed(hold.kind.rule(), format!("it is {hold}; {}", hold.kind.ends()));
        }
        let silent_ms = now.uptime_ms.saturating_sub(self.turned_ms.load(Ordering::Relaxed));
        if silent_ms > self.stalls_ms {
            return closed("dead_man.loop", format!("the loop has not turned for {} s", silent_ms / 1000));
        }
        let past = journal.latest(Self::PAST)?;
        Ok(self.limits.check(asked, &past, now)?)
    }

    /// Checks, and does `intend` before anybody else is checked.
    ///
    /// # Errors
    /// What stands in the way, or what `intend` says.
    pub(super) fn pass<T, E: From<Barred>>(
        &self,
        asked: Asked<'_>,
        journal: &dyn Journal,
        now: Now<'_>,
        intend: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let _gate = lock(&self.gate);
        self.check(&[asked], journal, now)?;
        intend()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
