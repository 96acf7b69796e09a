//! Tools: all that an operator, a model or any other MCP client can see and do, one file a tool.
//!
//! The command line is a client like any other, and so is the reasoner. A call is judged once, in [`call`]: by the
//! caller's role, by what an operator keeps from that role, by the autonomy level, and by strict parameters; only then does
//! the tool run.

pub mod ask;
pub mod caller;
pub mod params;
mod rights;
pub mod seen;

pub mod approve_proposal;
pub mod ask_model;
pub mod check_policy;
pub mod deny_proposal;
pub mod describe_cgroup;
pub mod describe_process;
pub mod diff_state;
pub mod draft_recommendation;
pub mod dry_run;
pub mod end_case;
pub mod execute_remediation;
pub mod find_similar_incidents;
pub mod follow;
pub mod get_incident;
pub mod get_logs;
pub mod get_model_metrics;
pub mod get_pressure;
pub mod get_status;
pub mod give_opinion;
pub mod list_actions;
pub mod list_incidents;
pub mod list_proposals;
pub mod list_traces;
pub mod may_ask;
pub mod pause;
pub mod propose_action;
pub mod query_baseline;
pub mod query_case;
pub mod query_signals;
pub mod query_trace;
pub mod record_turn;
pub mod resume;
pub mod set_autonomy;
pub mod set_model;
pub mod simulate_action;
pub mod simulate_scenario;
pub mod summarize_trends;
pub mod take_case;
pub mod tell_progress;
pub mod top_processes;
pub mod undo_action;
pub mod undo_all;
pub mod verify_claim;

use std::{fmt, future::Future, pin::Pin};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use caller::{Audience, Caller, Role};
pub use rights::{Rights, RightsError};

use crate::{
    live::{Autonomy, Daemon},
    mind::{names::Names, veil::Age},
    text::Text,
};

/// What this program shows and does for whoever asks, mildest first.
pub static TOOLS: &[Entry] = &[
    entry::<get_status::GetStatus>(),
    entry::<query_signals::QuerySignals>(),
    entry::<list_incidents::ListIncidents>(),
    entry::<get_incident::GetIncident>(),
    entry::<list_traces::ListTraces>(),
    entry::<query_trace::QueryTrace>(),
    entry::<query_case::QueryCase>(),
    entry::<get_model_metrics::GetModelMetrics>(),
    entry::<query_baseline::QueryBaseline>(),
    entry::<list_actions::ListActions>(),
    entry::<list_proposals::ListProposals>(),
    entry::<top_processes::TopProcesses>(),
    entry::<describe_process::DescribeProcess>(),
    entry::<describe_cgroup::DescribeCgroup>(),
    entry::<get_pressure::GetPressure>(),
    entry::<get_logs::GetLogs>(),
    entry::<follow::Follow>(),
    entry::<summarize_trends::SummarizeTrends>(),
    entry::<simulate_scenario::SimulateScenario>(),
    entry::<simulate_action::SimulateAction>(),
    entry::<find_similar_incidents::FindSimilarIncidents>(),
    entry::<diff_state::DiffState>(),
    entry::<verify_claim::VerifyClaim>(),
    entry::<propose_action::ProposeAction>(),
    entry::<check_policy::CheckPolicy>(),
    entry::<ask_model::AskModel>(),
    entry::<give_opinion::GiveOpinion>(),
    entry::<draft_recommendation::DraftRecommendation>(),
    entry::<dry_run::DryRun>(),
    entry::<deny_proposal::DenyProposal>(),
    entry::<undo_action::UndoAction>(),
    entry::<undo_all::UndoAll>(),
    entry::<pause::Pause>(),
    entry::<resume::Resume>(),
    entry::<set_autonomy::SetAutonomy>(),
    entry::<set_model::SetModel>(),
    entry::<approve_proposal::ApproveProposal>(),
    entry::<execute_remediation::ExecuteRemediation>(),
    // The reasoner's own; no model is offered them.
    entry::<take_case::TakeCase>(),
    entry::<may_ask::MayAsk>(),
    entry::<record_turn::RecordTurn>(),
    entry::<tell_progress::TellProgress>(),
    entry::<end_case::EndCase>(),
];

/// One tool. Its parameters and its answer are types, so that a client written in Rust cannot misread them.
pub trait Tool {
    const NAME: &'static str;
    /// What it is for, to a person or a model that must choose.
    const DESCRIPTION: &'static str;
    const TIER: Tier;
    /// Who may call it.
    const AUDIENCE: Audience;
    /// The level that the agent must be at, at least.
    const LEVEL: Autonomy = Autonomy::Advisor;
    type Params: Serialize + DeserializeOwned + JsonSchema + Send;
    type Answer: Serialize + DeserializeOwned;

    /// Why what the answer should have beside the rest cannot be read back from the database, a sentence each.
    fn unread(_answer: &Self::Answer) -> &[String] {
        &[]
    }

    fn call(
        daemon: &Daemon,
        caller: &Caller,
        params: Self::Params,
    ) -> impl Future<Output = Result<Self::Answer, ToolError>> + Send;
}

/// How far a tool reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Observe,
    Analyse,
    Recommend,
    Execute,
}

impl Tier {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Analyse => "analyse",
            Self::Recommend => "recommend",
            Self::Execute => "execute",
        }
    }
}

/// A tool as the list knows it.
#[derive(Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub description: &'static str,
    pub tier: Tier,
    pub audience: Audience,
    pub level: Autonomy,
    pub schema: fn() -> Map<String, Value>,
    call: for<'a> fn(&'a Daemon, &'a Caller, Map<String, Value>) -> Calling<'a>,
}

type Calling<'a> = Pin<Box<dyn Future<Output = Result<Value, ToolError>> + Send + 'a>>;

/// Why a call was not answered, in words that a model or a person can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    #[error("`{name}` is not a tool of this agent; it has {known}", name = Text::from(.name.as_str()))]
    UnknownTool { name: String, known: String },
    #[error("{who} may not use {tool}: {needs}")]
    Role { who: String, tool: &'static str, needs: &'static str },
    #[error("{who} may not use {tool}: tools.toml keeps it from the role `{role}`")]
    Blocked { who: String, tool: &'static str, role: &'static str },
    #[error("{tool} does nothing at level {level}: it needs {needs} or above (`kernelsight autonomy {needs}`)")]
    Level { tool: &'static str, level: &'static str, needs: &'static str },
    #[error("{tool}: {problem}")]
    Params { tool: &'static str, problem: String },
    #[error("there is no case to think about; take one first")]
    NoCase,
    /// Any of the others, as a model may read it.
    #[error("{said}")]
    Veiled { kind: &'static str, said: String },
    #[error("the agent has just begun to watch, and has seen nothing yet; ask again in a second")]
    Early,
    #[error("{what} is not there; {hint}")]
    NotFound { what: String, hint: &'static str },
    #[error("refused: {reason}")]
    Refused { reason: String },
    #[error("the agent's loop did not answer within {seconds} s; it may be busy: look at `kernelsight status`")]
    Late { seconds: u64 },
    #[error("the agent is stopping and takes no more orders")]
    Stopping,
    #[error("the database could not be read: {problem}")]
    Store { problem: String },
    #[error("{most} requests of this client are being worked on already; wait for an answer before asking more")]
    Crowded { most: usize },
    #[error("{tool} failed inside the agent: {problem}")]
    Internal { tool: &'static str, problem: String },
}

impl ToolError {
    /// The error's kind, for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UnknownTool { .. } => "unknown_tool",
            Self::Role { .. } => "role",
            Self::Blocked { .. } => "blocked",
            Self::Level { .. } => "level",
            Self::Params { .. } => "params",
            Self::NoCase => "no_case",
            Self::Veiled { kind, .. } => kind,
            Self::Early => "early",
            Self::NotFound { .. } => "not_found",
            Self::Refused { .. } => "refused",
            Self::Late { .. } => "late",
            Self::Stopping => "stopping",
            Self::Store { .. } => "store",
            Self::Crowded { .. } => "crowded",
            Self::Internal { .. } => "internal",
        }
    }
}

/// Judges one call and, if nothing speaks against it, makes it.
///
/// # Errors
/// The first of: no such tool, it is not for that role, an operator keeps it from the role, the level is too low, the
/// parameters are not exactly right; or what the tool itself says.
pub async fn call(
    daemon: &Daemon,
    caller: &Caller,
    name: &str,
    params: Map<String, Value>,
) -> Result<Value, ToolError> {
    let tool = TOOLS.iter().find(|tool| tool.name == name).ok_or_else(|| ToolError::UnknownTool {
        name: name.to_owned(),
        known: TOOLS.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", "),
    })?;
    let level = daemon.look().status.autonomy;
    permit(tool, caller, &daemon.rights, level)?;
    if caller.role != Role::Model || tool.audience == Audience::Reasoner {
        return (tool.call)(daemon, caller, params).await;
    }
    // What a model asks and is told goes through the veil of its case.
    let case = caller.case()?;
    let answered = (tool.call)(daemon, caller, case.uncover(&params)).await;
    case.count(|tally| tally.called(answered.is_err()));
    let around = Names::of(&daemon.look().window);
    let age = if take_case::OF_THE_PAST.contains(&name) { Age::Past } else { Age::Now };
    match answered {
        Ok(answer) => Ok(case.cover(&answer, &around, age)),
        Err(error) => Err(ToolError::Veiled { kind: error.kind(), said: case.cover_text(&error.to_string(), &around) }),
    }
}

/// The tools that somebody of that role may call, at one level or another.
pub fn of_role(rights: &Rights, role: Role) -> impl Iterator<Item = &'static Entry> {
    TOOLS.iter().filter(move |tool| tool.audience.has(role) && rights.leave(role, tool.name))
}

fn permit(tool: &Entry, caller: &Caller, rights: &Rights, level: Autonomy) -> Result<(), ToolError> {
    if !tool.audience.has(caller.role) {
        return Err(ToolError::Role { who: caller.who(), tool: tool.name, needs: tool.audience.needs() });
    }
    if !rights.leave(caller.role, tool.name) {
        return Err(ToolError::Blocked { who: caller.who(), tool: tool.name, role: caller.role.name() });
    }
    if level < tool.level {
        return Err(ToolError::Level { tool: tool.name, level: level.name(), needs: tool.level.name() });
    }
    Ok(())
}

const fn entry<T: Tool>() -> Entry {
    Entry {
        name: T::NAME,
        description: T::DESCRIPTION,
        tier: T::TIER,
        audience: T::AUDIENCE,
        level: T::LEVEL,
        schema: schema::<T>,
        call: |daemon, caller, given| {
            Box::pin(async move {
                let params = params::read::<T>(given)?;
                let answer = T::call(daemon, caller, params).await?;
                serde_json::to_value(answer)
                    .map_err(|error| ToolError::Internal { tool: T::NAME, problem: error.to_string() })
            })
        },
    }
}

/// The JSON Schema of the parameters, with nothing to look up elsewhere.
fn schema<T: Tool>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T::Params>().to_value();
    let mut schema = schema.as_object_mut().map(std::mem::take).unwrap_or_default();
    schema.remove("title");
    schema.entry("type").or_insert_with(|| "object".into());
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    schema
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("tier", &self.tier).finish_non_exhaustive()
    }
}
