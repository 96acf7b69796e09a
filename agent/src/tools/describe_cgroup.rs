//! `describe_cgroup`: all that is known of one cgroup now, and who lives in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError,
    params::Prose,
    seen::{SeenCgroup, SeenProcess, SeenSignal},
};
use crate::{
    explain::{MemoryLimit, facts},
    live::Daemon,
    observe::{Entity, Signal, entity::is_within, window::ProcessTick},
    text::Text,
};

/// Most processes that are told, the busiest first.
const PROCESSES: usize = 16;
/// Most cgroups below it that are named.
const CHILDREN: usize = 32;

#[derive(Debug)]
pub struct DescribeCgroup;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Its path below the hierarchy's mount, such as `/system.slice/web.service`.
    pub cgroup: Prose<4096>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Unix time, ms.
    pub at_ms: i64,
    pub cgroup: SeenCgroup,
    /// The memory limit that is met first, its own or an ancestor's.
    pub limit: Option<MemoryLimit>,
    /// In it and below it, those that use the CPU most first, then the largest.
    pub processes: Vec<SeenProcess>,
    pub processes_in_all: usize,
    /// Directly below it.
    pub children: Vec<Text>,
    /// What is abnormal about it now, or about who lives in it.
    pub signals: Vec<SeenSignal>,
}

impl Tool for DescribeCgroup {
    const NAME: &'static str = "describe_cgroup";
    const DESCRIPTION: &'static str = "All that is known of one cgroup now: usage, limits, pressure, the memory limit that \
        is met first, its busiest processes, the cgroups below it, and what is abnormal about any of them.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let path = params.cgroup.into_string();
        let live = daemon.look();
        let window = &live.window;
        let tick = window.now().ok_or(ToolError::Early)?;
        let cgroup = window.cgroup(&path).ok_or_else(|| ToolError::NotFound {
            what: format!("cgroup {}", Text::from(path.as_str())),
            hint: "give its path below the hierarchy's mount, as top_processes and signals tell it",
        })?;
        let is_inside = |process: &&ProcessTick| is_within(process.sample.cgroup.as_str(), &path);
        let mut inside: Vec<&ProcessTick> = tick.processes.iter().filter(is_inside).collect();
        let processes_in_all = inside.len();
        inside.sort_by(|a, b| {
            let cpu = |process: &ProcessTick| process.cpu_percent.unwrap_or(0.0);
            cpu(b).total_cmp(&cpu(a)).then(b.sample.rss_bytes.cmp(&a.sample.rss_bytes))
        });
        inside.truncate(PROCESSES);
        let below = tick.cgroups.iter().map(|cgroup| &cgroup.sample.path);
        let is_child = |child: &&Text| {
            let rest = child.as_str().strip_prefix(path.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        };
        let is_its = |signal: &&Signal| match &signal.entity {
            Entity::Cgroup { path: of } => is_within(of.as_str(), &path),
            Entity::Process { id, .. } => window.process(*id).is_some_and(|process| is_inside(&process)),
            _ => false,
        };
        Ok(Answer {
            at_ms: tick.wall_ms,
            cgroup: SeenCgroup::of(cgroup),
            limit: facts::tightest_limit(&path, window),
            processes: inside.into_iter().map(|process| SeenProcess::of(process, tick)).collect(),
            processes_in_all,
            children: below.filter(is_child).take(CHILDREN).cloned().collect(),
            signals: live.signals.iter().filter(is_its).map(SeenSignal::of).collect(),
        })
    }
}
