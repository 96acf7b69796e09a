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
    past::Past,
    rooms::Rooms,
    standing::{self, Standing},
};
use crate::{
    clock::now_ms,
    config::{Settings, StoreSettings},
    decide::model::Together,
    execute::{Executor, Guard, Limits as Bounds, Policy},
    explain::Correlator,
    live::{Daemon, Live},
    mind::{Mind, thinking::Thinking},
    observe::{Window, classify::Thresholds},
    store::{Limits, Store},
    tools::Rights,
};

/// Below the state directory: held as long as an actor is at work that this daemon asked.
const LOCK: &str = "actors.lock";
/// News that a follower may be behind.
const NEWS: usize = 4096;
/// Orders that may wait.
const ORDERS: usize = 64;

impl Agent {
    pub(super) fn start(settings: &Settings, unconfined: Option<String>) -> Result<Self, AgentError> {
        let thresholds = Thresholds::load(settings.policies.as_deref())?;
        let policy = Policy::load(settings.policies.as_deref())?;
        let bounds = Bounds::load(settings.policies.as_deref())?;
        let rights = Rights::load(settings.policies.as_deref())?;
        let guard = Arc::new(Guard::new(bounds, Duration::from_millis(settings.tick_ms)));
        let (store, opening) = Store::open(&settings.state_dir, limits(settings))?;
        let policy = Arc::new(policy);
        let mut executor = Executor::new(Arc::clone(&policy), Arc::clone(&guard))?;
        if let Some(actors) = &settings.actors {
            executor = executor.with_actors(actors, &settings.state_dir.join(LOCK));
        }
        let past = Past::take_up(&store, opening, &executor, &guard, unconfined)?;
        let (orders_in, orders) = mpsc::channel(ORDERS);
        let mut eyes = Eyes::open(thresholds.clone(), settings.watch_calls, past.next_signal_id)?;
        eyes.recall(past.baselines);
        let daemon = Daemon {
            live: Arc::new(RwLock::new(Live { window: Window::of_agent(std::process::id()), ..Live::default() })),
            store,
            orders: orders_in,
            news: broadcast::channel(NEWS).0,
            thresholds: Arc::new(thresholds),
            restartable: policy.restartable().into(),
            rights: Arc::new(rights),
            mind: Mind::new(
                settings.model.clone(),
                past.model.unwrap_or_else(|| settings.model.choice()),
                past.next_case,
            ),
        };
        standing::begin(&daemon, settings.autonomy.or(past.autonomy), &eyes, &executor, past.notes);
        daemon.change().status.holds = guard.holds(now_ms());
        let thinking = Thinking::new(daemon.clone(), Arc::clone(&policy));
        Ok(Self {
            rooms: Arc::new(Rooms {
                daemon,
                reasoner: Arc::new(Together::new(Arc::new(thinking))),
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

fn limits(settings: &Settings) -> Limits {
    let StoreSettings { max_bytes, metrics_hours, signals_days, traces_days } = settings.store;
    Limits { max_bytes, metrics_hours, signals_days, traces_days, ..Limits::default() }
}
