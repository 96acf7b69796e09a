//! Leave to do one thing, once.

use std::time::Instant;

use crate::execute::{
    ActionRequest,
    action::{ActionType, Found, Plan},
};

/// Leave to do one thing, once. Only [`super::Policy::judge`] makes one; running it consumes it.
#[derive(Debug)]
#[must_use]
pub struct Permit(Granted);

/// A request that may be carried out by all rules but the level's. Nothing runs because of it.
#[derive(Debug)]
pub(in crate::execute) struct Considered {
    pub(in crate::execute) request: ActionRequest,
    pub(in crate::execute) action: &'static ActionType,
    /// The line that the allowlist judged.
    pub(in crate::execute) line: String,
    pub(in crate::execute) rule: String,
    pub(in crate::execute) plan: Plan,
    /// The target, pinned since it was judged.
    pub(in crate::execute) found: Found,
}

/// What a permit holds. Its fields are read by the sandbox alone, when the permit is spent.
#[derive(Debug)]
pub(in crate::execute) struct Granted {
    pub(in crate::execute) what: Considered,
    pub(in crate::execute) author: String,
    pub(in crate::execute) approved_by: Option<String>,
    pub(in crate::execute) made: Instant,
}

impl Permit {
    pub(super) fn new(what: Considered, author: &str, approved_by: Option<String>) -> Self {
        Self(Granted { what, author: author.to_owned(), approved_by, made: Instant::now() })
    }

    pub(in crate::execute) fn spend(self) -> Granted {
        self.0
    }

    /// The action and what it would change, in words: "nice 0 -> 10".
    #[must_use]
    pub fn change(&self) -> &str {
        &self.0.what.plan.change
    }

    #[must_use]
    pub fn request(&self) -> &ActionRequest {
        &self.0.what.request
    }

    #[must_use]
    pub fn command(&self) -> &str {
        &self.0.what.line
    }

    /// The rule of the allowlist that permits it.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.0.what.rule
    }

    #[must_use]
    pub fn approved_by(&self) -> Option<&str> {
        self.0.approved_by.as_deref()
    }

    /// Who or what it is for, whatever it calls itself.
    #[must_use]
    pub fn target_key(&self) -> String {
        self.0.what.found.key(self.0.what.action.name)
    }

    /// Time until its effect shows, s.
    #[must_use]
    pub fn settle_s(&self) -> u32 {
        self.0.what.action.settle_s
    }

    #[must_use]
    pub fn lease_s(&self) -> Option<u32> {
        self.0.what.action.lease_s
    }

    #[must_use]
    pub fn has_effect(&self) -> bool {
        self.0.what.action.has_effect()
    }
}
