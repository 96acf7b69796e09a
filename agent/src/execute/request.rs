//! What somebody asks for: an action, or several that belong together. Not yet checked in any way.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::action::{self, ActionType};
use crate::text::Text;

/// An action by name with parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    pub action_type: String,
    #[serde(default)]
    pub params: Map<String, Value>,
}

impl ActionRequest {
    /// The action that has this name.
    #[must_use]
    pub fn action(&self) -> Option<&'static ActionType> {
        action::find(&self.action_type)
    }

    /// Whether its parameters are those that the action takes, strictly.
    ///
    /// # Errors
    /// What is wrong, in words for whoever asked.
    pub fn checked(&self) -> Result<(), String> {
        let action =
            self.action().ok_or_else(|| format!("there is no action {}", Text::from(self.action_type.as_str())))?;
        action.read(&self.params).map(drop).map_err(|error| Text::from(error.to_string().as_str()).to_string())
    }

    /// The process that it names.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.params.get("pid")?.as_u64()?.try_into().ok()
    }

    /// The cgroup that it names.
    #[must_use]
    pub fn cgroup(&self) -> Option<&str> {
        self.params.get("cgroup")?.as_str()
    }

    /// The unit of systemd that it names.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.params.get("unit")?.as_str()
    }

    /// A parameter that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.params.get(name)?.as_f64()
    }
}

/// `freeze_cgroup(cgroup "/x")`
impl fmt::Display for ActionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<String> = self.params.iter().map(|(name, value)| format!("{name} {value}")).collect();
        write!(f, "{}({})", self.action_type, params.join(", "))
    }
}

/// Actions of one type that are carried out and verified together, or not at all: one, or the same for each of several
/// processes. 1 to [`Actions::MOST`], no two for the same target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<ActionRequest>", into = "Vec<ActionRequest>")]
pub struct Actions {
    first: Box<ActionRequest>,
    others: Vec<ActionRequest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionsError {
    #[error("there is no action; one at least is needed")]
    None,
    #[error("{count} actions are more than the {} that may be carried out together", Actions::MOST)]
    TooMany { count: usize },
    #[error("actions that are carried out together are of one type, each for another target")]
    Mixed,
}

impl Actions {
    /// Actions in one decision.
    pub const MOST: usize = 16;

    #[must_use]
    pub fn action_type(&self) -> &str {
        &self.first.action_type
    }

    #[must_use]
    pub fn first(&self) -> &ActionRequest {
        &self.first
    }

    pub fn iter(&self) -> impl Iterator<Item = &ActionRequest> {
        std::iter::once(self.first()).chain(&self.others)
    }

    /// The same type for the same targets; other numbers do not make it another course.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let aims_at = |one: &Self, target| one.iter().any(|action| target_of(action) == target);
        self.action_type() == other.action_type()
            && self.others.len() == other.others.len()
            && self.iter().all(|action| aims_at(other, target_of(action)))
    }
}

fn target_of(action: &ActionRequest) -> (Option<u32>, Option<&str>) {
    (action.pid(), action.cgroup())
}

impl From<ActionRequest> for Actions {
    fn from(first: ActionRequest) -> Self {
        Self { first: Box::new(first), others: Vec::new() }
    }
}

impl TryFrom<Vec<ActionRequest>> for Actions {
    type Error = ActionsError;

    fn try_from(actions: Vec<ActionRequest>) -> Result<Self, ActionsError> {
        let count = actions.len();
        if count > Self::MOST {
            return Err(ActionsError::TooMany { count });
        }
        let mut others = actions;
        if others.is_empty() {
            return Err(ActionsError::None);
        }
        let first = others.remove(0);
        let all = || std::iter::once(&first).chain(&others);
        let mixed = all().enumerate().any(|(place, action)| {
            action.action_type != first.action_type
                || all().take(place).any(|before| target_of(before) == target_of(action))
        });
        if mixed { Err(ActionsError::Mixed) } else { Ok(Self { first: Box::new(first), others }) }
    }
}

impl From<Actions> for Vec<ActionRequest> {
    fn from(Actions { first, others }: Actions) -> Self {
        std::iter::once(*first).chain(others).collect()
    }
}

/// `lower_process_priority(pid 41, priority 10), also for pid 42, 43`
impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        let pids: Vec<String> = self.others.iter().filter_map(ActionRequest::pid).map(|pid| pid.to_string()).collect();
        if pids.is_empty() { Ok(()) } else { write!(f, ", also for pid {}", pids.join(", ")) }
    }
}
