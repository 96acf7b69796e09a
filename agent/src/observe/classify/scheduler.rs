//! `scheduler`: switches and forks beyond what work needs, tasks held by their quota, and long waits to run.

use super::{Classifier, Measure, Readings, load_mismatch::are_of_quotas, say};
use crate::{
    numbers,
    observe::{Entity, SignalType, Window, event::What, window::ProcessTick},
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::Scheduler,
    measures: &[SWITCHES, PROCESS_SWITCHES, FORKS, PROCESS_FORKS, THROTTLED, OUTLIERS],
    read,
    react: None,
};

const SWITCHES: Measure = Measure::rising("switches_per_cpu_per_s", "context switches of each CPU");
const PROCESS_SWITCHES: Measure = Measure::rising("process_switches_per_s", "context switches of a process");
const FORKS: Measure = Measure::rising("forks_per_s", "processes and threads made");
const PROCESS_FORKS: Measure = Measure::rising("process_forks_per_s", "processes made by one parent");
const THROTTLED: Measure = Measure::rising("cgroup_throttled_percent", "periods in which a cgroup's quota stopped it");
const OUTLIERS: Measure = Measure::rising("run_queue_outliers_per_s", "tasks that stood ready for very long");

/// Node rates are told over this long, s.
const OVER_S: f64 = 3.0;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let cpus = tick.node.cpu.as_ref().map(|cpu| f64::from(cpu.online)).filter(|cpus| *cpus > 0.0);
    let most_switching = most(window, "context switches", switches);

    let per_s = window.rate_over(OVER_S, |node| Some(node.cpu.as_ref()?.context_switches));
    readings.node(SWITCHES, per_s.zip(cpus).map(|(per_s, cpus)| per_s / cpus), |per_cpu| {
        let sentence = format!("{} context switches a second on each CPU{most_switching}", say::short(per_cpu));
        let numbers = numbers! {
            switches_per_s: per_s.unwrap_or_default(),
            switches_per_cpu_per_s: per_cpu,
            online_cpus: cpus.unwrap_or_default(),
        };
        (sentence, numbers)
    });
    if !tick.processes.is_empty() {
        readings.worst(
            PROCESS_SWITCHES,
            tick.processes.iter().filter_map(|process| Some((switches(process)?, process))),
            |process| say::process(process),
            |per_s, process| {
                let voluntary = process.voluntary_switches_per_s.unwrap_or_default();
                let sentence = format!(
                    "{} switches {} times a second, {} of them to wait",
                    say::process(process),
                    say::short(per_s),
                    say::short(voluntary)
                );
                let numbers = numbers! {
                    switches_per_s: per_s,
                    voluntary_switches_per_s: voluntary,
                    involuntary_switches_per_s: process.involuntary_switches_per_s.unwrap_or_default(),
                    cpu_percent: process.cpu_percent.unwrap_or_default(),
                    threads: f64::from(process.sample.threads),
                };
                (sentence, numbers)
            },
        );
    }

    let lifecycle = tick.kernel.lifecycle.as_ref().zip(tick.seconds);
    let parents: Vec<(f64, &ProcessTick)> = lifecycle.map_or_else(Vec::new, |(lifecycle, seconds)| {
        let known = lifecycle.forks_by_parent.iter();
        known.filter_map(|(pid, forks)| Some((*forks as f64 / seconds, window.process_by_pid(*pid)?))).collect()
    });
    let forks = window.rate_over(OVER_S, |node| Some(node.cpu.as_ref()?.forks));
    let forks = forks.or(lifecycle.map(|(lifecycle, seconds)| lifecycle.forks as f64 / seconds));
    readings.node(FORKS, forks, |per_s| {
        let parent =
            parents.iter().max_by(|(a, _), (b, _)| a.total_cmp(b)).map_or_else(String::new, |(forks, parent)| {
                format!("; most by {}: {}/s", say::process(parent), say::short(*forks))
            });
        (
            format!("{} processes and threads are made a second{parent}", say::short(per_s)),
            numbers! { forks_per_s: per_s },
        )
    });
    if lifecycle.is_some() {
        readings.worst(
            PROCESS_FORKS,
            parents.iter().copied(),
            |process| say::process(process),
            |per_s, process| {
                let sentence = format!("{} makes {} processes a second", say::process(process), say::short(per_s));
                (
                    sentence,
                    numbers! {
                        forks_per_s: per_s, cpu_percent: process.cpu_percent.unwrap_or_default()
                    },
                )
            },
        );
    }

    if !tick.cgroups.is_empty() {
        readings.worst(
            THROTTLED,
            tick.cgroups.iter().filter_map(|cgroup| {
                let has_quota = cgroup.sample.cpu.as_ref()?.quota_percent.is_some();
                Some((cgroup.throttled_percent.filter(|_| has_quota)?, cgroup))
            }),
            |cgroup| Entity::Cgroup { path: cgroup.sample.path.clone() },
            |percent, cgroup| {
                let quota = cgroup.sample.cpu.as_ref().and_then(|cpu| cpu.quota_percent).unwrap_or_default();
                let uses = cgroup.cpu_percent.unwrap_or_default();
                let sentence = format!(
                    "cgroup {}: its quota of {} % of one CPU stopped it in {} % of its periods; it uses {} %",
                    cgroup.sample.path,
                    say::short(quota),
                    say::short(percent),
                    say::short(uses)
                );
                (sentence, numbers! { throttled_percent: percent, quota_percent: quota, cpu_percent: uses })
            },
        );
    }

    // The outliers are told by the tracer of the run queue; without it none is no news.
    if let Some(seconds) = tick.seconds.filter(|_| tick.kernel.run_queue.is_some()) {
        let waits: Vec<u64> = tick
            .events
            .iter()
            .filter_map(|event| match event.what {
                What::RunQueueOutlier { latency_ns } => Some(latency_ns),
                _ => None,
            })
            .collect();
        let of_cpus = if are_of_quotas(window) { 0.0 } else { waits.len() as f64 };
        readings.node(OUTLIERS, Some(of_cpus / seconds), |per_s| {
            let longest = waits.iter().copied().max().unwrap_or(0) as f64;
            let sentence = format!(
                "{} tasks a second stood ready for very long, the longest {}",
                say::short(per_s),
                say::latency(longest)
            );
            (sentence, numbers! { outliers_per_s: per_s, longest_ns: longest })
        });
    }
}

fn switches(process: &ProcessTick) -> Option<f64> {
    Some(process.voluntary_switches_per_s? + process.involuntary_switches_per_s?)
}

/// `; most context switches: a (pid 1) 12,000/s, b (pid 2) 11,900/s`.
fn most(window: &Window, what: &str, rate: impl Fn(&ProcessTick) -> Option<f64>) -> String {
    let Some(tick) = window.now() else { return String::new() };
    let mut rates: Vec<(f64, &ProcessTick)> =
        tick.processes.iter().filter_map(|process| Some((rate(process)?, process))).collect();
    rates.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let named: Vec<String> =
        rates.iter().take(2).map(|(rate, one)| format!("{} {}/s", say::process(one), say::short(*rate))).collect();
    if named.is_empty() { String::new() } else { format!("; most {what}: {}", named.join(", ")) }
}
