//! Who calls, and what they may.

use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, broadcast};

use crate::live::{News, Operator};

/// What somebody may do at the door. Ordered: `Nobody < Viewer < Admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Could connect, may see nothing.
    Nobody,
    /// Root and the group `kernelsight`: may look.
    Viewer,
    /// Root and the group `kernelsight-admin`: may approve, undo, execute and change the level.
    Admin,
}

impl Role {
    /// How somebody comes to have this role.
    #[must_use]
    pub const fn needs(self) -> &'static str {
        match self {
            Self::Nobody => "anybody may",
            Self::Viewer => "only root and the groups kernelsight and kernelsight-admin may look",
            Self::Admin => {
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
}

impl Caller {
    #[must_use]
    pub fn new(operator: Operator, role: Role) -> Self {
        Self { operator, role, news: Mutex::new(None), raw: OnceLock::new() }
    }

    pub(super) fn who(&self) -> String {
        format!("{} (uid {})", self.operator.name, self.operator.uid)
    }
}
