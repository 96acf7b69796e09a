//! `describe_process`: all that is known of one process now.

use std::{iter::successors, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{
    Audience, Caller, Tier, Tool, ToolError,
    params::Bounded,
    seen::{SeenCgroup, SeenProcess, SeenSignal},
};
use crate::{
    explain::{MemoryLimit, facts},
    live::Daemon,
    observe::{
        ProcessId,
        scrape::processes,
        syscall_name::syscall_name,
        window::{ProcessTick, Tick},
    },
    redact,
    text::Text,
};

/// Most system calls that are told, those that it makes most.
const CALLS: usize = 8;
/// Most children that are named.
const CHILDREN: usize = 16;
/// Arguments that are read at once, and how long one waits for them.
static ASKING: Semaphore = Semaphore::const_new(2);
const ARGUMENTS_WITHIN: Duration = Duration::from_millis(500);
/// A longer line of ancestors is no line.
const ANCESTORS: usize = 32;

#[derive(Debug)]
pub struct DescribeProcess;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub pid: Bounded<1, 4_194_304>,
    /// Its start time, where it is known: a pid may be another's by now.
    pub start_ticks: Option<Bounded<0, { i64::MAX }>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Unix time, ms.
    pub at_ms: i64,
    pub process: SeenProcess,
    /// What it was started with: names of options and small numbers as they are, all else by its length. None where it
    /// cannot be read.
    pub arguments: Option<String>,
    /// From its parent to the first process.
    pub ancestors: Vec<Kin>,
    /// At most 16; their number is `children` of the process.
    pub children: Vec<Kin>,
    pub cgroup: Option<SeenCgroup>,
    /// The memory limit that it would meet first, of its cgroup or an ancestor.
    pub limit: Option<MemoryLimit>,
    /// Of the last moments in which system calls were watched: name and calls a second, the most first.
    pub system_calls: Vec<(String, f64)>,
    /// What is abnormal about it now.
    pub signals: Vec<SeenSignal>,
}

/// A relative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kin {
    #[serde(flatten)]
    pub id: ProcessId,
    pub name: Text,
}

impl Tool for DescribeProcess {
    const NAME: &'static str = "describe_process";
    const DESCRIPTION: &'static str = "All that is known of one process now: its numbers, what it was started with (values \
        hidden), parents and children, its cgroup and the memory limit it would meet, the system calls it makes most, and \
        what is abnormal about it.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let mut answer = look(daemon, params)?;
        answer.arguments = arguments(answer.process.id).await;
        Ok(answer)
    }
}

/// The kernel takes them from the process's own memory, and whoever asks for them waits with those who wait for it: on a
/// node that thrashes, for ever. So few ask at once, and nobody waits long.
async fn arguments(id: ProcessId) -> Option<String> {
    let asking = ASKING.try_acquire().ok()?;
    let read = spawn_blocking(move || {
        let read = processes::arguments(id);
        drop(asking);
        read
    });
    let arguments = timeout(ARGUMENTS_WITHIN, read).await.ok()?.ok()??;
    Some(redact::arguments(&arguments))
}

fn look(daemon: &Daemon, params: Params) -> Result<Answer, ToolError> {
    let live = daemon.look();
    let window = &live.window;
    let tick = window.now().ok_or(ToolError::Early)?;
    let pid = u32::try_from(params.pid.get()).unwrap_or_default();
    let start = params.start_ticks.map(|ticks| ticks.get().unsigned_abs());
    let is_it = |process: &&ProcessTick| start.is_none_or(|start| process.sample.id.start_ticks == start);
    let process = window.process_by_pid(pid).filter(is_it).ok_or_else(|| ToolError::NotFound {
        what: start.map_or_else(|| format!("process {pid}"), |start| format!("process {pid} started at {start}")),
        hint: "it may have ended; see top_processes for those that run",
    })?;
    let sample = &process.sample;
    let parent = |process: &&ProcessTick| {
        let sample = &process.sample;
        window.process_by_pid(sample.parent_pid).filter(|parent| parent.sample.id != sample.id)
    };
    let ancestors = successors(parent(&process), parent).take(ANCESTORS).map(kin).collect();
    let children = tick.processes.iter().filter(|one| one.sample.parent_pid == pid).take(CHILDREN).map(kin).collect();
    let is_its = |signal: &&crate::observe::Signal| signal.entity.process() == Some(sample.id);
    Ok(Answer {
        at_ms: tick.wall_ms,
        process: SeenProcess::of(process, tick),
        arguments: None,
        ancestors,
        children,
        cgroup: window.cgroup(sample.cgroup.as_str()).map(SeenCgroup::of),
        limit: facts::tightest_limit(sample.cgroup.as_str(), window),
        system_calls: system_calls(pid, tick),
        signals: live.signals.iter().filter(is_its).map(SeenSignal::of).collect(),
    })
}

fn kin(process: &ProcessTick) -> Kin {
    Kin { id: process.sample.id, name: process.sample.comm.clone() }
}

fn system_calls(pid: u32, tick: &Tick) -> Vec<(String, f64)> {
    let Some(calls) = tick.recent_calls.as_ref().filter(|calls| calls.watched_ns > 0) else { return Vec::new() };
    let its = calls.by_process.iter().filter(|row| row.pid == pid);
    let mut rates: Vec<_> = its.map(|row| (syscall_name(row.syscall), row.calls as f64 / calls.seconds())).collect();
    rates.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    rates.truncate(CALLS);
    rates
}
