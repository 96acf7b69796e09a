//! Mind: the daemon's side of thinking with a model. It hands out cases, keeps what is said, and judges what comes back;
//! the thinking itself is done by the reasoner, in a process of its own, through the door.
//!
//! Nothing here waits for a model but who asked to: a case that nobody takes, or that comes to nothing, ends at its
//! deadline.

pub mod account;
pub mod brief;
pub mod budget;
pub mod case;
pub mod draft;
pub mod hearing;
pub mod names;
pub mod packet;
pub mod route;
pub mod settings;
pub mod spoken;
pub mod story;
pub mod thinking;
pub mod veil;
pub mod watchtower;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, futures::Notified};

pub use case::{Ending, OpenCase};
pub use settings::ModelSettings;
pub use watchtower::Watchtower;

use crate::{explain::IncidentUid, llm::ModelChoice, text::Text};
use account::Account;
use watchtower::ModelState;

/// The setting that keeps who an operator chose to be asked.
pub const MODEL: &str = "model";
/// Cases that may wait; one more ends at once.
const WAITING: usize = 16;

/// Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Mind {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    settings: ModelSettings,
    next: AtomicI64,
    desk: Mutex<Desk>,
    /// Whoever asks what is spent holds it until that is settled.
    account: tokio::sync::Mutex<Account>,
    /// Told when a case is laid on the desk.
    wanted: Notify,
    /// Told when a case is over, and kept.
    ended: Notify,
}

/// What lies on the desk.
#[derive(Debug, Default)]
struct Desk {
    choice: Option<ModelChoice>,
    /// Most urgent first.
    waiting: VecDeque<Arc<OpenCase>>,
    /// What the reasoner thinks about.
    taken: Option<Arc<OpenCase>>,
    watchtower: Watchtower,
    /// Why there is no reasoner; none: there is one, or none was needed.
    no_reasoner: Option<String>,
    /// Why there will be none before the agent is started anew.
    nowhere: Option<String>,
    /// Why the last case that is over came to nothing; none: it came to something.
    came_to_nothing: Option<String>,
}

/// Who is asked, and how that goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelStatus {
    #[serde(flatten)]
    pub choice: ModelChoice,
    pub decide: settings::Decide,
    #[serde(flatten)]
    pub state: ModelState,
    /// The incident that it thinks about.
    #[serde(default)]
    pub thinks_about: Option<IncidentUid>,
    /// Why the last case that is over came to nothing; none: it came to something, or there was none.
    #[serde(default)]
    pub came_to_nothing: Option<String>,
}

impl Mind {
    /// `next` is the number of the next case.
    #[must_use]
    pub fn new(settings: ModelSettings, choice: Option<ModelChoice>, next: i64) -> Self {
        let desk = Mutex::new(Desk { choice, ..Desk::default() });
        Self { inner: Arc::new(Inner { settings, next: AtomicI64::new(next), desk, ..Inner::default() }) }
    }

    #[must_use]
    pub fn settings(&self) -> &ModelSettings {
        &self.inner.settings
    }

    /// Who is asked; none: nobody.
    #[must_use]
    pub fn choice(&self) -> Option<ModelChoice> {
        self.desk().choice.clone()
    }

    /// From the next case on, that one is asked; none: nobody.
    pub fn choose(&self, choice: Option<ModelChoice>) {
        let mut desk = self.desk();
        // What came to nothing was another's.
        desk.came_to_nothing = None;
        desk.choice = choice;
    }

    #[must_use]
    pub fn next_case(&self) -> i64 {
        self.inner.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Lays a case on the desk, a question of an operator before all incidents. False when there are too many.
    pub fn lay(&self, case: Arc<OpenCase>) -> bool {
        let mut desk = self.desk();
        if desk.waiting.len() >= WAITING {
            return false;
        }
        if case.is_question() {
            desk.waiting.push_front(case)
        } else {
            desk.waiting.push_back(case)
        }
        drop(desk);
        self.inner.wanted.notify_one();
        true
    }

    /// The next case whose time is not over.
    #[must_use]
    pub fn take(&self) -> Option<Arc<OpenCase>> {
        let mut desk = self.desk();
        while let Some(case) = desk.waiting.pop_front() {
            if case.until > Instant::now() && !case.is_over() {
                desk.taken = Some(Arc::clone(&case));
                return Some(case);
            }
        }
        None
    }

    /// Nobody can think about what waits: it is over.
    pub fn give_up(&self, why: &str) {
        let waiting: Vec<_> = self.desk().waiting.drain(..).collect();
        for case in waiting {
            case.end(Ending::Stopped { why: why.to_owned() });
        }
    }

    /// The reasoner is gone: what it thought about is there for the next one, which goes on where it was. True when there
    /// was something.
    pub fn put_back(&self) -> bool {
        let mut desk = self.desk();
        desk.watchtower.failed();
        let Some(case) = desk.taken.take().filter(|case| !case.is_over()) else { return false };
        if case.interrupted() {
            desk.waiting.push_front(case);
        } else {
            drop(desk);
            case.end(Ending::Stopped {
                why: "the reasoner ended while it thought about it, again and again".to_owned(),
            });
        }
        true
    }

    /// Waits until a case may lie on the desk.
    pub async fn wanted(&self) {
        self.inner.wanted.notified().await;
    }

    /// A case is over, and kept: whoever waits for one looks.
    pub fn tell_ended(&self) {
        self.inner.ended.notify_waiters();
    }

    /// Told of each case that is over from when this is first polled, or enabled.
    pub fn ended(&self) -> Notified<'_> {
        self.inner.ended.notified()
    }

    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.desk().waiting.is_empty()
    }

    /// The account, for one at a time: between what is read of the database and what is reserved or recorded by it nobody
    /// else may be.
    pub async fn account(&self) -> tokio::sync::MutexGuard<'_, Account> {
        self.inner.account.lock().await
    }

    /// What the watchtower saw, to be looked at or told of.
    pub fn watch<T>(&self, look: impl FnOnce(&mut Watchtower) -> T) -> T {
        look(&mut self.desk().watchtower)
    }

    /// Keeps what came of a case. Why it came to nothing may be in a stranger's words.
    pub fn came_of(&self, ending: &Ending) {
        let why = match ending {
            Ending::Recommended { .. } | Ending::Answered { .. } => None,
            Ending::Refused { why } => Some(format!("what it said was not so: {}", why.join("; "))),
            Ending::Stopped { why } => Some(why.clone()),
            Ending::Late => Some("its time was over".to_owned()),
        };
        self.desk().came_to_nothing = why.map(|why| Text::from(why.as_str()).to_string());
    }

    /// Keeps why there is no reasoner, or that there is one.
    pub fn set_reasoner(&self, gone: Option<String>) {
        self.desk().no_reasoner = gone;
    }

    /// Keeps why there will be no reasoner before the agent is started anew.
    pub fn set_nowhere(&self, why: &str) {
        let mut desk = self.desk();
        desk.nowhere = Some(why.to_owned());
        desk.no_reasoner = Some(why.to_owned());
    }

    #[must_use]
    pub fn nowhere(&self) -> Option<String> {
        self.desk().nowhere.clone()
    }

    /// How it is; none where nobody is asked.
    #[must_use]
    pub fn status(&self) -> Option<ModelStatus> {
        let desk = self.desk();
        let choice = desk.choice.clone()?;
        let state = match &desk.no_reasoner {
            Some(why) => ModelState::Suspended { why: why.clone() },
            None => desk.watchtower.state(Instant::now()),
        };
        let thought = desk.taken.as_ref().filter(|case| !case.is_over()).and_then(|case| case.incident.as_ref());
        let thinks_about = thought.map(|incident| incident.uid.clone());
        let came_to_nothing = desk.came_to_nothing.clone();
        Some(ModelStatus { choice, decide: self.inner.settings.decide, state, thinks_about, came_to_nothing })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
