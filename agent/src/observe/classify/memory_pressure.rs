//! `memory_pressure`: memory that cannot be reclaimed runs out, of the node or below a limit.
//!
//! Page cache is never the alarm: a stall counts by the share of memory that reclaim cannot have back, and what is
//! used counts only while reclaim is at work.

use super::{
    Ceiling, Classifier, Measure, Readings, Recent, ceiling,
    growth::{risen, steady_growth},
    recent::r_squared,
    say, swap_room,
};
use crate::{
    numbers,
    observe::{
        Entity, Event, Numbers, Reading, SignalType, Window,
        event::What,
        sample::{Memory, NodePressure},
        window::{CgroupTick, ProcessTick},
    },
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::MemoryPressure,
    measures: &[
        NODE_SOME,
        NODE_FULL,
        NODE_USED,
        DIRECT_RECLAIM,
        NODE_OOM_KILLS,
        CGROUP_STALL,
        CGROUP_ANONYMOUS,
        CGROUP_OOM_KILLS,
        GROWTH,
        SECONDS_LEFT,
    ],
    read,
    react: Some(react),
};

const NODE_SOME: Measure =
    Measure::rising("node_some_percent", "time that some task waited for memory that reclaim cannot have back");
const NODE_FULL: Measure =
    Measure::rising("node_full_percent", "time that all tasks waited for memory that reclaim cannot have back");
const NODE_USED: Measure =
    Measure::rising("node_used_under_reclaim_percent", "memory that is not available, while reclaim is at work");
const DIRECT_RECLAIM: Measure =
    Measure::rising("node_direct_reclaim_percent", "time that tasks spent in direct reclaim, of one CPU");
const NODE_OOM_KILLS: Measure = Measure::rising("node_oom_kills", "processes that the kernel killed for memory");
const CGROUP_STALL: Measure =
    Measure::rising("cgroup_some_percent", "time that some task of a cgroup waited for memory, cache aside");
const CGROUP_ANONYMOUS: Measure =
    Measure::rising("cgroup_anonymous_percent", "anonymous memory of a cgroup, of its limit");
const CGROUP_OOM_KILLS: Measure =
    Measure::rising("cgroup_oom_kills", "processes that the kernel killed at a cgroup's limit");
const GROWTH: Measure = Measure::rising("process_growth_bytes_per_s", "steady growth of a process's resident memory");
const SECONDS_LEFT: Measure =
    Measure::falling("process_seconds_to_limit", "time until a growing process is at its limit", SECONDS_CALM);

/// Where a stall is counted, us since boot.
type StallTotal = fn(&NodePressure) -> u64;

/// "A day or more."
const SECONDS_CALM: f64 = 86_400.0;
/// Time that the node's stalls are told over, s.
const STALL_OVER_S: f64 = 5.0;
/// A leak is told from so long a track at least, s.
const LEAK_SECONDS: f64 = 20.0;
/// A process that holds less than this share of its ceiling has not shown that it will get there.
const HELD_SHARE: f64 = 0.25;
/// A growth is carried on to at most so many times what it has already been: a compiler, too, takes memory steadily
/// for some seconds.
const CARRIED_ON: f64 = 2.0;
/// The reflex waits until the room is at most this share of the ceiling: its evidence is short.
const REFLEX_ROOM_SHARE: f64 = 0.5;
/// The reflex compares steps of at most this age, and wants so many of them.
const REFLEX_SPAN_NS: u64 = 10_000_000_000;
const REFLEX_STEPS: usize = 3;

fn read(window: &Window, readings: &mut Readings<'_>) {
    read_node(window, readings);
    read_cgroups(window, readings);
    read_processes(window, readings);
}

fn read_node(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let memory = tick.node.memory.as_ref().filter(|memory| memory.total_bytes > 0);
    let used = memory.map(used_share);
    let stall =
        |total: StallTotal| Some(window.rate_over(STALL_OVER_S, |node| node.pressure.as_ref().map(total))? / 1e4);
    let numbers = |stall_percent: f64| {
        let mut numbers = numbers! { stall_percent: stall_percent };
        numbers.0.extend(memory.map(node_numbers).unwrap_or_default().0);
        numbers
    };
    let pressures: [(Measure, &str, StallTotal); 2] = [
        (NODE_SOME, "some task", |pressure| pressure.memory.some_total_us),
        (NODE_FULL, "every task", |pressure| pressure.memory.full_total_us),
    ];
    for (measure, who, total) in pressures {
        let stalled = stall(total);
        readings.node(measure, stalled.map(|percent| percent * used.unwrap_or(1.0)), |_| {
            let percent = stalled.unwrap_or_default();
            let available = memory.map_or_else(String::new, |memory| format!("; {}", say_available(memory)));
            (format!("{who} waited for memory {} % of the time{available}", say::short(percent)), numbers(percent))
        });
    }

    let reclaims = window.rate(|node| {
        let vmstat = node.vmstat.as_ref()?;
        Some(vmstat.direct_scan_pages + vmstat.kswapd_scan_pages)
    });
    let used_percent = used.map(|share| 100.0 * share * f64::from(u8::from(reclaims.is_some_and(|pages| pages > 0.0))));
    readings.node(NODE_USED, reclaims.and(used_percent), |_| {
        let pages = reclaims.unwrap_or_default();
        let mut all = numbers! { reclaim_scan_pages_per_s: pages };
        all.0.extend(memory.map(node_numbers).unwrap_or_default().0);
        let available = memory.map(say_available).unwrap_or_default();
        (format!("{available}, and reclaim looks through {} pages/s", say::short(pages)), all)
    });

    let stalled = tick.kernel.memory.as_ref().zip(tick.seconds);
    let direct = stalled.map(|(memory, seconds)| memory.reclaim_stall_ns as f64 / seconds / 1e7);
    readings.node(DIRECT_RECLAIM, direct.map(|percent| percent * used.unwrap_or(1.0)), |_| {
        let percent = direct.unwrap_or_default();
        let stalls = stalled.map_or(0, |(memory, _)| memory.reclaim_stalls) as f64;
        let sentence = format!(
            "tasks stood in direct reclaim {} times in the last tick, {} % of one CPU's time",
            say::short(stalls),
            say::short(percent)
        );
        (sentence, numbers! { reclaim_stalls: stalls, reclaim_percent_of_one_cpu: percent })
    });

    // A kill at a cgroup's limit counts there, so only what no cgroup accounts for is the node's.
    let kills = window.rate(|node| Some(node.vmstat.as_ref()?.oom_kills)).zip(tick.seconds);
    let in_cgroups: u64 = limited_kills(window).map(|(kills, _)| kills).sum();
    let of_node = kills.map(|(rate, seconds)| ((rate * seconds).round() - in_cgroups as f64).max(0.0));
    readings.node(NODE_OOM_KILLS, of_node, |kills| {
        let sentence =
            format!("the kernel killed {} processes in the last tick: no memory was left", say::short(kills));
        (sentence, numbers! { oom_kills: kills })
    });
}

fn read_cgroups(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    if tick.cgroups.is_empty() {
        return;
    }
    let below_root = || tick.cgroups.iter().filter(|cgroup| cgroup.sample.path.as_str() != "/");
    readings.worst(
        CGROUP_STALL,
        below_root().filter_map(|cgroup| Some((cgroup.memory_stall_percent? * anonymous_part(cgroup), cgroup))),
        |cgroup| entity(cgroup),
        |_, cgroup| {
            let percent = cgroup.memory_stall_percent.unwrap_or_default();
            let sentence = format!(
                "{}: some task waited for memory {} % of the time{}",
                entity(cgroup),
                say::short(percent),
                say_usage(cgroup)
            );
            let mut all = numbers! { stall_percent: percent };
            all.0.extend(cgroup_numbers(cgroup).0);
            (sentence, all)
        },
    );
    readings.worst(
        CGROUP_ANONYMOUS,
        tick.cgroups.iter().filter_map(|cgroup| {
            let memory = cgroup.sample.memory.as_ref()?;
            let limit = memory.limit_bytes.filter(|limit| *limit > 0)?;
            // What may go to swap does not end at the limit.
            let swap = swap_room(window, cgroup.sample.path.as_str());
            Some((100.0 * memory.anonymous_bytes as f64 / (limit + swap) as f64, (cgroup, swap)))
        }),
        |(cgroup, _)| entity(cgroup),
        |percent, (cgroup, swap)| {
            let and_swap = match swap {
                0 => String::new(),
                swap => format!(" and the {} of swap that it may take", say::bytes(*swap as f64)),
            };
            let sentence = format!(
                "{}: anonymous memory is {} % of the limit{and_swap}{}",
                entity(cgroup),
                say::short(percent),
                say_usage(cgroup)
            );
            let mut all = cgroup_numbers(cgroup);
            all.0.push(("swap_room_bytes".into(), *swap as f64));
            (sentence, all)
        },
    );
    readings.worst(
        CGROUP_OOM_KILLS,
        limited_kills(window).map(|(kills, cgroup)| (kills as f64, cgroup)),
        |cgroup| entity(cgroup),
        |kills, cgroup| {
            let limit = match ceiling(window, cgroup.sample.path.as_str()) {
                Some(limit @ Ceiling { cgroup: Some(_), .. }) => format!("{limit} was reached, not the node's"),
                _ => "its limit was reached, not the node's".to_owned(),
            };
            let sentence =
                format!("{}: the kernel killed {} of its processes: {limit}", entity(cgroup), say::short(kills));
            let mut all = numbers! { oom_kills: kills };
            all.0.extend(cgroup_numbers(cgroup).0);
            (sentence, all)
        },
    );
}

fn read_processes(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    if tick.processes.is_empty() {
        return;
    }
    let mut growing: Vec<(f64, &ProcessTick)> = Vec::new();
    let mut ending: Vec<(f64, (&ProcessTick, Ceiling, f64))> = Vec::new();
    for process in tick.processes.iter().filter(|process| process.growth.is_some()) {
        let track: Vec<(u64, u64)> = window.rss_track(process.sample.id).collect();
        if let Some(rate) = steady_growth(&track, [30.0, 10.0], LEAK_SECONDS) {
            growing.push((rate, process));
        }
        if let Some(rate) = steady_growth(&track, [10.0, 3.0], 0.0)
            && let Some(ceiling) = ceiling(window, process.sample.cgroup.as_str())
            && process.sample.rss_bytes as f64 >= HELD_SHARE * ceiling.limit_bytes as f64
            && ceiling.room_bytes as f64 <= CARRIED_ON * risen(&track)
        {
            ending.push(((ceiling.room_bytes as f64 / rate).min(SECONDS_CALM), (process, ceiling, rate)));
        }
    }
    readings.worst(GROWTH, growing, |process| say::process(process), |rate, process| say_growth(window, rate, process));
    readings.worst(
        SECONDS_LEFT,
        ending,
        |(process, ..)| say::process(process),
        |seconds, (process, ceiling, rate)| {
            say_seconds(&say::process(process), process.sample.rss_bytes, seconds, ceiling, *rate)
        },
    );
}

fn react(event: &Event, recent: &Recent, window: &Window) -> Option<Reading> {
    match event.what {
        What::RssStep { rss_bytes } => {
            let steps: Vec<_> = recent.steps(event.process, event.at_ns.saturating_sub(REFLEX_SPAN_NS)).collect();
            let first = steps.first()?;
            let seconds = event.at_ns.saturating_sub(first.at_ns) as f64 / 1e9;
            let is_rising = steps.windows(2).all(|pair| pair[0].rss_bytes < pair[1].rss_bytes);
            if steps.len() < REFLEX_STEPS || seconds <= 0.0 || !is_rising {
                return None;
            }
            let rate = rss_bytes.saturating_sub(first.rss_bytes) as f64 / seconds;
            let known = window.process(event.process);
            let mut ceiling = ceiling(window, known.map_or("/", |process| process.sample.cgroup.as_str()))?;
            // The window's figures are as old as its tick; the process has grown since.
            let grown = rss_bytes.saturating_sub(known.map_or(0, |process| process.sample.rss_bytes));
            ceiling.room_bytes = ceiling.room_bytes.saturating_sub(grown);
            let limit = ceiling.limit_bytes as f64;
            if (rss_bytes as f64) < HELD_SHARE * limit || ceiling.room_bytes as f64 > REFLEX_ROOM_SHARE * limit {
                return None;
            }
            let entity = Entity::Process { id: event.process, comm: event.comm.text() };
            let value = (ceiling.room_bytes as f64 / rate).min(SECONDS_CALM);
            let (sentence, mut numbers) = say_seconds(&entity, rss_bytes, value, &ceiling, rate);
            // What no tick has seen yet: whoever explains it has nothing else.
            let (steps, r_squared) = (steps.len() as f64, r_squared(&steps));
            numbers.0.extend(numbers! { steps: steps, steps_span_s: seconds, steps_r_squared: r_squared }.0);
            Some(Reading { measure: SECONDS_LEFT.name, entity, value, numbers, sentence })
        }
        What::OomKill { rss_bytes, in_cgroup } => {
            let victim = Entity::Process { id: event.process, comm: event.comm.text() };
            let held = say::bytes(rss_bytes as f64);
            let numbers = numbers! { oom_kills: 1.0, victim_rss_bytes: rss_bytes as f64 };
            let cgroup = window.process(event.process).map(|process| process.sample.cgroup.clone());
            let (measure, entity, sentence) = match cgroup {
                Some(path) if in_cgroup => {
                    let limit = match ceiling(window, path.as_str()) {
                        Some(limit @ Ceiling { cgroup: Some(_), .. }) => limit.to_string(),
                        _ => format!("the limit of cgroup {path}"),
                    };
                    let sentence =
                        format!("the kernel killed {victim}, {held} resident: {limit} was reached, not the node's");
                    (CGROUP_OOM_KILLS, Entity::Cgroup { path }, sentence)
                }
                // Its cgroup is not known (it was younger than a tick): the next tick's counters tell.
                None if in_cgroup => return None,
                _ => {
                    let sentence = format!("the kernel killed {victim}, {held} resident: the node had no memory left");
                    (NODE_OOM_KILLS, Entity::Node, sentence)
                }
            };
            Some(Reading { measure: measure.name, entity, value: 1.0, numbers, sentence })
        }
        _ => None,
    }
}

/// Cgroups in which processes were killed; where an ancestor counts its children's, only the deepest.
fn limited_kills(window: &Window) -> impl Iterator<Item = (u64, &CgroupTick)> {
    let killed = || window.now().into_iter().flat_map(|tick| &tick.cgroups).filter(|cgroup| cgroup.oom_kills > 0);
    killed().filter_map(move |cgroup| {
        let path = cgroup.sample.path.as_str();
        let below: u64 = killed()
            .filter(|other| {
                let parent = other.sample.path.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
                other.sample.path != cgroup.sample.path && (parent == path || (parent.is_empty() && path == "/"))
            })
            .map(|other| other.oom_kills)
            .sum();
        Some((cgroup.oom_kills.checked_sub(below).filter(|own| *own > 0)?, cgroup))
    })
}

fn used_share(memory: &Memory) -> f64 {
    1.0 - (memory.available_bytes as f64 / memory.total_bytes as f64).clamp(0.0, 1.0)
}

/// The part of a cgroup's memory that reclaim cannot drop, 0 to 1.
fn anonymous_part(cgroup: &CgroupTick) -> f64 {
    cgroup.sample.memory.as_ref().map_or(1.0, |memory| {
        let (anonymous, file) = (memory.anonymous_bytes as f64, memory.file_bytes as f64);
        if anonymous + file > 0.0 { anonymous / (anonymous + file) } else { 1.0 }
    })
}

fn entity(cgroup: &CgroupTick) -> Entity {
    Entity::Cgroup { path: cgroup.sample.path.clone() }
}

fn say_available(memory: &Memory) -> String {
    let (available, total) = (memory.available_bytes as f64, memory.total_bytes as f64);
    let percent = say::short(100.0 * available / total);
    format!("{} of {} ({percent} %) are available", say::bytes(available), say::bytes(total))
}

fn node_numbers(memory: &Memory) -> Numbers {
    numbers! {
        memory_total_bytes: memory.total_bytes as f64,
        memory_available_bytes: memory.available_bytes as f64,
        anonymous_bytes: memory.anonymous_bytes as f64,
        swap_free_bytes: memory.swap_free_bytes as f64,
    }
}

fn say_usage(cgroup: &CgroupTick) -> String {
    let Some(memory) = &cgroup.sample.memory else { return String::new() };
    let limit = memory.limit_bytes.map_or_else(String::new, |limit| format!(" of {}", say::bytes(limit as f64)));
    let (anonymous, file) = (say::bytes(memory.anonymous_bytes as f64), say::bytes(memory.file_bytes as f64));
    format!("; it holds {}{limit}, {anonymous} anonymous, {file} cache", say::bytes(memory.usage_bytes as f64))
}

fn cgroup_numbers(cgroup: &CgroupTick) -> Numbers {
    let Some(memory) = &cgroup.sample.memory else { return Numbers::default() };
    let mut all = numbers! {
        usage_bytes: memory.usage_bytes as f64,
        anonymous_bytes: memory.anonymous_bytes as f64,
        file_bytes: memory.file_bytes as f64,
    };
    all.0.extend(memory.limit_bytes.map(|limit| ("limit_bytes".into(), limit as f64)));
    all.0.extend(cgroup.limit_hits_per_s.map(|hits| ("limit_hits_per_s".into(), hits)));
    all
}

fn say_growth(window: &Window, rate: f64, process: &ProcessTick) -> (String, Numbers) {
    let rss = process.sample.rss_bytes as f64;
    let mut all = numbers! { rss_bytes: rss, growth_bytes_per_s: rate };
    let growth = format!("{} grows by {}/s, {} resident", say::process(process), say::bytes(rate), say::bytes(rss));
    let Some(ceiling) = ceiling(window, process.sample.cgroup.as_str()) else { return (growth, all) };
    let seconds = ceiling.room_bytes as f64 / rate;
    all.0.extend(ceiling_numbers(&ceiling, seconds).0);
    (format!("{growth}; {ceiling} is {} away at this rate", say::span(seconds)), all)
}

fn say_seconds(who: &Entity, rss_bytes: u64, seconds: f64, ceiling: &Ceiling, rate: f64) -> (String, Numbers) {
    let rss = rss_bytes as f64;
    let mut all = numbers! { rss_bytes: rss, growth_bytes_per_s: rate };
    all.0.extend(ceiling_numbers(ceiling, seconds).0);
    let sentence = format!(
        "{who} reaches {ceiling} in {}: {} resident, growing by {}/s, {} left",
        say::span(seconds),
        say::bytes(rss),
        say::bytes(rate),
        say::bytes(ceiling.room_bytes as f64)
    );
    (sentence, all)
}

fn ceiling_numbers(ceiling: &Ceiling, seconds: f64) -> Numbers {
    numbers! {
        limit_bytes: ceiling.limit_bytes as f64,
        room_bytes: ceiling.room_bytes as f64,
        seconds_to_limit: seconds,
    }
}
