//! Store: one SQLite database, one thread that writes it, and readers that cannot.
//!
//! What is *queued* (metrics, signals, readings) never waits: when there is no room it is dropped and counted. What is
//! *durable* (incidents, traces, proposals, permits, denials, actions, settings) is answered after commit and fsync.

mod actions;
mod audit;
pub mod bench;
mod cases;
pub mod chain;
mod error;
pub mod families;
mod health;
pub mod histogram;
mod incidents;
mod log;
mod metrics;
mod model_use;
mod names;
mod proposals;
mod queue;
mod reader;
mod readings;
mod retention;
mod rows;
mod schema;
mod settings;
mod signals;
mod traces;
mod trusted;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use tokio::runtime::{Handle, RuntimeFlavor};

pub use actions::ActionFilter;
pub use audit::{AuditFilter, DenialRow, PermitRow};
pub use cases::{CaseHead, CaseRow, TurnRow};
pub use error::StoreError;
pub use families::Family;
pub use health::StoreHealth;
pub use incidents::IncidentFilter;
pub use metrics::{Metric, MetricFilter};
pub use model_use::{CaseUse, TurnUse};
pub use proposals::{ProposalRow, ProposalStatus};
pub use reader::{Listed, Reader};
pub use readings::ALL_ENTITIES;
pub use settings::{Note, Setting};
pub use signals::SignalFilter;
pub use traces::TraceFilter;

use crate::{
    decide::{FailureMode, council::Agreement},
    explain::Incident,
    observe::{Entity, Signal, SignalType, window::Tick},
    reflect::Trace,
};
use health::Health;
use queue::{Queue, Row};
use reader::Idle;
use readings::Readings;
use trusted::Trusted;
use writer::Writer;

/// The database's file in its directory.
pub const FILE: &str = "kernelsight.db";
/// How long a durable write waits for its answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The way to the writer thread and to new readers. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// How much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The database, its log included, is kept below this size, bytes.
    pub max_bytes: u64,
    /// Metrics and minute histograms older than this go, hours.
    pub metrics_hours: u32,
    /// Closed signals, points and hour histograms older than this go, days.
    pub signals_days: u32,
    /// Incidents, traces, proposals, permits, denials and settled actions older than this go, days.
    pub traces_days: u32,
    /// Rows that wait for the writer; a tick of metrics weighs as many as it has.
    pub queue: usize,
    /// A baseline is made of the values of this many hours.
    pub baseline_hours: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 512 << 20,
            metrics_hours: 48,
            signals_days: 30,
            traces_days: 365,
            queue: 8192,
            baseline_hours: 24,
        }
    }
}

/// What was found when the database was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Where an unusable database was moved to; a new one was begun.
    pub set_aside: Option<PathBuf>,
    /// What a person should know, in plain sentences.
    pub notes: Vec<String>,
    pub schema_version: u32,
}

struct Shared {
    path: PathBuf,
    queue: Arc<Queue>,
    health: Arc<Health>,
    readings: Arc<Mutex<Readings>>,
    idle: Idle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the database in `dir`, making both if they are missing, and starts the writer.
    ///
    /// A database that cannot be used (damaged, of another program, of a newer version) is set aside under a new name,
    /// and a new one is begun.
    ///
    /// # Errors
    /// When the directory cannot be made or written, or another process holds the database.
    pub fn open(dir: &Path, limits: Limits) -> Result<(Self, Opening), StoreError> {
        let (connection, lock, opening) = schema::open(dir, &limits)?;
        let path = dir.join(FILE);
        let queue = Arc::new(Queue::new(limits.queue));
        let health = Arc::new(Health::default());
        let readings = Arc::new(Mutex::new(Readings::default()));
        let idle = Idle::default();
        let writer = Writer::new(
            Trusted::new(connection, idle.clone(), path.clone(), limits.clone()),
            lock,
            path.clone(),
            limits,
            Arc::clone(&queue),
            Arc::clone(&health),
            Arc::clone(&readings),
        );
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| StoreError::File { what: "start the writer of", path: path.clone(), source })?;
        let shared = Shared { path, queue, health, readings, idle, thread: Mutex::new(Some(thread)) };
        Ok((Self { shared: Arc::new(shared) }, opening))
    }

    /// A connection of its own that cannot write.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.shared.path, &self.shared.idle)
    }

    /// Queues the ten metric families of a tick.
    pub fn keep_tick(&self, tick: &Tick) {
        self.queue(Row::Metrics(metrics::rows(tick)));
    }

    /// Queues a signal as it is now; the row of that id is brought up to it.
    pub fn keep_signal(&self, signal: &Signal) {
        self.queue(Row::Signal(Box::new(signal.clone())));
    }

    /// Adds one value to the minute's histogram and mean. A value that is no number is not counted.
    pub fn keep_reading(&self, at_ms: i64, signal_type: SignalType, measure: &str, entity: &Entity, value: f64) {
        let kept = lock(&self.shared.readings).keep(at_ms, signal_type, measure, entity, value);
        if !kept {
            self.shared.health.lose(readings::FAMILY, 1);
        }
    }

    /// Keeps an incident as it is now.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_incident(&self, incident: &Incident) -> Result<(), StoreError> {
        let row = incidents::IncidentRow::of(incident)?;
        self.durable(move |connection| row.write(connection))
    }

    /// Keeps a trace as it is now, and gives it its id the first time.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_trace(&self, trace: &mut Trace) -> Result<i64, StoreError> {
        let row = traces::TraceRow::of(trace)?;
        trace.trace_id = self.durable(move |connection| row.write(connection))?;
        Ok(trace.trace_id)
    }

    /// Keeps a new proposal and answers its id; the id of `row` is not looked at.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_proposal(&self, row: &ProposalRow) -> Result<i64, StoreError> {
        let row = proposals::Stored::of(row)?;
        self.durable(move |connection| row.write(connection))
    }

    /// Settles a proposal once: pending becomes approved, denied or expired; approved becomes executed.
    ///
    /// # Errors
    /// [`StoreError::Settled`] when somebody else was sooner, [`StoreError::Absent`] when there is none of that id.
    pub fn settle_proposal(
        &self,
        id: i64,
        status: ProposalStatus,
        by: &str,
        reason: &str,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let (by, reason) = (rows::bounded(by), rows::bounded(reason));
        self.durable(move |connection| proposals::settle(connection, id, status, &by, &reason, at_ms))
    }

    /// Keeps a permit, and answers its id.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_permit(&self, permit: &PermitRow) -> Result<i64, StoreError> {
        let permit = permit.clone();
        self.durable(move |connection| audit::write_permit(connection, &permit))
    }

    /// Keeps a denial, and answers its id.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_denial(&self, denial: &DenialRow) -> Result<i64, StoreError> {
        let denial = denial.clone();
        self.durable(move |connection| audit::write_denial(connection, &denial))
    }

    /// Keeps a case as it is now.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_case(&self, row: &CaseRow) -> Result<(), StoreError> {
        let row = cases::StoredCase::of(row)?;
        self.durable(move |connection| row.write(connection))
    }

    /// Keeps how the model of a case stood to the rules.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_agreement(&self, case: i64, agreement: Agreement) -> Result<(), StoreError> {
        let name = rows::name_of("cases", &agreement)?;
        self.durable(move |connection| cases::write_agreement(connection, case, &name))
    }

    /// Keeps a turn.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_turn(&self, row: &TurnRow) -> Result<(), StoreError> {
        let row = cases::StoredTurn::of(row)?;
        self.durable(move |connection| row.write(connection))
    }

    /// Keeps that a hypothesis was wrong on that evidence.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_refuted(
        &self,
        fingerprint: &str,
        failure_mode: FailureMode,
        evidence: &str,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let (fingerprint, evidence) = (rows::bounded(fingerprint), rows::bounded(evidence));
        self.durable(move |connection| cases::write_refuted(connection, &fingerprint, failure_mode, &evidence, at_ms))
    }

    /// Sets what outlives the daemon, such as the autonomy level.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_setting(&self, key: &str, value: &str, by: &str, at_ms: i64) -> Result<(), StoreError> {
        let (key, value, by) = (rows::bounded(key), rows::bounded(value), rows::bounded(by));
        self.durable(move |connection| settings::write(connection, &key, &value, &by, at_ms))
    }

    /// Keeps a sentence that an operator should find later.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn keep_note(&self, note: &str, at_ms: i64) -> Result<(), StoreError> {
        let note = rows::bounded(note);
        self.durable(move |connection| settings::write_note(connection, &note, at_ms))
    }

    /// Answers when all that was queued before is committed and synced.
    ///
    /// # Errors
    /// When it could not be written; it stays queued and is tried again.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.ask(Writer::flush)
    }

    /// Writes what is queued, closes the database and ends the writer. Every clone of this store is closed with it.
    ///
    /// # Errors
    /// When something queued could not be written.
    pub fn close(self) -> Result<(), StoreError> {
        let flushed = self.flush();
        self.shared.end();
        flushed
    }

    #[must_use]
    pub fn health(&self) -> StoreHealth {
        self.shared.health.report(self.shared.queue.weight())
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    fn queue(&self, row: Row) {
        let (family, weight) = (row.family(), row.weight());
        if weight > 0 && !self.shared.queue.push(row) {
            self.shared.health.lose(family, weight as u64);
        }
    }

    /// Does `work` in a transaction of its own on the writer's thread, and answers when it is on disk.
    pub(crate) fn durable<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(move |writer| writer.synced(work))
    }

    /// The same for the journal, whose new head is kept beside the database.
    pub(crate) fn journalled<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(move |writer| writer.journalled(work))
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, wait) = mpsc::sync_channel(1);
        self.shared.queue.push_urgent(Box::new(move |writer| {
            // Whoever asked may have gone: then the answer is for nobody.
            let _ = answer.send(question(writer));
        }))?;
        blocking(|| wait.recv_timeout(ANSWER_WITHIN)).unwrap_or_else(|error| match error {
            mpsc::RecvTimeoutError::Timeout => Err(StoreError::NoAnswer { seconds: ANSWER_WITHIN.as_secs() }),
            mpsc::RecvTimeoutError::Disconnected => Err(StoreError::Closed),
        })
    }
}

impl Shared {
    fn end(&self) {
        self.queue.close();
        // The last connection to close tidies up after the log, and that is to be the writer's.
        self.idle.close();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writer had died; what was queued then is lost");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

/// Waits; where this thread is one of the runtime's, the tasks that it was to run next go to another one meanwhile.
fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    let shared = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if shared { tokio::task::block_in_place(wait) } else { wait() }
}

/// Locks; what a panicking holder left behind is plain data, so it is used on.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
