//! How the store fares, for `status`.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lock;

/// How the store fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreHealth {
    /// Rows that wait for the writer.
    pub queued: u64,
    /// Rows written since the start.
    pub written: u64,
    /// Rows lost since the start, by family; empty when none was.
    pub lost: BTreeMap<String, u64>,
    /// Rows that retention or the size bound removed since the start.
    pub removed: u64,
    /// Size of the database with its log, as of the last look.
    pub bytes: u64,
    /// Writes that failed since the start, those that were tried again included.
    pub failures: u64,
    /// What is wrong now, or went wrong last.
    pub last_error: Option<String>,
    /// Whether the last write succeeded.
    pub well: bool,
}

#[derive(Debug, Default)]
pub(super) struct Health {
    written: AtomicU64,
    removed: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    trouble: Mutex<Trouble>,
}

#[derive(Debug, Default)]
struct Trouble {
    lost: BTreeMap<&'static str, u64>,
    last_error: Option<String>,
    failing: bool,
}

impl Health {
    pub(super) fn wrote(&self, rows: u64) {
        self.written.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn removed(&self, rows: u64) {
        self.removed.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn measure(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, family: &'static str, rows: u64) {
        *lock(&self.trouble).lost.entry(family).or_default() += rows;
    }

    /// A row that can never be written: the fault is the row's, not the disk's.
    pub(super) fn refuse(&self, family: &'static str, error: &dyn std::fmt::Display) {
        let mut trouble = lock(&self.trouble);
        *trouble.lost.entry(family).or_default() += 1;
        trouble.last_error = Some(format!("a row for {family} cannot be stored: {error}"));
    }

    /// Counts a failed write and says so once, until [`Health::recovered`].
    pub(super) fn fail(&self, error: &dyn std::fmt::Display) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut trouble = lock(&self.trouble);
        trouble.last_error = Some(error.to_string());
        if !std::mem::replace(&mut trouble.failing, true) {
            tracing::error!("the database cannot be written and is tried again: {error}");
        }
    }

    pub(super) fn recovered(&self) {
        if std::mem::replace(&mut lock(&self.trouble).failing, false) {
            tracing::info!("the database can be written again");
        }
    }

    pub(super) fn report(&self, queued: usize) -> StoreHealth {
        let trouble = lock(&self.trouble);
        StoreHealth {
            queued: queued as u64,
            written: self.written.load(Ordering::Relaxed),
            lost: trouble.lost.iter().map(|(family, rows)| ((*family).to_owned(), *rows)).collect(),
            removed: self.removed.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            last_error: trouble.last_error.clone(),
            well: !trouble.failing,
        }
    }
}
