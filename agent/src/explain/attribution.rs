//! Who takes what is contested: processes, or the cgroup that several of them have to themselves, worst first.
//!
//! Kernel threads and the agent's own processes are never suspects.

use std::collections::BTreeMap;

use super::{Member, Suspect, contested::Contested, facts, family, figures::figure, unit::unit_of};
use crate::{
    observe::{
        Entity, Numbers, Signal, Window,
        classify::ceiling,
        entity::is_within,
        window::{ProcessTick, Tick},
    },
    text::Text,
};

/// Suspects named for one incident.
const SUSPECTS: usize = 8;
/// Members named for one suspect.
const MEMBERS: usize = 16;
/// Who takes less than this part of what the worst takes is no suspect.
const WORTH_NAMING: f64 = 0.1;
/// A member of a group takes at least this part of what its worst takes; the others only live there.
const MEMBER: f64 = 0.1;

/// The suspects of one signal, and what could not be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attribution {
    pub suspects: Vec<Suspect>,
    pub unknown: Vec<String>,
}

/// Names who takes what the signal is about. A process that the signal itself names comes first.
#[must_use]
pub fn attribute(signal: &Signal, window: &Window, own_pid: u32) -> Attribution {
    let Some(tick) = window.now() else {
        return Attribution { suspects: vec![], unknown: vec!["there is no sample yet".to_owned()] };
    };
    let contested = Contested::of(signal, tick);
    let within = contested_within(signal, contested, window);
    let concerns = |process: &ProcessTick| within.as_ref().is_none_or(|within| is_in(process, within));
    let mut claims: Vec<Claim> = tick
        .processes
        .iter()
        .filter(|process| may_be_blamed(process, own_pid) && concerns(process))
        .filter_map(|process| Some(Claim { process, amount: contested.amount(process, tick, signal)? }))
        .filter(|claim| claim.amount > 0.0)
        .collect();
    claims.sort_by(|a, b| b.amount.total_cmp(&a.amount).then(a.process.sample.id.cmp(&b.process.sample.id)));
    let seen: f64 = claims.iter().map(|claim| claim.amount).sum();
    let total = contested.total(window, tick, signal).unwrap_or(0.0).max(seen);
    let mut suspects = group(&claims, total, contested, window, tick);
    put_named_first(&mut suspects, signal, window, tick, contested, total, own_pid);
    suspects.truncate(SUSPECTS);
    let mut unknown = Vec::new();
    if suspects.is_empty() {
        unknown.push(contested.why_nobody(tick).to_owned());
    }
    Attribution { suspects, unknown }
}

struct Claim<'a> {
    process: &'a ProcessTick,
    amount: f64,
}

fn may_be_blamed(process: &ProcessTick, own_pid: u32) -> bool {
    let sample = &process.sample;
    !sample.kernel_thread && sample.id.pid != own_pid && sample.parent_pid != own_pid
}

/// The cgroup in which what is contested is: of a signal of a cgroup itself, unless it waits for what is everybody's, and
/// of a growth that runs into a limit the cgroup that has it, whoever else grows elsewhere. None: it is everybody's, for
/// who suffers need not be who causes.
fn contested_within(signal: &Signal, contested: Contested, window: &Window) -> Option<Text> {
    match &signal.entity {
        Entity::Cgroup { path } => Some(path.clone()).filter(|_| !waits_for_others(path, contested, window)),
        Entity::Process { id, .. } if contested == Contested::MemoryGrowth => {
            ceiling(window, window.process(*id)?.sample.cgroup.as_str())?.cgroup
        }
        _ => None,
    }
}

/// Whether a cgroup waits for the CPUs or the disks of the node, and not for a limit of its own.
fn waits_for_others(path: &Text, contested: Contested, window: &Window) -> bool {
    let cgroup = window.cgroup(path.as_str());
    match contested {
        Contested::Io => cgroup.is_none_or(|cgroup| cgroup.sample.io_limited != Some(true)),
        Contested::Cpu => cgroup.is_none_or(|cgroup| cgroup.throttled_percent.is_none_or(|percent| percent <= 0.0)),
        _ => false,
    }
}

pub(super) fn is_in(process: &ProcessTick, cgroup: &Text) -> bool {
    is_within(process.sample.cgroup.as_str(), cgroup.as_str())
}

/// One suspect for members that share a cgroup of their own, else one for each process.
fn group(claims: &[Claim], total: f64, contested: Contested, window: &Window, tick: &Tick) -> Vec<Suspect> {
    let Some(worst) = claims.first().map(|claim| claim.amount) else { return vec![] };
    let mut by_cgroup: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| claim.amount >= worst * WORTH_NAMING) {
        by_cgroup.entry(claim.process.sample.cgroup.as_str()).or_default().push(claim);
    }
    let mut suspects: Vec<(f64, Suspect)> = Vec::new();
    for (cgroup, mut claims) in by_cgroup {
        let most = claims.iter().map(|claim| claim.amount).fold(0.0, f64::max);
        let heavy: Vec<&ProcessTick> =
            claims.iter().filter(|claim| claim.amount >= most * MEMBER).map(|claim| claim.process).collect();
        let apart = family::strangers(cgroup, &heavy, tick).is_some_and(|strangers| match contested {
            Contested::Cpu | Contested::Switches | Contested::MinorFaults | Contested::Syscalls => strangers.busy == 0,
            _ => strangers.all == 0,
        });
        if heavy.len() > 1 && apart {
            let amount = claims.iter().map(|claim| claim.amount).sum();
            suspects.push((amount, of_group(cgroup, &heavy, amount, total, contested, window, tick)));
            claims.clear();
        }
        suspects.extend(
            claims
                .iter()
                .map(|claim| (claim.amount, of_process(claim.process, claim.amount, total, contested, window, tick))),
        );
    }
    suspects.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    suspects.into_iter().map(|(_, suspect)| suspect).collect()
}

fn put_named_first(
    suspects: &mut Vec<Suspect>,
    signal: &Signal,
    window: &Window,
    tick: &Tick,
    contested: Contested,
    total: f64,
    own_pid: u32,
) {
    let Some(named) = signal.entity.process().and_then(|id| window.process(id)) else { return };
    if !may_be_blamed(named, own_pid) {
        return;
    }
    let place = suspects.iter().position(|suspect| match &suspect.entity {
        Entity::Cgroup { path } => path == &named.sample.cgroup,
        entity => *entity == signal.entity,
    });
    let suspect = match place {
        Some(place) => suspects.remove(place),
        None => {
            let amount = contested.amount(named, tick, signal).unwrap_or(0.0);
            of_process(named, amount, total, contested, window, tick)
        }
    };
    suspects.insert(0, suspect);
}

fn of_process(
    process: &ProcessTick,
    amount: f64,
    total: f64,
    contested: Contested,
    window: &Window,
    tick: &Tick,
) -> Suspect {
    let entity = Entity::Process { id: process.sample.id, comm: process.sample.comm.clone() };
    suspect(entity, &[process], facts::process(process, tick), amount, total, contested, window, tick)
}

fn of_group(
    cgroup: &str,
    members: &[&ProcessTick],
    amount: f64,
    total: f64,
    contested: Contested,
    window: &Window,
    tick: &Tick,
) -> Suspect {
    let path = members.first().map_or_else(|| cgroup.into(), |member| member.sample.cgroup.clone());
    suspect(Entity::Cgroup { path }, members, facts::together(members, tick), amount, total, contested, window, tick)
}

#[expect(clippy::too_many_arguments, reason = "the two kinds of suspect differ in the first three only")]
fn suspect(
    entity: Entity,
    members: &[&ProcessTick],
    mut numbers: Numbers,
    amount: f64,
    total: f64,
    contested: Contested,
    window: &Window,
    tick: &Tick,
) -> Suspect {
    let cgroup = members.first().map(|member| member.sample.cgroup.clone());
    let path = cgroup.as_ref().map_or("/", |cgroup| cgroup.as_str());
    if let Some(cgroup) = window.cgroup(path) {
        facts::of_cgroup(&mut numbers, cgroup);
    }
    if let Some(strangers) = family::strangers(path, members, tick) {
        numbers.0.push(("cgroup_strangers".into(), strangers.all as f64));
        numbers.0.push(("cgroup_busy_strangers".into(), strangers.busy as f64));
    }
    let share = if total > 0.0 { (amount / total).clamp(0.0, 1.0) } else { 0.0 };
    let who = match &entity {
        Entity::Cgroup { .. } => format!("{entity} with {} processes", members.len()),
        _ => entity.to_string(),
    };
    Suspect {
        why: format!(
            "{who} has {:.0} % of the {}: {}",
            share * 100.0,
            contested.name(),
            figure(contested.measure(), amount)
        ),
        unit: cgroup.as_ref().and_then(unit_of),
        may_restart: false,
        limit: facts::tightest_limit(path, window),
        members: members
            .iter()
            .take(MEMBERS)
            .map(|member| Member { id: member.sample.id, nice: member.sample.nice })
            .collect(),
        of: contested.name().to_owned(),
        entity,
        cgroup,
        share,
        numbers,
    }
}
