//! What an action is carried out for.

use super::limits::Asked;
use crate::explain::IncidentUid;

/// What an action is carried out for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Names what is carried out and verified together.
    pub deed: String,
    pub incident: Option<IncidentUid>,
    /// Whether an operator ordered it, and not the loop.
    pub ordered: bool,
}

impl Errand {
    /// A deed of its own for an incident.
    #[must_use]
    pub fn of(incident: &IncidentUid) -> Self {
        Self { deed: new_deed(), incident: Some(incident.clone()), ordered: false }
    }

    /// A deed of its own that an operator ordered.
    #[must_use]
    pub fn ordered() -> Self {
        Self { deed: new_deed(), incident: None, ordered: true }
    }

    pub(super) fn asks<'a>(&'a self, action_type: &'a str, target: &'a str, approved: bool) -> Asked<'a> {
        Asked {
            deed: &self.deed,
            incident: self.incident.as_ref().map(|uid| uid.0.as_str()),
            action_type,
            target,
            approved: approved || self.ordered,
        }
    }
}

fn new_deed() -> String {
    uuid::Uuid::now_v7().to_string()
}
