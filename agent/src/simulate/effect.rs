//! What an action would change: the part of the measure that its target answers for, and how much of that is left.
//!
//! after = before × (1 − part × (1 − left)). `left` comes from the weights of the fair scheduler, the quota, or the
//! fact that what is frozen does nothing. Measured on a two-CPU guest with three spinners and a victim: the victim's
//! run delay fell from 15 % to 3 % by renicing to 10 (reckoned 3.5 %), to 4 % by a quota of a quarter (reckoned 3.8 %),
//! while CPU pressure, which counts the spinners' own wait too, moved only when they were stopped.

use super::{Effect, disk::left_by_limit, relief::left_when_raised};
use crate::{
    execute::{ActionRequest, Actions, Predicts},
    explain::{
        Explanation, Suspect, Yardstick,
        contested::Contested,
        figures::{figure, with_unit},
    },
    observe::Entity,
};

/// Part of the time that a waking task waits for a running slice to end where every CPU is busy. Measured with three
/// spinners on two CPUs: of 51 to 54 % at nice 0, 18 % are left at nice 10 and 13 % at nice 19.
const SLICE: f64 = 0.1;
/// Measures of what is held, whoever takes more of it.
const HELD: [&str; 2] = ["cgroup_anonymous_percent", "node_used_under_reclaim_percent"];
/// A busy thread of this share of a CPU competes with others.
const COMPETES_PERCENT: f64 = 50.0;

/// Reckons each action, in the order given. An action whose target is no suspect is expected to change nothing.
#[must_use]
pub fn effects(explanation: &Explanation, candidates: &[Actions]) -> Vec<Effect> {
    candidates.iter().map(|actions| effect(explanation, actions)).collect()
}

/// Weight of a nice value in the fair scheduler: 1024 at 0, a fourth less a step (kernel/sched/core.c, `sched_prio_to_weight`).
#[must_use]
pub fn weight(nice: f64) -> f64 {
    1024.0 / 1.25_f64.powf(nice)
}

fn effect(explanation: &Explanation, actions: &Actions) -> Effect {
    let yardstick = explanation.yardstick();
    let before = yardstick.value;
    let action = actions.first();
    let targets = targets(explanation, actions);
    let predicts = action.action().map_or(Predicts::Nothing, |action| action.predicts);
    let relief = match predicts {
        Predicts::Raised(raises) => left_when_raised(explanation, &yardstick, raises, action),
        Predicts::IoLimit if yardstick.is_io_wait_of_others() => {
            targets.first().and_then(|suspect| left_by_limit(explanation, suspect, action))
        }
        _ => None,
    };
    let left = match (relief, &targets[..]) {
        (Some(left), _) => left,
        (None, [suspect, ..]) => left(explanation, &yardstick, suspect, &targets, action, predicts),
        (None, []) => {
            return Effect {
                actions: actions.clone(),
                before,
                after: before,
                suffices: false,
                formula: "its target is no suspect, so nothing is expected of it".to_owned(),
                cost: cost(action).to_owned(),
            };
        }
    };
    let Left { left, because, of_all } = left;
    let part = if of_all { 1.0 } else { targets.iter().map(|target| part(&yardstick, target)).sum::<f64>().min(1.0) };
    let remains = (1.0 - part * (1.0 - left)).max(0.0);
    // Time left grows as the growth that eats it shrinks; it is endless when that ends, which is said as twice the calm.
    let (after, sign) = if yardstick.falling {
        (if remains > 0.0 { before / remains } else { f64::INFINITY }.min(before.max(2.0 * yardstick.medium_at)), "/")
    } else {
        (before * remains, "×")
    };
    let measure = &yardstick.measure;
    Effect {
        actions: actions.clone(),
        before,
        after,
        suffices: yardstick.suffices(after),
        formula: format!(
            "{measure} {} {sign} (1 − {part:.2} × (1 − {left:.2})) = {}, medium at {}; {because}",
            figure(measure, before),
            figure(measure, after),
            figure(measure, yardstick.medium_at),
        ),
        cost: cost(action).to_owned(),
    }
}

/// The suspects that the actions reach, worst first.
#[must_use]
pub fn targets<'a>(explanation: &'a Explanation, actions: &Actions) -> Vec<&'a Suspect> {
    explanation.suspects.iter().filter(|suspect| is_target(suspect, actions)).collect()
}

/// Whether the actions reach all of it: its cgroup, or each of its members.
fn is_target(suspect: &Suspect, actions: &Actions) -> bool {
    let is_reached = |pid: u32| actions.iter().any(|action| action.pid() == Some(pid));
    match &suspect.entity {
        Entity::Process { id, .. } if is_reached(id.pid) => true,
        Entity::Cgroup { .. }
            if suspect.all_members().is_some_and(|all| all.iter().all(|one| is_reached(one.id.pid))) =>
        {
            true
        }
        _ => {
            let first = actions.first();
            let of_unit = |unit: &str| suspect.unit.as_ref().is_some_and(|of| of.as_str() == unit);
            first.cgroup().is_some_and(|cgroup| suspect.is_in(cgroup)) || first.unit().is_some_and(of_unit)
        }
    }
}

/// The part of the measure that the suspect answers for: all, where the measure is its own.
fn part(yardstick: &Yardstick, suspect: &Suspect) -> f64 {
    let entity = &yardstick.entity;
    let its_own = *entity == suspect.entity
        || matches!(entity, Entity::Cgroup { path } if suspect.cgroup.as_ref() == Some(path) && suspect.share > 0.9);
    if its_own { 1.0 } else { suspect.share }
}

/// What is left of the suspect's part, 0 to 1 (above 1: more than before).
pub(super) struct Left {
    pub(super) left: f64,
    pub(super) because: String,
    /// Whether it is the rest of the whole measure and not of the suspect's part only.
    pub(super) of_all: bool,
}

/// `suspect` is the first of `targets`, which an action on a cgroup has one of.
fn left(
    explanation: &Explanation,
    yardstick: &Yardstick,
    suspect: &Suspect,
    targets: &[&Suspect],
    action: &ActionRequest,
    predicts: Predicts,
) -> Left {
    let number = |name: &str| action.number(name);
    let held = suspect.of == Contested::Memory.name()
        || suspect.of == Contested::OpenFiles.name()
        || HELD.contains(&yardstick.measure.as_str());
    let say = |left: f64, because: &str| Left { left, because: because.to_owned(), of_all: false };
    let waits_itself = || say(1.0, "the measure counts the wait of its target too");
    match predicts {
        Predicts::StandsStill if held => say(1.0, "what stands still keeps what it holds"),
        Predicts::StandsStill => say(0.0, "what stands still takes nothing"),
        Predicts::Ends => say(0.0, "what is ended takes and holds nothing"),
        Predicts::BeginsAnew => say(0.0, "what runs anew has taken nothing yet"),
        Predicts::OwnCgroup if suspect.of == Contested::MemoryGrowth.name() && number("memory_mb").is_some() => {
            say(0.0, "it cannot grow past the limit")
        }
        Predicts::OwnCgroup if held => say(1.0, "what it holds stays charged to the cgroup that it leaves"),
        Predicts::OwnCgroup if number("cpu_percent").is_none() => say(1.0, "memory is all that is limited"),
        Predicts::OwnCgroup | Predicts::Weight | Predicts::Quota if yardstick.measure.contains("throttled") => {
            say(1.0, "it waits for its own quota, which this does not raise")
        }
        Predicts::OwnCgroup | Predicts::Weight if yardstick.counts_own_wait() => waits_itself(),
        Predicts::OwnCgroup => {
            quota(suspect.number("cpu_percent").unwrap_or(100.0), number("cpu_percent").unwrap_or(100.0))
        }
        // Of one process, throttling stops and continues it, and what is stopped waits for nothing.
        Predicts::Quota if action.cgroup().is_some() && yardstick.counts_own_wait() => waits_itself(),
        Predicts::Quota => {
            let of_all = number("percent").and(suspect.number("cgroup_cpu_percent"));
            let used = of_all.or(suspect.number("cpu_percent")).unwrap_or(100.0);
            quota(used, number("percent").or(number("limit")).unwrap_or(100.0))
        }
        Predicts::Weight => renice(explanation, suspect, targets, number("priority").unwrap_or(10.0)),
        Predicts::MemoryLimit => memory_limit(suspect, number("bytes").unwrap_or(f64::INFINITY)),
        Predicts::IoLimit => say(1.0, "the measure is not the wait of others for the disk"),
        Predicts::Raised(_) => say(1.0, "the measure is not of the limit that is raised"),
        Predicts::Unreckoned(words) => say(1.0, &format!("{words}, of which no number is reckoned")),
        Predicts::Nothing => say(1.0, "it changes nothing"),
    }
}

/// What is done falls with the CPU time that may be used.
fn quota(used: f64, limit_percent: f64) -> Left {
    let used = used.max(1.0);
    let left = (limit_percent / used).min(1.0);
    Left {
        left,
        because: format!("left {left:.2} = {limit_percent:.0} % of a CPU / {used:.0} % used now"),
        of_all: false,
    }
}

/// How long a victim of nice 0 waits: s + (1 − s) × W / (1 + W), where W is the weight of those who compete over that of
/// the victim, a CPU, and s what it waits for the slice of whoever runs, be that one ever so light. Where the CPU is not contested, a nice value changes nothing.
fn renice(explanation: &Explanation, suspect: &Suspect, targets: &[&Suspect], to: f64) -> Left {
    let cpus = f64::from(explanation.node.online_cpus.max(1));
    let nice = |suspect: &Suspect| suspect.number("nice").unwrap_or(0.0);
    let threads = |suspect: &Suspect| {
        suspect
            .number("cpu_percent")
            .map_or(0.0, |percent| (percent / 100.0).max(suspect.number("members").unwrap_or(1.0)))
    };
    let others: f64 = explanation
        .suspects
        .iter()
        .filter(|other| targets.iter().all(|target| target.entity != other.entity))
        .filter(|other| other.number("cpu_percent") >= Some(COMPETES_PERCENT))
        .map(|other| threads(other) * weight(nice(other)))
        .sum();
    if suspect.of == Contested::Cpu.name() || explanation.yardstick().is_wait_of_others() {
        let wait = |own: f64| {
            let w = (own + others) / cpus / weight(0.0);
            SLICE + (1.0 - SLICE) * w / (1.0 + w)
        };
        let of_targets = |weight: &dyn Fn(&Suspect) -> f64| targets.iter().map(|one| threads(one) * weight(one)).sum();
        let (now, then) = (wait(of_targets(&|one| weight(nice(one)))), wait(of_targets(&|_| weight(to))));
        let left = if now > 0.0 { then / now } else { 1.0 };
        return Left {
            left,
            because: format!("left {left:.2} = wait {then:.2} at nice {to:.0} / {now:.2} at nice {:.0}", nice(suspect)),
            of_all: true,
        };
    }
    let busy = explanation.node.cpu_busy_percent.unwrap_or(0.0);
    if busy < 95.0 || others == 0.0 {
        let because = if busy < 95.0 {
            format!("the CPUs are only {busy:.0} % busy, so a nice value changes nothing")
        } else {
            "no other suspect wants the CPU as much, so a nice value changes nothing".to_owned()
        };
        return Left { left: 1.0, because, of_all: false };
    }
    let share = |own: f64| own / (own + others);
    let left = share(weight(to)) / share(weight(nice(suspect)));
    Left {
        left,
        because: format!("left {left:.2} = its share of the CPU at nice {to:.0} / at nice {:.0}", nice(suspect)),
        of_all: false,
    }
}

/// A limit ends growth; what is held stays, but for the cache.
fn memory_limit(suspect: &Suspect, bytes: f64) -> Left {
    if suspect.of == Contested::MemoryGrowth.name() {
        return Left { left: 0.0, because: "it cannot grow past the limit".to_owned(), of_all: false };
    }
    let usage = suspect.number("cgroup_usage_bytes").unwrap_or(bytes).max(1.0);
    let left = (bytes / usage).min(1.0);
    Left {
        left,
        because: format!("left {left:.2} = limit / {} used", with_unit(&format!("{:.0}", usage / 1_048_576.0), "MiB")),
        of_all: false,
    }
}

/// Who pays for it, as the action says.
fn cost(action: &ActionRequest) -> &'static str {
    action.action().map_or("none is known", |action| action.cost)
}
