//! `policy check`: what the policy says to a line, an action, or rows of either. It looks, and does nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Denied, Judging, NotATarget, Policy};
use crate::{
    execute::{ActionRequest, action::Found, command::Way, process::ProcessError},
    live::Autonomy,
    text::Text,
};

/// The policy's word on one line or action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandVerdict {
    pub allowed: bool,
    pub reason: String,
    pub rule: String,
}

impl Policy {
    /// Judges a command line: forbidden patterns, allowlist, grammar and numbers, and the target where one lives.
    #[must_use]
    pub fn check_command(&self, line: &str) -> CommandVerdict {
        let denied = |reason: String, rule: String| CommandVerdict { allowed: false, reason, rule };
        let (command, rule) = match self.commands.judge(line, Way::Forward) {
            Ok(judged) => judged,
            Err(reason) => return denied(reason.to_string(), reason.rule()),
        };
        let judged = match self.admit(&command.target(), command.listing(), None) {
            // A number that nobody has is judged by the line alone.
            Err(Denied::Target(NotATarget::Process(ProcessError::Gone { .. }))) => {
                self.listed.check(command.listing(), &Found::Node).map_err(Denied::from)
            }
            admitted => admitted.map(drop),
        };
        if let Err(refused) = judged {
            let denial = refused.denial();
            return denied(denial.reason, denial.rule);
        }
        let reason = if command.only_looks() { "it only looks" } else { "it is in the allowlist" };
        CommandVerdict { allowed: true, reason: reason.to_owned(), rule: format!("commands.{rule}") }
    }

    /// Judges a typed action as a reasoner's proposal at this level would be.
    #[must_use]
    pub fn check_action(&self, request: &ActionRequest, autonomy: Autonomy) -> CommandVerdict {
        match self.judge(request, Judging::new("policy check", autonomy, 0)) {
            Ok(permit) => CommandVerdict {
                allowed: true,
                reason: format!("{}: {}", permit.command(), permit.change()),
                rule: format!("commands.{}", permit.rule()),
            },
            Err(denied) => {
                let denial = denied.denial();
                CommandVerdict { allowed: false, reason: denial.reason, rule: denial.rule }
            }
        }
    }

    /// Judges an action given as JSON text: `{"action_type": …, "params": {…}}`.
    #[must_use]
    pub fn check_action_json(&self, text: &str, autonomy: Autonomy) -> CommandVerdict {
        match serde_json::from_str::<ActionRequest>(text) {
            Ok(request) => self.check_action(&request, autonomy),
            Err(error) => unreadable(&error),
        }
    }

    /// Judges one JSON row, with `cmd` or with `action_type` and `params`, and answers a row of `allowed`, `reason` and
    /// `rule` that begins with the row's `id`, if it has one.
    #[must_use]
    pub fn check_row(&self, row: &str, autonomy: Autonomy) -> Value {
        let (id, verdict) = match serde_json::from_str::<Map<String, Value>>(row) {
            Err(error) => (None, unreadable(&error)),
            Ok(fields) => (fields.get("id").cloned(), self.check_fields(&fields, autonomy)),
        };
        let mut answer = Map::new();
        if let Some(id) = id {
            answer.insert("id".to_owned(), id);
        }
        answer.insert("allowed".to_owned(), json!(verdict.allowed));
        answer.insert("reason".to_owned(), json!(verdict.reason));
        answer.insert("rule".to_owned(), json!(verdict.rule));
        Value::Object(answer)
    }

    fn check_fields(&self, fields: &Map<String, Value>, autonomy: Autonomy) -> CommandVerdict {
        let malformed =
            |reason: &str| CommandVerdict { allowed: false, reason: reason.to_owned(), rule: "schema".to_owned() };
        match (fields.get("cmd"), fields.get("action_type")) {
            (Some(_), Some(_)) => malformed("the row has both `cmd` and `action_type`; it is one or the other"),
            (Some(Value::String(line)), None) => self.check_command(line),
            (Some(_), None) => malformed("`cmd` is no text"),
            (None, Some(Value::String(name))) => match fields.get("params") {
                Some(Value::Object(params)) => {
                    self.check_action(&ActionRequest { action_type: name.clone(), params: params.clone() }, autonomy)
                }
                None => self.check_action(&ActionRequest { action_type: name.clone(), params: Map::new() }, autonomy),
                Some(_) => malformed("`params` is no object"),
            },
            (None, Some(_)) => malformed("`action_type` is no text"),
            (None, None) => malformed("the row has neither `cmd` nor `action_type`"),
        }
    }
}

fn unreadable(error: &serde_json::Error) -> CommandVerdict {
    let reason = Text::from(error.to_string().as_str());
    CommandVerdict {
        allowed: false,
        reason: format!("the JSON is not as it should be: {reason}"),
        rule: "schema".to_owned(),
    }
}
