//! What each autonomy level may do without an operator.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::PolicyError;
use crate::{
    execute::action::{self, ActionType},
    live::Autonomy,
};

/// `autonomy.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Levels {
    guardian: BTreeMap<String, BTreeMap<String, Limit>>,
}

/// The part of a parameter's range that a level may use by itself.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    min: Option<i64>,
    max: Option<i64>,
}

/// What a level says to an action that the policy permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::execute) enum Leave {
    ByItself,
    /// An operator has to approve, and why.
    Ask(String),
    Never,
}

impl Levels {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let levels: Self = toml::from_str(text).map_err(|error| PolicyError::syntax("autonomy.toml", &error))?;
        for (name, limits) in &levels.guardian {
            let action = action::find(name).ok_or_else(|| PolicyError::NoAction { name: name.clone() })?;
            for parameter in limits.keys() {
                if schema_of(action, parameter).and_then(|schema| schema.get("minimum").cloned()).is_none() {
                    return Err(PolicyError::NoNumber { action: name.clone(), parameter: parameter.clone() });
                }
            }
        }
        Ok(levels)
    }

    pub(super) fn leave(&self, level: Autonomy, action: &ActionType, parameters: &Map<String, Value>) -> Leave {
        if !action.has_effect() {
            return Leave::ByItself;
        }
        match level {
            Autonomy::Advisor => Leave::Never,
            Autonomy::Copilot => Leave::Ask("an operator approves every action at this level".to_owned()),
            Autonomy::Guardian => self.within(action, parameters),
            Autonomy::Agent => Leave::ByItself,
        }
    }

    fn within(&self, action: &ActionType, parameters: &Map<String, Value>) -> Leave {
        let Some(limits) = self.guardian.get(action.name) else {
            return Leave::Ask(format!("{} is not among the actions of this level", action.name));
        };
        for (parameter, limit) in limits {
            let default = || schema_of(action, parameter)?.get("default").cloned();
            let value = parameters.get(parameter).cloned().or_else(default).and_then(|value| value.as_i64());
            let (min, max) = (limit.min.unwrap_or(i64::MIN), limit.max.unwrap_or(i64::MAX));
            if !value.is_some_and(|value| (min..=max).contains(&value)) {
                return Leave::Ask(match (limit.min, limit.max) {
                    (Some(min), None) => format!("{parameter} is below {min}, this level's least"),
                    (None, Some(max)) => format!("{parameter} is above {max}, this level's most"),
                    _ => format!("{parameter} is not from {min} to {max}, as this level asks"),
                });
            }
        }
        Leave::ByItself
    }
}

fn schema_of(action: &ActionType, parameter: &str) -> Option<Value> {
    action.entry().parameters.get("properties")?.get(parameter).cloned()
}
