//! What waits for the writer: rows in a bounded queue, and the urgent, whose askers wait.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{StoreError, lock, metrics::MetricRow, signals, writer::Writer};
use crate::observe::Signal;

/// Most rows written in one transaction.
pub(super) const BATCH_ROWS: usize = 1000;
/// Longest that a signal waits for others to be written with it.
const SIGNAL_WAIT: Duration = Duration::from_millis(200);
/// The same of metrics, which come every tick: rows of one table share its pages, so five ticks cost little more to
/// write than one. They go with the first signal.
const METRICS_WAIT: Duration = Duration::from_secs(5);
/// Most askers that may wait.
const URGENT: usize = 256;

/// A row that may be lost, if it is counted.
#[derive(Debug)]
pub(super) enum Row {
    Metrics(Vec<MetricRow>),
    Signal(Box<Signal>),
}

pub(super) type Urgent = Box<dyn FnOnce(&mut Writer) + Send>;

impl Row {
    pub(super) fn family(&self) -> &'static str {
        match self {
            Self::Metrics(_) => "metrics",
            Self::Signal(_) => signals::TABLE,
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Metrics(rows) => rows.len(),
            Self::Signal(_) => 1,
        }
    }

    fn wait(&self) -> Duration {
        match self {
            Self::Metrics(_) => METRICS_WAIT,
            Self::Signal(_) => SIGNAL_WAIT,
        }
    }
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct Waiting {
    rows: VecDeque<Row>,
    weight: usize,
    /// When they are to be written at the latest.
    due: Option<Instant>,
    urgent: VecDeque<Urgent>,
    closed: bool,
}

/// Why the writer was woken.
pub(super) enum Work {
    Urgent(Urgent),
    Batch(Vec<Row>),
    /// `until` has come.
    Due,
    Closed,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), wake: Condvar::new(), capacity }
    }

    /// Whether there was room.
    pub(super) fn push(&self, row: Row) -> bool {
        let mut waiting = lock(&self.waiting);
        let weight = waiting.weight + row.weight();
        if waiting.closed || weight > self.capacity {
            return false;
        }
        let due = Instant::now() + row.wait();
        let sooner = waiting.due.is_none_or(|before| due < before);
        if sooner {
            waiting.due = Some(due);
        }
        let full_before = waiting.weight >= BATCH_ROWS;
        waiting.weight = weight;
        waiting.rows.push_back(row);
        drop(waiting);
        // One wake to set the clock, and one for a full batch: not one a row.
        if sooner || (weight >= BATCH_ROWS && !full_before) {
            self.wake.notify_one();
        }
        true
    }

    pub(super) fn push_urgent(&self, urgent: Urgent) -> Result<(), StoreError> {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(StoreError::Closed);
        }
        if waiting.urgent.len() >= URGENT {
            return Err(StoreError::Busy { waiting: waiting.urgent.len() });
        }
        waiting.urgent.push_back(urgent);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// Nothing is taken in from now on.
    pub(super) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.wake.notify_one();
    }

    /// Drops the askers that still wait, so that they are answered.
    pub(super) fn dismiss(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.closed = true;
        waiting.urgent.clear();
    }

    pub(super) fn weight(&self) -> usize {
        lock(&self.waiting).weight
    }

    /// The rows that wait, at most a batch; empty when none do.
    pub(super) fn take(&self) -> Vec<Row> {
        lock(&self.waiting).take()
    }

    /// Waits for work: the urgent first, then (with `batches`) a batch that is full or old enough, else until `until`.
    pub(super) fn next(&self, until: Instant, batches: bool) -> Work {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(urgent) = waiting.urgent.pop_front() {
                return Work::Urgent(urgent);
            }
            if waiting.closed {
                return Work::Closed;
            }
            let now = Instant::now();
            let mut wake_at = until;
            if let Some(due) = waiting.due.filter(|_| batches) {
                if waiting.weight >= BATCH_ROWS || now >= due {
                    return Work::Batch(waiting.take());
                }
                wake_at = wake_at.min(due);
            }
            if now >= until {
                return Work::Due;
            }
            waiting = self.wake.wait_timeout(waiting, wake_at - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Vec<Row> {
        let (mut taken, mut weight) = (Vec::new(), 0);
        while let Some(row) = self.rows.front() {
            if weight > 0 && weight + row.weight() > BATCH_ROWS {
                break;
            }
            weight += row.weight();
            taken.extend(self.rows.pop_front());
        }
        self.weight -= weight;
        if self.rows.is_empty() {
            self.due = None;
        }
        taken
    }
}
