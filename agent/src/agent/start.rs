//! The start: the policies, the store, what an earlier run left, the eyes.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
    time::Duration,
};

use tokio::{
    sync::{broadcast, mpsc},
    task::JoinSet,
};

use super::{
    Agent, AgentError,
    docket::Docket,
    eyes::Eyes,
    holds,
    rooms::Rooms,
    standing::{self, Standing},
};
use crate::{
    clock::now_ms,
    config::{Settings, StoreSettings},
    decide::rules::Rules,
    execute::{Executor, Guard, HoldKind, Journal as _, Limits as Bounds, Policy},
    explain::Correlator,
    live::{Daemon, Live},
    observe::{Window, classify::Thresholds},
    store::{Limits, Store},
};

/// Below the state directory: held as long as an actor is at work that this daemon asked.
const LOCK: &str = "actors.lock";
/// Actors of a daemon that ended end too; one that is stuck is not waited for longer before the agent watches.
const EARLIER_END_WITHIN: Duration = Duration::from_secs(5);
/// News that a follower may be behind.
const NEWS: usize = 4096;
/// Orders that may wait.
const ORDERS: usize = 64;

impl Agent {
    pub(super) fn start(settings: &Settings, unconfined: Option<String>) -> Result<Self, AgentError> {
        let thresholds = Thresholds::load(settings.policies.as_deref())?;
        let policy = Policy::load(settings.policies.as_deref())?;
        let bounds = Bounds::load(settings.policies.as_deref())?;
        let guard = Arc::new(Guard::new(bounds, Duration::from_millis(settings.tick_ms)));
        let (store, opening) = Store::open(&settings.state_dir, limits(settings))?;
        let mut notes = opening.notes;
        let policy = Arc::new(policy);
        let mut executor = Executor::new(Arc::clone(&policy), Arc::clone(&guard))?;
        if let Some(actors) = &settings.actors {
            executor = executor.with_actors(actors, &settings.state_dir.join(LOCK));
        }
        let unsettled = executor.earlier_are_gone(EARLIER_END_WITHIN).err().map(|error| error.to_string());
        if unsettled.is_none() {
            notes.extend(settle(&executor, &store));
        }
        let holds = [(HoldKind::Unconfined, unconfined), (HoldKind::Unsettled, unsettled)];
        let of_this_start = holds.into_iter().filter_map(|(kind, why)| Some((kind, why?)));
        notes.extend(holds::begin(&guard, &store, executor.boot_id(), of_this_start)?);
        for note in &notes {
            store.keep_note(note, now_ms())?;
        }
        let (orders_in, orders) = mpsc::channel(ORDERS);
        let eyes = Eyes::open(thresholds.clone(), settings.watch_calls, &store)?;
        let daemon = Daemon {
            live: Arc::new(RwLock::new(Live { window: Window::of_agent(std::process::id()), ..Live::default() })),
            store,
            orders: orders_in,
            news: broadcast::channel(NEWS).0,
            thresholds: Arc::new(thresholds),
            restartable: policy.restartable().into(),
        };
        standing::begin(&daemon, settings, &eyes, &executor, notes)?;
        daemon.change().status.holds = guard.holds(now_ms());
        Ok(Self {
            rooms: Arc::new(Rooms {
                daemon,
                reasoner: Arc::new(Rules),
                policy,
                guard,
                executor,
                unconfirmed: std::sync::Mutex::default(),
            }),
            eyes,
            correlator: Correlator::new(std::process::id()),
            docket: Docket::default(),
            standing: Standing::default(),
            orders,
            passes: JoinSet::new(),
            at_work: HashMap::new(),
            told: HashMap::new(),
            tick_every: Duration::from_millis(settings.tick_ms),
            recall_in: 0,
            died: false,
        })
    }
}

/// Settles what an earlier run left. Where the journal cannot be read that is said, and the agent watches: it reads the
/// journal before each action, and does nothing while it cannot.
fn settle(executor: &Executor, store: &Store) -> Vec<String> {
    let unread = |why: &dyn std::fmt::Display| format!("{why}: nothing is done while that is so");
    let mut notes = executor.settle(store, now_ms()).unwrap_or_else(|error| vec![unread(&error)]);
    match store.reader().and_then(|reader| reader.standing_actions()) {
        Ok(standing) => notes.extend(executor.settle_earlier_boots(&standing, store, now_ms())),
        Err(error) => notes.push(unread(&error)),
    }
    match store.unreadable(Guard::PAST) {
        Ok(rows) => notes.extend(rows.iter().map(|row| unread(row))),
        Err(error) => notes.push(unread(&error)),
    }
    notes
}

fn limits(settings: &Settings) -> Limits {
    let StoreSettings { max_bytes, metrics_hours, signals_days, traces_days } = settings.store;
    Limits { max_bytes, metrics_hours, signals_days, traces_days, ..Limits::default() }
}
