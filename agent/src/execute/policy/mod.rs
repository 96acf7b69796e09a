//! The policy: a proposal goes in, a permit or a refusal comes out, and nothing else makes a permit.
//!
//! In this order: the schema of the action, protected targets, whether it is milder than what stands, forbidden
//! patterns, the allowlist, and last the autonomy level, so that nothing is offered for approval that may not be done.

mod approval;
mod autonomy;
mod check;
mod commands;
mod listed;
mod permit;
mod protected;

use std::{io, path::Path};

pub use approval::{APPROVAL_LIFETIME_MS, Approval, NotApproved};
pub use check::CommandVerdict;
pub use commands::{Commands, NotAllowed};
use listed::Listed;
pub use listed::NotListed;
pub use permit::Permit;
pub use protected::{IsProtected, NotATarget, Protected};

pub(super) use autonomy::Leave;
use autonomy::Levels;
pub(super) use permit::{Considered, Granted};

use super::{
    ActionRequest, Denial,
    action::{Found, Refusal, Target},
    command::{Command, Listing, Way},
    manager::{Manager, ManagerError},
    owned,
    process::{Process, ProcessError},
    value::UnitName,
};
use crate::{live::Autonomy, observe::ProcessId, policies, text::Text};

const COMMANDS: &str = include_str!("../../../../policies/commands.toml");
const PROTECTED: &str = include_str!("../../../../policies/protected.toml");
const AUTONOMY: &str = include_str!("../../../../policies/autonomy.toml");
const LISTED: &str = include_str!("../../../../policies/listed.toml");

/// The rules, proved.
#[derive(Debug)]
pub struct Policy {
    commands: Commands,
    protected: Protected,
    listed: Listed,
    levels: Levels,
}

/// Under which circumstances a request is judged.
#[derive(Debug)]
pub struct Judging<'a> {
    /// Who proposed it: `rules`, a model's name, `operator`.
    pub author: &'a str,
    pub autonomy: Autonomy,
    pub approval: Option<Approval>,
    /// The processes that the decision was about: whoever has a number now must be one of them. None: whoever has it.
    pub expected: Option<&'a [ProcessId]>,
    /// Why it is not done without an operator's word, whatever the level leaves to the agent.
    pub needs_word: Option<String>,
    /// Unix time, ms.
    pub now_ms: i64,
}

impl<'a> Judging<'a> {
    /// No approval and no expectation.
    #[must_use]
    pub fn new(author: &'a str, autonomy: Autonomy, now_ms: i64) -> Self {
        Self { author, autonomy, approval: None, expected: None, needs_word: None, now_ms }
    }
}

/// Why a request is not permitted.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    #[error("`{action}` is not an action of this agent")]
    Unknown { action: Text },
    #[error("the parameters of {action} are not as its schema says: {reason}")]
    Schema { action: &'static str, reason: Text },
    #[error(transparent)]
    Target(NotATarget),
    #[error("pid {pid} is not the process that was judged: it started at {now} ticks, the one judged at {then}")]
    Recycled { pid: u32, then: u64, now: u64 },
    #[error("the decision was not about the process that has pid {pid}")]
    AnotherProcess { pid: u32 },
    #[error(transparent)]
    NotListed(#[from] NotListed),
    #[error("systemd would restart {tied} with {unit}, and that one is not listed under [restart] in listed.toml")]
    Tied { unit: String, tied: Text },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{reason}: `{line}`")]
    Command { line: String, reason: NotAllowed },
    #[error("at level advisor nothing is done, only proposed")]
    Advisor,
    #[error("an operator has to approve it at level {}: {why}", level.name())]
    NeedsApproval { level: Autonomy, why: String },
    #[error(transparent)]
    Approval(#[from] NotApproved),
}

impl Denied {
    /// Whether an operator's approval is all that is missing.
    #[must_use]
    pub const fn needs_approval(&self) -> bool {
        matches!(self, Self::NeedsApproval { .. })
    }

    /// For the record.
    #[must_use]
    pub fn denial(&self) -> Denial {
        Denial { reason: self.to_string(), rule: self.rule() }
    }

    fn rule(&self) -> String {
        match self {
            Self::Unknown { .. } => "schema".to_owned(),
            Self::Schema { action, .. } => format!("schema.{action}"),
            Self::Target(NotATarget::Protected(protected)) => format!("protected.{}", protected.rule),
            Self::Target(NotATarget::Process(_)) => "target.process".to_owned(),
            Self::Target(NotATarget::Cgroup(_)) => "target.cgroup".to_owned(),
            Self::Target(NotATarget::Unit(_)) => "target.unit".to_owned(),
            Self::Recycled { .. } | Self::AnotherProcess { .. } => "target.identity".to_owned(),
            Self::NotListed(not_listed) => format!("listed.{}", not_listed.list),
            Self::Tied { .. } => "listed.restart".to_owned(),
            Self::Refused(_) => "milder".to_owned(),
            Self::Command { reason, .. } => reason.rule(),
            Self::Advisor => "autonomy.advisor".to_owned(),
            Self::NeedsApproval { level, .. } => format!("autonomy.{}", level.name()),
            Self::Approval(_) => "approval".to_owned(),
        }
    }
}

/// Rules that cannot be trusted are not used at all.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("{file} is not as it should be: {reason}")]
    Syntax { file: &'static str, reason: String },
    #[error("pattern `{rule}` of commands.toml does not compile: {reason}")]
    Pattern { rule: String, reason: String },
    #[error("two patterns of commands.toml are called `{rule}`")]
    Twice { rule: String },
    #[error("pattern `{rule}` of commands.toml has no line in `{what}`, so nothing proves it")]
    NoProof { rule: String, what: &'static str },
    #[error("pattern `{rule}` of commands.toml does not {what} `{line}`, as it says")]
    Unproved { rule: String, line: String, what: &'static str },
    #[error("pattern `{rule}` of commands.toml allows `{line}`, but: {reason}")]
    Contradiction { rule: String, line: String, reason: String },
    #[error("`{name}` of protected.toml is no name: a * may only be its last character, after others")]
    Glob { name: String },
    #[error("`{name}` of listed.toml is no name: a * may only be its last character, after others")]
    ListedGlob { name: String },
    #[error("`{path}` of listed.toml may not be truncated: {why}")]
    ListedPath { path: String, why: String },
    #[error("`{unit}` of listed.toml may not be restarted: {why}")]
    ListedUnit { unit: String, why: String },
    #[error("`{name}` of autonomy.toml is not an action of this agent")]
    NoAction { name: String },
    #[error("`{parameter}` of {action} in autonomy.toml is no number of that action")]
    NoNumber { action: String, parameter: String },
}

impl PolicyError {
    fn syntax(file: &'static str, error: &toml::de::Error) -> Self {
        Self::Syntax { file, reason: error.to_string() }
    }
}

impl Policy {
    /// The rules that are built in.
    pub fn embedded() -> Result<Self, PolicyError> {
        Self::parse(COMMANDS, PROTECTED, AUTONOMY, LISTED)
    }

    /// The rules of a directory; a file that is not there leaves the embedded one in force.
    pub fn load(directory: Option<&Path>) -> Result<Self, PolicyError> {
        Self::read(directory, None)
    }

    /// The same for who acts for the agent that has this pid, and only with the one allowing rule of this name.
    pub(super) fn for_actor(directory: Option<&Path>, rule: &str, agent: u32) -> Result<Self, PolicyError> {
        let mut policy = Self::read(directory, Some(rule))?;
        policy.protected.of_agent(agent);
        Ok(policy)
    }

    /// Units that an operator lists among those that may be restarted.
    #[must_use]
    pub fn restartable(&self) -> &[String] {
        self.listed.restartable()
    }

    fn read(directory: Option<&Path>, only: Option<&str>) -> Result<Self, PolicyError> {
        let read = |name, embedded| {
            policies::text(directory, name, embedded)
                .map_err(|(path, source)| PolicyError::Unreadable { path: path.display().to_string(), source })
        };
        let [commands, protected, autonomy, listed] = [
            read("commands.toml", COMMANDS)?,
            read("protected.toml", PROTECTED)?,
            read("autonomy.toml", AUTONOMY)?,
            read("listed.toml", LISTED)?,
        ];
        Self::parse_only(only, &commands, &protected, &autonomy, &listed)
    }

    /// Reads and proves the four files' text.
    pub fn parse(commands: &str, protected: &str, autonomy: &str, listed: &str) -> Result<Self, PolicyError> {
        Self::parse_only(None, commands, protected, autonomy, listed)
    }

    fn parse_only(
        only: Option<&str>,
        commands: &str,
        protected: &str,
        autonomy: &str,
        listed: &str,
    ) -> Result<Self, PolicyError> {
        Ok(Self {
            commands: Commands::parse(commands, only)?,
            protected: Protected::parse(protected)?,
            listed: Listed::parse(listed)?,
            levels: Levels::parse(autonomy)?,
        })
    }

    /// Judges a request. A permit holds the target, pinned, and what will be run and taken back.
    pub fn judge(&self, request: &ActionRequest, judging: Judging<'_>) -> Result<Permit, Denied> {
        let considered = self.consider(request, judging.expected)?;
        let leave = match (self.leave(judging.autonomy, &considered), judging.needs_word) {
            (Leave::ByItself, Some(why)) => Leave::Ask(why),
            (leave, _) => leave,
        };
        let approved_by = match (leave, judging.approval) {
            (Leave::ByItself, None) => None,
            (Leave::ByItself | Leave::Ask(_), Some(approval)) => {
                Some(approval.spend(request, judging.author, judging.now_ms)?)
            }
            (Leave::Ask(why), None) => return Err(Denied::NeedsApproval { level: judging.autonomy, why }),
            (Leave::Never, _) => return Err(Denied::Advisor),
        };
        Ok(Permit::new(considered, judging.author, approved_by))
    }

    /// All that is judged whoever asks: the schema, the target, the plan and its line.
    pub(super) fn consider(
        &self,
        request: &ActionRequest,
        expected: Option<&[ProcessId]>,
    ) -> Result<Considered, Denied> {
        let action =
            request.action().ok_or_else(|| Denied::Unknown { action: Text::from(request.action_type.as_str()) })?;
        let step = action
            .read(&request.params)
            .map_err(|error| Denied::Schema { action: action.name, reason: Text::from(error.to_string().as_str()) })?;
        let found = self.admit(&step.target(), action.listing, expected)?;
        let plan = owned::through_its_owner(step.plan(&found)?)?;
        let line = plan.command.to_string();
        let (judged, rule) = self
            .commands
            .judge(&line, Way::Forward)
            .map_err(|reason| Denied::Command { line: line.clone(), reason })?;
        if judged != plan.command {
            return Err(Denied::Command { line, reason: NotAllowed::Unlisted });
        }
        // What could not be taken back is not done.
        for back in plan.undo.ways_back() {
            self.judge_back(&back).map_err(|reason| Denied::Command { line: back.to_string(), reason })?;
        }
        let rule = rule.to_owned();
        Ok(Considered { request: request.clone(), action, line, rule, plan, found })
    }

    /// Whether this level lets it be done.
    pub(super) fn leave(&self, level: Autonomy, considered: &Considered) -> Leave {
        self.levels.leave(level, considered.action, &considered.request.params)
    }

    /// Whether an undo's command may run: the same gate, by the patterns that put something back.
    pub(super) fn judge_back(&self, command: &Command) -> Result<String, NotAllowed> {
        let line = command.to_string();
        let (judged, rule) = self.commands.judge(&line, Way::Back)?;
        if judged == *command { Ok(rule.to_owned()) } else { Err(NotAllowed::Unlisted) }
    }

    /// What an actor asks once more, of its own copy of the policy and of the node as it finds it: the line, the lists,
    /// and the target. It says who or what the line is for.
    ///
    /// An undo is refused for what is itself protected, and not for who came to live in it since.
    pub(super) fn judge_again(&self, command: &Command, way: Way) -> Result<Found, Denied> {
        let line = command.to_string();
        let denied = |reason| Denied::Command { line: line.clone(), reason };
        let (judged, _) = self.commands.judge(&line, way).map_err(denied)?;
        if judged != *command {
            return Err(denied(NotAllowed::Unlisted));
        }
        let found = match (command.target(), way) {
            (Target::Cgroup(path), Way::Back) => {
                if let Command::Release { to: Some(to), .. } = command
                    && let Ok(to) = to.parse()
                {
                    self.protected.check_path(&to).map_err(|is| Denied::Target(is.into()))?;
                }
                self.protected.check_path(&path).map_err(|is| Denied::Target(is.into()))?;
                Found::Cgroup(path)
            }
            (target, _) => return self.admit(&target, command.listing(), None),
        };
        self.listed.check(command.listing(), &found)?;
        Ok(found)
    }

    /// Number of allow and of forbid patterns.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.commands.counts()
    }

    /// The target, if it may be one. What has to be listed is looked at only when it is: whoever may ask must not learn
    /// of anything else whether it is there.
    fn admit(
        &self,
        target: &Target,
        listing: Option<Listing>,
        expected: Option<&[ProcessId]>,
    ) -> Result<Found, Denied> {
        let found = self.find(target, expected)?;
        self.listed.check(listing, &found)?;
        if let Found::Unit(name) = &found {
            self.check_unit(name)?;
        }
        Ok(found)
    }

    /// Whether a unit and all that systemd restarts with it may be restarted.
    fn check_unit(&self, name: &UnitName) -> Result<(), Denied> {
        let asked = |error: ManagerError| Denied::Target(error.into());
        let mut manager = Manager::open().map_err(asked)?;
        let unit = manager.unit(name.as_str()).map_err(asked)?;
        let dependents = manager.dependents(&unit).map_err(asked)?;
        if let Some(tied) = dependents.iter().find(|tied| !self.listed.may_restart(&tied.name)) {
            return Err(Denied::Tied { unit: unit.name, tied: Text::from(tied.name.as_str()) });
        }
        for unit in dependents.iter().chain([&unit]) {
            self.protected.check_unit(unit).map_err(Denied::Target)?;
        }
        Ok(())
    }

    fn find(&self, target: &Target, expected: Option<&[ProcessId]>) -> Result<Found, Denied> {
        match target {
            Target::Node => Ok(Found::Node),
            Target::File(path) => Ok(Found::File(path.clone())),
            Target::Mount(path) => Ok(Found::Mount(path.clone())),
            Target::Unit(name) => Ok(Found::Unit(name.clone())),
            Target::Interface(name) => Ok(Found::Interface(name.clone())),
            Target::Cgroup(path) => {
                self.protected.check_cgroup(path).map_err(Denied::Target)?;
                Ok(Found::Cgroup(path.clone()))
            }
            Target::Process(pid) => {
                let process: Process = self
                    .protected
                    .check_pid(*pid)
                    .map_err(Denied::Target)?
                    .ok_or(Denied::Target(NotATarget::Process(ProcessError::Gone { pid: *pid })))?;
                let Some(expected) = expected.filter(|expected| !expected.contains(&process.id)) else {
                    return Ok(Found::Process(process));
                };
                match expected.iter().find(|expected| expected.pid == *pid) {
                    Some(then) => {
                        Err(Denied::Recycled { pid: *pid, then: then.start_ticks, now: process.id.start_ticks })
                    }
                    None => Err(Denied::AnotherProcess { pid: *pid }),
                }
            }
        }
    }
}
