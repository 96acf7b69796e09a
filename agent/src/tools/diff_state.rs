//! `diff_state`: what changed just before something went wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError, ask,
    params::{Bounded, Prose},
};
use crate::{
    clock::now_ms,
    live::Daemon,
    observe::changes::{ComingsAndGoings, Setting},
    store::ActionFilter,
};

/// Most rows of comings and goings, the rarest.
const ROWS: usize = 100;
/// What is seen of a change, a tick or two after it was made, ms.
const SEEN_AFTER_MS: i64 = 10_000;

#[derive(Debug)]
pub struct DiffState;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// What came before this incident, by its id or the beginning of it; without one, before now.
    pub incident: Option<Prose<64>>,
    /// How far back from there, minutes.
    pub minutes: Bounded<1, 60>,
}

impl Default for Params {
    fn default() -> Self {
        Self { incident: None, minutes: Bounded::clamped(10) }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Unix time, ms.
    pub from_ms: i64,
    pub to_ms: i64,
    /// Limits, settings and parts of the machine that are not what they were, oldest first.
    pub settings: Vec<Setting>,
    /// What this agent did in that time, or somebody by it.
    pub actions: Vec<Action>,
    /// Processes by name and cgroup that began or ended, minute by minute; of many rows the rarest.
    pub processes: Vec<ComingsAndGoings>,
    /// What this does not know.
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    pub action: i64,
    /// Unix time, ms.
    pub at_ms: i64,
    pub what: String,
    pub command: String,
}

impl Tool for DiffState {
    const NAME: &'static str = "diff_state";
    const DESCRIPTION: &'static str = "What changed in the minutes before an incident (or before now): processes that began \
        or ended, cgroups made and removed, limits, quotas and kernel settings set anew, interfaces, mounts, CPUs, and what \
        this agent did. An hour is kept.";
    const TIER: Tier = Tier::Analyse;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let to_ms = match params.incident {
            None => now_ms(),
            Some(incident) => ask::incident(daemon, incident).await?.opened_ms + SEEN_AFTER_MS,
        };
        let from_ms = to_ms - params.minutes.get() * 60_000;
        let filter = ActionFilter { since_ms: Some(from_ms), limit: Some(200), ..ActionFilter::default() };
        let done = ask::read(daemon, move |reader| reader.actions(&filter)).await?;
        let mut unknown = done.unread;
        let actions = done.rows.into_iter().rev().filter(|row| row.intent.made_at_ms <= to_ms).map(|row| Action {
            action: row.id,
            at_ms: row.intent.made_at_ms,
            what: row.intent.action.to_string(),
            command: row.intent.command,
        });
        let actions = actions.collect();
        let live = daemon.look();
        let changes = live.window.changes();
        let mut processes = changes.comings_and_goings(from_ms, to_ms);
        if processes.len() > ROWS {
            unknown.push(format!("{} rows of processes that come and go more often", processes.len() - ROWS));
            processes.sort_by_key(|row| row.started + row.ended);
            processes.truncate(ROWS);
            processes.sort_by_key(|row| row.minute_ms);
        }
        if live.status.started_ms > from_ms {
            unknown.push("what changed before this agent began to watch".to_owned());
        }
        unknown.push("processes that came and went between two looks, a second apart".to_owned());
        Ok(Answer {
            from_ms,
            to_ms,
            settings: changes.settings(from_ms, to_ms).cloned().collect(),
            actions,
            processes,
            unknown,
        })
    }
}
