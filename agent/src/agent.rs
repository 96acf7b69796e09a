//! The spine: all that happens, in the order of the loop. It alone knows every room.

pub mod bench;
mod calls;
mod confine;
pub mod docket;
mod eyes;
mod holds;
mod orders;
mod past;
mod reasoner;
mod remedy;
mod rooms;
mod standing;
mod start;

pub use confine::{come_first, confine, leave_no_core};
pub use past::Past;
pub use reasoner::{Reasoners, key_argument, midwife_socket};

use std::{collections::HashMap, io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::{self, JoinHandle, JoinSet},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout},
};

use self::{
    docket::{Docket, Ending},
    eyes::Eyes,
    remedy::Pass,
    rooms::Rooms,
    standing::Standing,
};
use crate::{
    clock::{now_ms, uptime_ms},
    config::Settings,
    execute::{ExecuteError, LimitsError, PolicyError},
    explain::{Correlator, IncidentChange, IncidentStatus, IncidentUid},
    live::{News, Order},
    mind::account,
    observe::{
        Event,
        classify::{Change, ThresholdsError},
    },
    serve::{self, SocketError},
    store::StoreError,
    tools::RightsError,
    verify::Verdict,
};

/// How often the ordinary ring is drained while somebody follows it, while it fills, and else, beside each tick's
/// drain. Who follows is told of a stall of 100 ms within 160 ms of its begin.
const DRAIN_FOLLOWED_EVERY: Duration = Duration::from_millis(40);
const DRAIN_BUSY_EVERY: Duration = Duration::from_millis(100);
const DRAIN_EVERY: Duration = Duration::from_millis(600);
/// The ring fills when one drain finds this many events.
const BUSY_EVENTS: usize = 256;
/// How often leases are looked at, and the standing of every part told.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(5);
/// How long passes that are at work are waited for when the daemon stops; what is unverified then is taken back.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Baselines are read in one round of so many, for they are written every 15 s, and tell of hours; and so are proposals,
/// which wait for half an hour.
const RECALL_ROUNDS: u32 = 6;

/// Why the daemon could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Limits(#[from] LimitsError),
    #[error(transparent)]
    Thresholds(#[from] ThresholdsError),
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("signals of the system cannot be received: {source}")]
    Signals { source: io::Error },
    #[error("the urgent ring cannot be watched: {source}")]
    Ring { source: io::Error },
}

/// Runs the agent until SIGTERM or SIGINT. One that could not be confined, and why, only watches.
///
/// # Errors
/// When the policies are wrong, or the database or the socket cannot be had; nothing later ends it.
pub async fn run(settings: Settings, unconfined: Option<String>, reasoners: Reasoners) -> Result<(), AgentError> {
    let agent = Agent::start(&settings, unconfined)?;
    let (close_door, closed) = oneshot::channel::<()>();
    let daemon = agent.rooms.daemon.clone();
    let reasoner = tokio::spawn(reasoners.tend(daemon.clone()));
    let served = daemon.clone();
    let mut door = tokio::spawn(async move {
        let closed = async { drop(closed.await) };
        serve::serve(served, &settings, closed).await
    });
    let ended = agent.turn(&mut door).await;
    reasoner.abort();
    account::close(&daemon).await;
    drop(close_door);
    // Closing takes the socket away.
    if !door.is_finished() && timeout(STOP_WITHIN, &mut door).await.is_err() {
        door.abort();
    }
    ended
}

struct Agent {
    rooms: Arc<Rooms>,
    eyes: Eyes,
    correlator: Correlator,
    docket: Docket,
    standing: Standing,
    orders: mpsc::Receiver<Order>,
    passes: JoinSet<Pass>,
    /// The incident of each pass, in case it does not come back.
    at_work: HashMap<task::Id, IncidentUid>,
    /// The status that was last told of each open incident.
    told: HashMap<IncidentUid, IncidentStatus>,
    tick_every: Duration,
    /// Rounds of housekeeping until baselines are read again.
    recall_in: u32,
    /// Whether a pass died, so that the journal has to be settled once no other is at work.
    died: bool,
}

impl Agent {
    /// One turn after the other: whatever comes next.
    async fn turn(mut self, door: &mut JoinHandle<Result<(), SocketError>>) -> Result<(), AgentError> {
        let listen = |kind| signal(kind).map_err(|source| AgentError::Signals { source });
        let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let (mut tick, mut housekeeping) = (every(self.tick_every), every(HOUSEKEEPING_EVERY));
        let (mut drain, mut calls) = (pin!(sleep(DRAIN_EVERY)), pin!(sleep(Duration::ZERO)));
        loop {
            tokio::select! {
                events = self.eyes.urgent() => self.react(events),
                _ = tick.tick() => {
                    drain.as_mut().reset(self.drain());
                    self.tick();
                    calls.as_mut().reset(self.watch_calls());
                }
                () = &mut calls => calls.as_mut().reset(self.watch_calls()),
                () = &mut drain => drain.as_mut().reset(self.drain()),
                Some(order) = self.orders.recv() => self.obey(order),
                Some(pass) = self.passes.join_next_with_id() => self.close(pass),
                _ = housekeeping.tick() => self.keep_house(),
                closed = &mut *door => return closed.unwrap_or(Ok(())).map_err(AgentError::from),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        self.stop().await
    }

    /// Observe: empties the rings, and says when to do so again.
    fn drain(&mut self) -> Instant {
        let urgent = self.eyes.urgent_now();
        if !urgent.is_empty() {
            self.react(urgent);
        }
        let raw = self.rooms.daemon.look().is_raw_wanted();
        let drained = self.eyes.drain(&self.rooms.daemon, raw);
        let every = if raw {
            DRAIN_FOLLOWED_EVERY
        } else if drained >= BUSY_EVENTS {
            DRAIN_BUSY_EVERY
        } else {
            DRAIN_EVERY
        };
        Instant::now() + every
    }

    /// Observe: watches system calls or looks away, and says when to come again.
    fn watch_calls(&mut self) -> Instant {
        let daemon = self.rooms.daemon.clone();
        self.eyes.watch_calls(&daemon.look())
    }

    /// Observe: a second has passed.
    fn tick(&mut self) {
        self.rooms.guard.turned(uptime_ms());
        let daemon = self.rooms.daemon.clone();
        let mut live = daemon.change();
        let changes = self.eyes.tick(&mut live);
        let incidents = self.correlator.apply(changes.iter().map(Change::signal), &live.view());
        live.incidents = self.correlator.open().to_vec();
        self.standing.tick(&mut live, &self.eyes);
        if let Some(tick) = live.window.now() {
            daemon.store.keep_tick(tick);
        }
        for (signal_type, measure, entity, value) in self.eyes.readings() {
            daemon.store.keep_reading(live.status.now_ms, *signal_type, measure, entity, *value);
        }
        drop(live);
        self.tell(changes, incidents);
        self.take_up();
    }

    /// Observe: something urgent happened just now.
    fn react(&mut self, events: Vec<Event>) {
        let daemon = self.rooms.daemon.clone();
        let mut live = daemon.change();
        let mut changes = Vec::new();
        for event in events {
            changes.extend(self.eyes.react(event, &mut live, &daemon));
        }
        let incidents = self.correlator.apply(changes.iter().map(Change::signal), &live.view());
        live.incidents = self.correlator.open().to_vec();
        drop(live);
        self.tell(changes, incidents);
        self.take_up();
    }

    /// Keeps what changed and tells those who follow.
    fn tell(&mut self, changes: Vec<Change>, incidents: Vec<IncidentChange>) {
        let daemon = &self.rooms.daemon;
        for change in changes {
            daemon.store.keep_signal(change.signal());
            daemon.tell(match change {
                Change::Opened(signal) => News::SignalOpened { signal },
                Change::Changed(signal) => News::SignalChanged { signal },
                Change::Closed(signal) => News::SignalClosed { signal },
            });
        }
        for change in incidents {
            let news = match change {
                IncidentChange::Opened(incident) => News::IncidentOpened { incident },
                IncidentChange::Changed(incident) => News::IncidentChanged { incident },
                IncidentChange::Refreshed(incident) => {
                    self.rooms.keep_incident(&incident);
                    continue;
                }
                IncidentChange::Closed(incident) => {
                    self.told.remove(&incident.uid);
                    News::IncidentChanged { incident }
                }
            };
            if let News::IncidentOpened { incident } | News::IncidentChanged { incident } = &news {
                self.rooms.keep_incident(incident);
            }
            daemon.tell(news);
        }
    }

    /// Sends the incidents that are due through the other six steps, each in a pass of its own.
    fn take_up(&mut self) {
        let due = self.docket.due(self.correlator.open(), uptime_ms());
        // Before a pass can lay a new proposal before the operators.
        self.withdraw_outgrown();
        for (incident, tried) in due {
            let baseline = self.eyes.baseline(&incident.primary);
            self.set_status(&incident.uid, IncidentStatus::Working);
            let (rooms, uid) = (Arc::clone(&self.rooms), incident.uid.clone());
            let pass = async move { rooms.remedy(incident, tried, baseline).await };
            self.at_work.insert(self.passes.spawn(pass).id(), uid);
        }
    }

    /// A pass came back, or died.
    fn close(&mut self, joined: Result<(task::Id, Pass), task::JoinError>) {
        let id = joined.as_ref().map_or_else(task::JoinError::id, |(id, _)| *id);
        let Some(uid) = self.at_work.remove(&id) else { return };
        let ending = match joined {
            Ok((_, mut pass)) => {
                let left_alone = matches!(pass.ending, Ending::LeftAlone | Ending::Later { .. });
                if !left_alone || self.docket.is_new(&uid, pass.conclusion()) {
                    self.rooms.keep_trace(&mut pass.trace);
                    self.rooms.tell_steps(&pass.trace, pass.told);
                    if let Some(action) = pass.would_do().filter(|_| left_alone) {
                        self.rooms.keep_denial(&pass.trace, action);
                    }
                }
                pass.ending
            }
            Err(error) => {
                tracing::error!(%error, incident = %uid, "a pass of the loop died; the journal settles what it did");
                self.died = true;
                Ending::LeftAlone
            }
        };
        self.count_verdict(&ending);
        self.set_status(&uid, status_after(&ending));
        self.docket.close(&uid, ending, uptime_ms());
    }

    fn set_status(&mut self, uid: &IncidentUid, status: IncidentStatus) {
        if !self.correlator.set_status(uid, status) {
            return;
        }
        let open = self.correlator.open();
        let Some(incident) = open.iter().find(|incident| incident.uid == *uid).cloned() else { return };
        self.rooms.daemon.change().incidents = open.to_vec();
        self.rooms.keep_incident(&incident);
        // A look that leaves all as it was is no news.
        let is_news = status != IncidentStatus::Working && self.told.get(uid) != Some(&status);
        if is_news {
            self.told.insert(uid.clone(), status);
            self.rooms.daemon.tell(News::IncidentChanged { incident });
        }
    }

    /// What need not be done at once: leases, proposals that waited too long, baselines, the standing of every part.
    fn keep_house(&mut self) {
        let daemon = self.rooms.daemon.clone();
        let recall = self.recall_in == 0;
        self.recall_in = if recall { RECALL_ROUNDS } else { self.recall_in } - 1;
        if recall {
            match daemon.store.reader().and_then(|reader| reader.baselines()) {
                Ok(baselines) => self.eyes.recall(baselines),
                Err(error) => tracing::warn!(%error, "baselines could not be read; the last ones serve on"),
            }
        }
        standing::parts(&mut daemon.change().status, &self.eyes, &daemon.store, &self.rooms.executor);
        daemon.change().status.holds = self.guard().holds(now_ms());
        if recall {
            self.expire_proposals();
        }
        let unsettled = self.rooms.is_unsettled();
        let settle = self.died && self.passes.is_empty() && !unsettled;
        self.died &= !settle;
        let rooms = Arc::clone(&self.rooms);
        task::spawn_blocking(move || {
            if unsettled && !rooms.settle_late() {
                return;
            }
            rooms.confirm_again();
            rooms.expire_leases();
            if recall {
                rooms.executor.attest();
            }
            if settle {
                rooms.settle_journal();
            }
        });
    }

    /// Ends what runs, takes back what nobody will verify, and writes all that waits.
    async fn stop(mut self) -> Result<(), AgentError> {
        let all = async { while self.passes.join_next().await.is_some() {} };
        if timeout(STOP_WITHIN, all).await.is_err() {
            self.passes.shutdown().await;
        }
        let rooms = Arc::clone(&self.rooms);
        // What nobody knows yet is left to the next start.
        let settle = move || (!rooms.is_unsettled()).then(|| rooms.settle_journal());
        if let Err(error) = task::spawn_blocking(settle).await {
            tracing::error!(%error, "the journal is settled by the next start");
        }
        self.rooms.daemon.store.flush()?;
        Ok(())
    }
}

fn status_after(ending: &Ending) -> IncidentStatus {
    match ending {
        Ending::Acted { verdict: Verdict::Resolved, .. } => IncidentStatus::Resolved,
        Ending::Acted { .. } => IncidentStatus::Open,
        Ending::AwaitsApproval => IncidentStatus::AwaitingApproval,
        Ending::Later { .. } => IncidentStatus::Open,
        Ending::Refused { .. } | Ending::LeftAlone => IncidentStatus::NeedsHuman,
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
