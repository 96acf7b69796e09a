//! What changed on the node within the last hour: who began and ended, which limits and settings were set anew. It
//! answers the first question about any trouble: what was done just before?

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Entity, Sample,
    sample::{CgroupMemory, CgroupSample, KernelLimits, NodeSample, ProcessSample},
};
use crate::text::Text;

/// How far back, ms.
pub const KEPT_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// Names of processes with their cgroups told apart in one minute; the comings and goings of others are only counted.
const NAMES_PER_MINUTE: usize = 128;
/// Settings that are remembered, the newest.
const SETTINGS: usize = 512;

/// The last hour's changes.
#[derive(Debug, Default)]
pub struct Changes {
    minutes: VecDeque<Minute>,
    settings: VecDeque<Setting>,
}

/// Who came and went within one minute.
#[derive(Debug)]
struct Minute {
    begun_ms: i64,
    turnover: HashMap<(Text, Text), Turnover>,
    others: Turnover,
}

#[derive(Clone, Copy, Debug, Default)]
struct Turnover {
    started: u64,
    ended: u64,
    last_pid: u32,
}

/// Processes of one name in one cgroup that began or ended within one minute. Who came and went between two ticks is
/// not among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComingsAndGoings {
    /// Unix time, ms: when the minute began.
    pub minute_ms: i64,
    /// None: those that had no room to be told apart.
    pub name: Option<Text>,
    pub cgroup: Option<Text>,
    pub started: u64,
    pub ended: u64,
    /// The last of them.
    pub last_pid: u32,
}

/// A limit, a setting or a part of the machine that is not what it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Unix time, ms: the first tick that saw it.
    pub at_ms: i64,
    /// Of which cgroup, interface or mount; none: of the node.
    pub of: Option<Entity>,
    /// Such as `memory.max`, `net.core.somaxconn`, `online CPUs`.
    pub what: Cow<'static, str>,
    pub before: String,
    pub after: String,
}

impl Changes {
    /// Takes in what is different between two samples that follow each other.
    pub(super) fn take(&mut self, before: &Sample, now: &Sample, cgroups_before: &HashMap<&str, &CgroupSample>) {
        let at_ms = now.wall_ms;
        self.forget(at_ms);
        // A source that was off for a tick ended nobody.
        if !before.processes.is_empty() && !now.processes.is_empty() {
            self.come_and_go(at_ms, &before.processes, &now.processes);
        }
        let mut found = Vec::new();
        if !before.cgroups.is_empty() && !now.cgroups.is_empty() {
            cgroups(&now.cgroups, cgroups_before, &mut found);
        }
        node(&before.node, &now.node, &mut found);
        for (of, what, before, after) in found {
            if self.settings.len() == SETTINGS {
                self.settings.pop_front();
            }
            self.settings.push_back(Setting { at_ms, of, what: what.into(), before, after });
        }
    }

    /// Settings that changed within `from_ms..=to_ms` (Unix time), oldest first.
    pub fn settings(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(move |setting| (from_ms..=to_ms).contains(&setting.at_ms))
    }

    /// Who came and went in the minutes that overlap `from_ms..=to_ms` (Unix time), oldest first, and within a minute
    /// the rarest first: of what happens all the time nothing is learnt.
    #[must_use]
    pub fn comings_and_goings(&self, from_ms: i64, to_ms: i64) -> Vec<ComingsAndGoings> {
        let mut all = Vec::new();
        for minute in &self.minutes {
            if minute.begun_ms > to_ms || minute.begun_ms + MINUTE_MS <= from_ms {
                continue;
            }
            let row = |of: Option<&(Text, Text)>, turnover: &Turnover| ComingsAndGoings {
                minute_ms: minute.begun_ms,
                name: of.map(|(name, _)| name.clone()),
                cgroup: of.map(|(_, cgroup)| cgroup.clone()),
                started: turnover.started,
                ended: turnover.ended,
                last_pid: turnover.last_pid,
            };
            let mut of_minute: Vec<_> = minute.turnover.iter().map(|(of, turnover)| row(Some(of), turnover)).collect();
            of_minute.sort_by(|a, b| {
                let order = |row: &ComingsAndGoings| (row.started + row.ended, row.last_pid);
                order(a).cmp(&order(b))
            });
            all.append(&mut of_minute);
            if minute.others.started + minute.others.ended > 0 {
                all.push(row(None, &minute.others));
            }
        }
        all
    }

    fn forget(&mut self, now_ms: i64) {
        let from = now_ms - KEPT_MS;
        // A clock that was set back leaves what is of the future; it goes when it is the oldest.
        while self.minutes.front().is_some_and(|minute| minute.begun_ms + MINUTE_MS <= from) {
            self.minutes.pop_front();
        }
        while self.settings.front().is_some_and(|setting| setting.at_ms < from) {
            self.settings.pop_front();
        }
    }

    /// Both are ordered by pid.
    fn come_and_go(&mut self, at_ms: i64, before: &[ProcessSample], now: &[ProcessSample]) {
        let (mut before, mut now) = (before.iter().peekable(), now.iter().peekable());
        loop {
            let (old, new) = (before.peek().copied(), now.peek().copied());
            match (old, new) {
                (None, None) => return,
                (Some(old), Some(new)) if old.id == new.id => {
                    before.next();
                    now.next();
                }
                // Of one pid, the one that had it before goes first.
                (Some(old), new) if new.is_none_or(|new| old.id.pid <= new.id.pid) => {
                    self.turnover(at_ms, old).ended += 1;
                    before.next();
                }
                (_, Some(new)) => {
                    self.turnover(at_ms, new).started += 1;
                    now.next();
                }
                (Some(_), None) => unreachable!("the arm above takes every end without a beginning"),
            }
        }
    }

    fn turnover(&mut self, at_ms: i64, process: &ProcessSample) -> &mut Turnover {
        let begun_ms = at_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        if self.minutes.back().is_none_or(|minute| minute.begun_ms != begun_ms) {
            // A clock that jumps to and fro must not make a minute each time.
            if self.minutes.len() as i64 > KEPT_MS / MINUTE_MS {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute { begun_ms, turnover: HashMap::new(), others: Turnover::default() });
        }
        let at = self.minutes.len() - 1;
        let minute = &mut self.minutes[at];
        let key = (process.comm.clone(), process.cgroup.clone());
        let has_room = minute.turnover.len() < NAMES_PER_MINUTE || minute.turnover.contains_key(&key);
        let turnover = if has_room { minute.turnover.entry(key).or_default() } else { &mut minute.others };
        turnover.last_pid = process.id.pid;
        turnover
    }
}

/// Of what, which setting, before and now.
type Found = Vec<(Option<Entity>, &'static str, String, String)>;

/// A difference between two values that both are told; words are made only where there is one.
fn compare<T: PartialEq>(
    found: &mut Found,
    of: impl FnOnce() -> Option<Entity>,
    what: &'static str,
    (before, now): (Option<T>, Option<T>),
    say: impl Fn(T) -> String,
) {
    if let (Some(before), Some(now)) = (before, now)
        && before != now
    {
        found.push((of(), what, say(before), say(now)));
    }
}

fn cgroups(now: &[CgroupSample], before: &HashMap<&str, &CgroupSample>, found: &mut Found) {
    let is_there = |there: bool| if there { "there" } else { "not there" }.to_owned();
    let mut known = 0;
    for cgroup in now {
        let of = || Some(Entity::Cgroup { path: cgroup.path.clone() });
        let Some(old) = before.get(cgroup.path.as_str()) else {
            compare(found, of, "cgroup", (Some(false), Some(true)), is_there);
            continue;
        };
        known += 1;
        let memory = (old.memory.as_ref(), cgroup.memory.as_ref());
        let both = |limit: fn(&CgroupMemory) -> Option<u64>| (memory.0.map(limit), memory.1.map(limit));
        compare(found, of, "memory.max", both(|memory| memory.limit_bytes), bytes);
        compare(found, of, "memory.high", both(|memory| memory.high_bytes), bytes);
        let quota = |cgroup: &CgroupSample| cgroup.cpu.as_ref().map(|cpu| cpu.quota_percent);
        compare(found, of, "CPU quota", (quota(old), quota(cgroup)), percent);
        let pids = |cgroup: &CgroupSample| cgroup.pids.as_ref().map(|pids| pids.maximum);
        compare(found, of, "pids.max", (pids(old), pids(cgroup)), count);
        let some = |limited: bool| if limited { "some" } else { "none" }.to_owned();
        compare(found, of, "I/O limit", (old.io_limited, cgroup.io_limited), some);
        compare(found, of, "frozen", (old.frozen, cgroup.frozen), |frozen| frozen.to_string());
    }
    if known < before.len() {
        let there: HashSet<&str> = now.iter().map(|cgroup| cgroup.path.as_str()).collect();
        let mut gone: Vec<&CgroupSample> =
            before.values().copied().filter(|old| !there.contains(old.path.as_str())).collect();
        gone.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for old in gone {
            let of = || Some(Entity::Cgroup { path: old.path.clone() });
            compare(found, of, "cgroup", (Some(true), Some(false)), is_there);
        }
    }
}

fn node(before: &NodeSample, now: &NodeSample, found: &mut Found) {
    let of = || None;
    let online = |node: &NodeSample| Some(node.cpu.as_ref()?.online);
    compare(found, of, "online CPUs", (online(before), online(now)), |online| online.to_string());
    let total = |node: &NodeSample| Some(Some(node.memory.as_ref()?.total_bytes));
    compare(found, of, "memory", (total(before), total(now)), bytes);
    let swap = |node: &NodeSample| Some(Some(node.memory.as_ref()?.swap_total_bytes));
    compare(found, of, "swap", (swap(before), swap(now)), bytes);
    let files = |node: &NodeSample| Some(Some(node.files.as_ref()?.maximum));
    compare(found, of, "fs.file-max", (files(before), files(now)), count);
    let limits = (before.limits.as_ref(), now.limits.as_ref());
    let both = |limit: fn(&KernelLimits) -> Option<u64>| (limits.0.map(limit), limits.1.map(limit));
    compare(found, of, "kernel.pid_max", both(|limits| Some(limits.pid_max)), count);
    compare(found, of, "net.core.somaxconn", both(|limits| Some(limits.somaxconn)), count);
    compare(found, of, "net.ipv4.tcp_mem, its most pages", both(|limits| limits.tcp_mem_max_pages), count);
    compare(found, of, "net.ipv4.tcp_max_orphans", both(|limits| limits.tcp_max_orphans), count);
    compare(found, of, "vm.swappiness", both(|limits| Some(limits.swappiness)), count);
    let ports = |limits: &KernelLimits| (limits.local_port_low, limits.local_port_high);
    let ports = (limits.0.map(ports), limits.1.map(ports));
    compare(found, of, "net.ipv4.ip_local_port_range", ports, |(low, high)| format!("{low} {high}"));
    for interface in &now.interfaces {
        let old = before.interfaces.iter().find(|old| old.name == interface.name);
        let of = || Some(Entity::Interface { name: interface.name.clone() });
        let state = |up: bool| if up { "up" } else { "down" }.to_owned();
        compare(found, of, "interface", (old.map(|old| old.up), Some(interface.up)), state);
    }
    if !before.filesystems.is_empty() && !now.filesystems.is_empty() {
        let is_in = |node: &NodeSample, path: &Text| node.filesystems.iter().any(|one| one.path == *path);
        let gone = before.filesystems.iter().filter(|one| !is_in(now, &one.path));
        for filesystem in gone.chain(&now.filesystems) {
            let path = &filesystem.path;
            let of = || Some(Entity::Mount { path: path.clone() });
            let state = |mounted: bool| if mounted { "mounted" } else { "not mounted" }.to_owned();
            compare(found, of, "filesystem", (Some(is_in(before, path)), Some(is_in(now, path))), state);
        }
    }
}

fn bytes(value: Option<u64>) -> String {
    value.map_or_else(|| "none".to_owned(), |bytes| format!("{bytes} bytes"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("{value:.1} % of a CPU"))
}

fn count(value: Option<u64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
