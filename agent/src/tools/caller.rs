//! Who calls, and what they may.

use std::sync::{Arc, OnceLock, PoisonError};

use tokio::sync::{Mutex, broadcast};

use super::ToolError;
use crate::{
    live::{News, Operator},
    mind::OpenCase,
};

/// What somebody is at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Could connect, may see nothing.
    Nobody,
    /// The agent's own reasoner, through which a model speaks: may look and recommend.
    Model,
    /// The group `kernelsight`: may look.
    Viewer,
    /// Root and the group `kernelsight-admin`: may approve, undo, execute and change the level.
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Nobody, Self::Model, Self::Viewer, Self::Admin];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Model => "model",
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

/// Whom a tool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever may look: people, and the model.
    All,
    People,
    Admins,
    /// The model alone: by these it concludes.
    Model,
    /// The reasoner itself; no model is offered them.
    Reasoner,
}

impl Audience {
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        match self {
            Self::All => matches!(role, Role::Model | Role::Viewer | Role::Admin),
            Self::People => matches!(role, Role::Viewer | Role::Admin),
            Self::Admins => matches!(role, Role::Admin),
            Self::Model | Self::Reasoner => matches!(role, Role::Model),
        }
    }

    /// How somebody comes to be one of them.
    #[must_use]
    pub const fn needs(self) -> &'static str {
        match self {
            Self::All => {
                "only root, the groups kernelsight and kernelsight-admin and the agent's own reasoner may look"
            }
            Self::Model | Self::Reasoner => "only the agent's own reasoner may",
            Self::People => "only root and the groups kernelsight and kernelsight-admin may",
            Self::Admins => {
                "only root and the group kernelsight-admin may approve, deny, undo, execute or change the level"
            }
        }
    }
}

/// One client for as long as it is connected.
#[derive(Debug)]
pub struct Caller {
    pub operator: Operator,
    pub role: Role,
    /// The news since the client last asked; opened by its first `follow`.
    pub(super) news: Mutex<Option<broadcast::Receiver<News>>>,
    /// Set once it asked for the kernel's own events; the daemon counts who holds this.
    pub(super) raw: OnceLock<Arc<()>>,
    /// What the reasoner thinks about now.
    case: std::sync::Mutex<Option<Arc<OpenCase>>>,
}

impl Caller {
    #[must_use]
    pub fn new(operator: Operator, role: Role) -> Self {
        Self { operator, role, news: Mutex::new(None), raw: OnceLock::new(), case: std::sync::Mutex::default() }
    }

    /// What it thinks about.
    pub(super) fn case(&self) -> Result<Arc<OpenCase>, ToolError> {
        self.case.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(ToolError::NoCase)
    }

    /// It thinks about that from now on; one that it had before is left to others.
    pub(super) fn take(&self, case: Option<Arc<OpenCase>>) -> Option<Arc<OpenCase>> {
        std::mem::replace(&mut *self.case.lock().unwrap_or_else(PoisonError::into_inner), case)
    }

    pub(super) fn who(&self) -> String {
        format!("{} (uid {})", self.operator.name, self.operator.uid)
    }
}
