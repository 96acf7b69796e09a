//! Claims: one hand at a time on a row of the journal.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The rows that are being carried out or taken back.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<HashSet<i64>>);

/// Held while somebody is at work on a row.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    id: i64,
}

impl Claims {
    /// None while another is at work on it.
    pub(super) fn claim(&self, id: i64) -> Option<Claim<'_>> {
        let free = self.ids().insert(id);
        // Made only where it is free: one that is dropped ends the other's.
        free.then(|| Claim { claims: self, id })
    }

    /// Claims a row that is made just now, before anybody else can.
    pub(super) fn claim_new<E>(&self, make: impl FnOnce() -> Result<i64, E>) -> Result<Claim<'_>, E> {
        let mut ids = self.ids();
        let id = make()?;
        ids.insert(id);
        Ok(Claim { claims: self, id })
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    pub(super) const fn id(&self) -> i64 {
        self.id
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.ids().remove(&self.id);
    }
}
