//! An operator's yes to one proposal: a value that is used once, for that very action, while it is fresh.

use crate::{execute::ActionRequest, live::Operator};

/// An approval is good for so long, ms.
pub const APPROVAL_LIFETIME_MS: i64 = 10 * 60 * 1000;

/// Made where an operator's order is taken, by the peer credentials of the socket; spent by the policy.
#[derive(Debug)]
#[must_use]
pub struct Approval {
    request: ActionRequest,
    by: Operator,
    at_ms: i64,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    #[error("the approval is for another action: {approved}")]
    AnotherAction { approved: String },
    #[error("the approval is {age_s} s old; it is good for {lifetime_s} s", lifetime_s = APPROVAL_LIFETIME_MS / 1000)]
    Stale { age_s: i64 },
    #[error("{author} proposed it and cannot approve it")]
    Own { author: String },
}

impl Approval {
    /// The operator's yes to exactly this request.
    pub fn of(request: &ActionRequest, by: &Operator, at_ms: i64) -> Self {
        Self { request: request.clone(), by: by.clone(), at_ms }
    }

    /// Spends it: the operator's name, if it holds for this request of this author now.
    pub(super) fn spend(self, request: &ActionRequest, author: &str, now_ms: i64) -> Result<String, NotApproved> {
        if self.request != *request {
            return Err(NotApproved::AnotherAction { approved: self.request.action_type });
        }
        if !(0..=APPROVAL_LIFETIME_MS).contains(&(now_ms - self.at_ms)) {
            return Err(NotApproved::Stale { age_s: (now_ms - self.at_ms) / 1000 });
        }
        let by = format!("{} (uid {})", self.by.name, self.by.uid);
        if author == by || author == self.by.name {
            return Err(NotApproved::Own { author: author.to_owned() });
        }
        Ok(by)
    }
}
