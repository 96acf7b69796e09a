//! `load_mismatch`: more tasks want to run than there are CPUs, or the load is high though the CPUs are not busy.
//!
//! A machine that merely uses all its CPUs is at most medium here; only waits that a person would feel are high.

use super::{Classifier, Measure, Readings, say};
use crate::{
    numbers,
    observe::{Entity, Numbers, SignalType, Window, sample::NodeSample, waits::STOPPED_FROM_PERCENT},
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::LoadMismatch,
    measures: &[CPU_SOME, OTHERS_WAIT, RUNNABLE, RUN_QUEUE_P99, WITHOUT_CPU, STEAL, CGROUP_SOME],
    read,
    react: None,
};

const CPU_SOME: Measure = Measure::rising("cpu_some_percent", "time that some task waited for a CPU");
const OTHERS_WAIT: Measure = Measure::rising(
    "others_wait_percent",
    "time that processes which use little CPU waited for one, of the time that they wanted one",
);
const RUNNABLE: Measure = Measure::rising("runnable_per_cpu", "tasks ready to run, of each CPU");
const RUN_QUEUE_P99: Measure =
    Measure::rising("run_queue_p99_ns", "time that one in a hundred tasks waited longer than, once ready to run");
const WITHOUT_CPU: Measure =
    Measure::rising("blocked_per_idle_cpu", "tasks that wait uninterruptibly while CPUs are idle, of each CPU");
const STEAL: Measure = Measure::rising("steal_percent", "CPU time that the hypervisor gave to others");
const CGROUP_SOME: Measure =
    Measure::rising("cgroup_cpu_some_percent", "time that some task of a cgroup waited for a CPU");

/// Stalls and busy times are told over this long, s.
const OVER_S: f64 = 5.0;
/// Waits in one tick below which a percentile says nothing.
const WAITS_MIN: u64 = 100;
/// From here on, CPUs are not idle: percent busy of all.
const BUSY_PERCENT: f64 = 50.0;
/// Where this part of the waits is waits for quotas, a percentile of all tells nothing of the CPUs.
const OF_QUOTAS: f64 = 0.5;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let busy = busy_percent(window);
    let cpus = tick.node.cpu.as_ref().map(|cpu| f64::from(cpu.online)).filter(|cpus| *cpus > 0.0);
    let load = tick.node.load.as_ref();
    let of_quotas = idle_quota_share(window);
    let p99 =
        tick.kernel.run_queue.as_ref().filter(|waits| waits.count() >= WAITS_MIN).and_then(|h| h.quantile_ns(0.99));
    let p99 = p99.map(|ns| if are_of_quotas(window) { 0.0 } else { ns });
    let numbers = |mut first: Numbers| {
        let others = [
            ("online_cpus", cpus),
            ("cpu_busy_percent", busy),
            ("runnable_tasks", load.map(|load| f64::from(load.runnable))),
            ("load_one", load.map(|load| load.one)),
            ("run_queue_p99_ns", p99),
        ];
        for (name, value) in others {
            if first.get(name).is_none() {
                first.0.extend(value.map(|value| (name.into(), value)));
            }
        }
        first
    };
    let about = || {
        let mut parts = String::new();
        if let Some((load, cpus)) = load.zip(cpus) {
            parts += &format!("; {} tasks want the {cpus:.0} CPUs", load.runnable);
        }
        if let Some(p99) = p99 {
            parts += &format!("; run-queue p99 {}", say::latency(p99));
        }
        parts + &say::busiest(window)
    };

    let some = window.rate_over(OVER_S, |node| Some(node.pressure?.cpu.some_total_us)).map(|us| (us / 1e4).min(100.0));
    let some = some.map(|percent| percent * (1.0 - of_quotas));
    readings.node(CPU_SOME, some, |percent| {
        let sentence = format!("some task waited for a CPU {} % of the time{}", say::short(percent), about());
        (sentence, numbers(numbers! { stall_percent: percent }))
    });
    // The one measure here that a lower priority or a quota of the hog improves: the others count the hog's own wait.
    readings.node(OTHERS_WAIT, window.others_wait_percent(), |percent| {
        let sentence = format!(
            "processes that use little CPU waited {} % of the time that they wanted one{}",
            say::short(percent),
            about()
        );
        (sentence, numbers(numbers! { others_wait_percent: percent }))
    });
    // The reader of /proc/loadavg is itself one of the runnable.
    let runnable = load.zip(cpus).map(|(load, cpus)| f64::from(load.runnable.saturating_sub(1)) / cpus);
    readings.node(RUNNABLE, runnable, |per_cpu| {
        let sentence = format!("{} tasks are ready to run for each CPU{}", say::short(per_cpu), about());
        (sentence, numbers(numbers! { runnable_per_cpu: per_cpu }))
    });
    readings.node(RUN_QUEUE_P99, p99, |ns| {
        let sentence = format!("one task in a hundred waited more than {} for a CPU{}", say::latency(ns), about());
        (sentence, numbers(numbers! { run_queue_p99_ns: ns }))
    });

    let blocked = tick.node.cpu.as_ref().map(|cpu| f64::from(cpu.blocked));
    let without = blocked.zip(cpus).zip(busy).map(
        |((blocked, cpus), busy)| {
            if busy < BUSY_PERCENT { blocked / cpus } else { 0.0 }
        },
    );
    readings.node(WITHOUT_CPU, without, |_| {
        let iowait = cpu_share(window, |node| Some(node.cpu.as_ref()?.iowait_ns)).unwrap_or_default();
        let sentence = format!(
            "{} tasks wait uninterruptibly (D) while the CPUs are {} % busy, {} % waiting for I/O: a load without CPU use",
            say::short(blocked.unwrap_or_default()),
            say::short(busy.unwrap_or_default()),
            say::short(iowait)
        );
        let first = numbers! { blocked_tasks: blocked.unwrap_or_default(), cpu_iowait_percent: iowait };
        (sentence, numbers(first))
    });
    readings.node(STEAL, cpu_share(window, |node| Some(node.cpu.as_ref()?.steal_ns)), |percent| {
        let sentence = format!("the hypervisor gave {} % of the CPU time to others", say::short(percent));
        (sentence, numbers(numbers! { steal_percent: percent }))
    });

    if !tick.cgroups.is_empty() {
        let waiting = tick.cgroups.iter().filter_map(|cgroup| {
            let is_throttled = cgroup.throttled_percent.is_some_and(|percent| percent >= STOPPED_FROM_PERCENT);
            let is_root = cgroup.sample.path.as_str() == "/";
            (!is_root && !is_throttled).then_some((cgroup.cpu_stall_percent?, cgroup))
        });
        readings.worst(
            CGROUP_SOME,
            waiting,
            |cgroup| Entity::Cgroup { path: cgroup.sample.path.clone() },
            |percent, cgroup| {
                let uses = cgroup.cpu_percent.unwrap_or_default();
                let sentence = format!(
                    "cgroup {}: some task waited for a CPU {} % of the time; it uses {} % of one CPU",
                    cgroup.sample.path,
                    say::short(percent),
                    say::short(uses)
                );
                (sentence, numbers! { stall_percent: percent, cpu_percent: uses })
            },
        );
    }
}

/// The part of the waits that is waits for quotas, 0 to 1, while the CPUs are idle. Where they are not, who waits may wait
/// for both, and nothing is taken from what is said of the node.
fn idle_quota_share(window: &Window) -> f64 {
    if busy_percent(window).is_some_and(|busy| busy < BUSY_PERCENT) { window.quota_wait_share() } else { 0.0 }
}

/// Whether the long waits for a CPU are those of who waits for his quota.
pub(super) fn are_of_quotas(window: &Window) -> bool {
    idle_quota_share(window) >= OF_QUOTAS
}

/// CPU time that was neither idle nor waiting for I/O, percent of all CPUs.
fn busy_percent(window: &Window) -> Option<f64> {
    let idle = cpu_share(window, |node| {
        let cpu = node.cpu.as_ref()?;
        Some(cpu.idle_ns + cpu.iowait_ns)
    })?;
    Some((100.0 - idle).clamp(0.0, 100.0))
}

/// A kind of CPU time, percent of all CPUs.
fn cpu_share(window: &Window, time: impl Fn(&NodeSample) -> Option<u64>) -> Option<f64> {
    let cpus = f64::from(window.now()?.node.cpu.as_ref()?.online);
    let ns_per_s = window.rate_over(OVER_S, time)?;
    (cpus > 0.0).then(|| (ns_per_s / 1e7 / cpus).clamp(0.0, 100.0))
}
