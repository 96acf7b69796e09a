//! `get_pressure`: who stands still for want of what, on the node and by cgroup.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, params::Bounded};
use crate::{
    live::Daemon,
    observe::{
        sample::{NodePressure, Psi},
        window::CgroupTick,
    },
    text::Text,
};

#[derive(Debug)]
pub struct GetPressure;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Most cgroups, those that stand still most first.
    pub most: Bounded<1, 50>,
}

impl Default for Params {
    fn default() -> Self {
        Self { most: Bounded::clamped(10) }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Unix time, ms.
    pub at_ms: i64,
    /// None where this kernel tells no pressure.
    pub node: Option<OfNode>,
    /// Those that stood still since the tick before.
    pub cgroups: Vec<OfCgroup>,
}

/// Share of time that some task (all tasks: `full`) stood still, percent, over the last 10 s and 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfNode {
    pub cpu: Shares,
    pub memory: Shares,
    pub io: Shares,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    pub some_10s_percent: f64,
    pub some_60s_percent: f64,
    pub full_10s_percent: f64,
    pub full_60s_percent: f64,
}

/// Share of the time since the tick before that some task of it stood still, percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfCgroup {
    pub path: Text,
    pub cpu_percent: Option<f64>,
    pub memory_percent: Option<f64>,
    pub io_percent: Option<f64>,
    /// Share of the periods in which its own quota stopped it, percent.
    pub throttled_percent: Option<f64>,
}

impl OfCgroup {
    fn of(cgroup: &CgroupTick) -> Self {
        Self {
            path: cgroup.sample.path.clone(),
            cpu_percent: cgroup.cpu_stall_percent,
            memory_percent: cgroup.memory_stall_percent,
            io_percent: cgroup.io_stall_percent,
            throttled_percent: cgroup.throttled_percent,
        }
    }

    fn worst(&self) -> f64 {
        [self.cpu_percent, self.memory_percent, self.io_percent].into_iter().flatten().fold(0.0, f64::max)
    }
}

impl Tool for GetPressure {
    const NAME: &'static str = "get_pressure";
    const DESCRIPTION: &'static str = "Pressure stall information: the share of time that tasks stood still for want of CPU, \
        memory or I/O, of the node over 10 s and 60 s and of the worst cgroups in the last tick.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let live = daemon.look();
        let tick = live.window.now().ok_or(ToolError::Early)?;
        let mut cgroups: Vec<OfCgroup> = tick.cgroups.iter().map(OfCgroup::of).collect();
        cgroups.retain(|cgroup| cgroup.worst() > 0.0 || cgroup.throttled_percent.is_some_and(|share| share > 0.0));
        cgroups.sort_by(|a, b| b.worst().total_cmp(&a.worst()).then_with(|| a.path.cmp(&b.path)));
        cgroups.truncate(params.most.count());
        Ok(Answer { at_ms: tick.wall_ms, node: tick.node.pressure.map(of_node), cgroups })
    }
}

fn of_node(NodePressure { cpu, memory, io }: NodePressure) -> OfNode {
    let shares = |psi: Psi| Shares {
        some_10s_percent: psi.some_avg10_percent,
        some_60s_percent: psi.some_avg60_percent,
        full_10s_percent: psi.full_avg10_percent,
        full_60s_percent: psi.full_avg60_percent,
    };
    OfNode { cpu: shares(cpu), memory: shares(memory), io: shares(io) }
}
