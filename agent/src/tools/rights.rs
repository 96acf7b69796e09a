//! `tools.toml`: single tools that an operator keeps from a role. It narrows what a tool's own audience allows.

use std::{io, path::Path};

use serde::Deserialize;

use super::{Role, TOOLS, Tool as _, get_status::GetStatus, pause::Pause, undo_action::UndoAction, undo_all::UndoAll};
use crate::policies;

const EMBEDDED: &str = include_str!("../../../policies/tools.toml");
const FILE: &str = "tools.toml";

/// What no file takes from an admin: to see how the agent is, to hold it, and to take back what it did.
const KEPT: [&str; 4] = [GetStatus::NAME, Pause::NAME, UndoAction::NAME, UndoAll::NAME];

/// What each role may not call, beside what is not for it anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rights {
    model: Rule,
    viewer: Rule,
    admin: Rule,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rule {
    /// None: all that are for the role.
    allow: Option<Vec<String>>,
    block: Vec<String>,
}

/// Rights that cannot be trusted are not used at all.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("tools.toml is not as it should be: {reason}")]
    Syntax { reason: String },
    #[error("`{role}` of tools.toml names `{tool}`, which is no tool; there are {known}")]
    Unknown { role: &'static str, tool: String, known: String },
    #[error("`{role}.allow` of tools.toml names `{tool}`, which is not for that role; this file only narrows")]
    Wider { role: &'static str, tool: String },
    #[error(
        "tools.toml keeps `{tool}` from admins; who answers for the node must be able to look, to hold and to undo"
    )]
    Kept { tool: &'static str },
}

impl Rights {
    /// The rights of a directory; without the file the embedded ones are in force.
    ///
    /// # Errors
    /// When the file cannot be read or is no TOML, or names what is no tool, not for the role, or not to be taken.
    pub fn load(directory: Option<&Path>) -> Result<Self, RightsError> {
        let text = policies::text(directory, FILE, EMBEDDED)
            .map_err(|(path, source)| RightsError::Unreadable { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// As [`Rights::load`].
    pub fn parse(text: &str) -> Result<Self, RightsError> {
        let rights: Self = toml::from_str(text).map_err(|error| RightsError::Syntax { reason: error.to_string() })?;
        for (role, rule) in [(Role::Model, &rights.model), (Role::Viewer, &rights.viewer), (Role::Admin, &rights.admin)]
        {
            for name in rule.allow.iter().flatten().chain(&rule.block) {
                if !TOOLS.iter().any(|tool| tool.name == name) {
                    let known = TOOLS.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ");
                    return Err(RightsError::Unknown { role: role.name(), tool: name.clone(), known });
                }
            }
            let is_for = |name: &String| TOOLS.iter().any(|tool| tool.name == name && tool.audience.has(role));
            if let Some(tool) = rule.allow.iter().flatten().find(|name| !is_for(name)) {
                return Err(RightsError::Wider { role: role.name(), tool: tool.clone() });
            }
        }
        match KEPT.into_iter().find(|tool| !rights.admin.has(tool)) {
            Some(tool) => Err(RightsError::Kept { tool }),
            None => Ok(rights),
        }
    }

    /// Whether nothing here keeps the tool from the role.
    #[must_use]
    pub fn leave(&self, role: Role, tool: &str) -> bool {
        match role {
            Role::Nobody => true,
            Role::Model => self.model.has(tool),
            Role::Viewer => self.viewer.has(tool),
            Role::Admin => self.admin.has(tool),
        }
    }
}

impl Rule {
    fn has(&self, tool: &str) -> bool {
        let is = |name: &String| name == tool;
        self.allow.as_ref().is_none_or(|allow| allow.iter().any(is)) && !self.block.iter().any(is)
    }
}
