//! `swap_thrashing`: pages come back from swap about as fast as they leave, so the node works for its memory, not its
//! users.

use std::collections::HashMap;

use super::{Classifier, Measure, Readings, say};
use crate::{
    numbers,
    observe::{Entity, SignalType, Window},
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::SwapThrashing,
    measures: &[THRASH, ROUND_TRIPS, CGROUP_THRASH],
    read,
    react: None,
};

const THRASH: Measure = Measure::rising("thrash_percent", "time lost to pages that come back from swap");
const ROUND_TRIPS: Measure = Measure::rising("round_trip_pages_per_s", "pages that go to swap while as many come back");
const CGROUP_THRASH: Measure =
    Measure::rising("cgroup_thrash_percent", "time that a cgroup lost to pages that come back from swap");

/// Rates are told over this long, s.
const OVER_S: f64 = 5.0;
/// Below so many pages a second swap only holds what is cold.
const SWAP_IN_MIN_PAGES_PER_S: f64 = 1.0;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let swap_in = window.rate_over(OVER_S, |node| Some(node.vmstat.as_ref()?.swap_in_pages));
    let swap_out = window.rate_over(OVER_S, |node| Some(node.vmstat.as_ref()?.swap_out_pages));
    let refaults = window.rate_over(OVER_S, |node| Some(node.vmstat.as_ref()?.refault_anon_pages));
    let Some(((swap_in, swap_out), refaults)) = swap_in.zip(swap_out).zip(refaults) else { return };
    let is_swapping = swap_in >= SWAP_IN_MIN_PAGES_PER_S;
    let refault_share = if is_swapping { (refaults / swap_in).clamp(0.0, 1.0) } else { 0.0 };
    let most = tick
        .processes
        .iter()
        .filter(|process| process.sample.swap_bytes > 0 && process.major_faults_per_s.is_some_and(|rate| rate > 0.0))
        .max_by(|a, b| a.major_faults_per_s.unwrap_or(0.0).total_cmp(&b.major_faults_per_s.unwrap_or(0.0)));
    let who = most.map_or_else(String::new, |process| {
        let rate = say::short(process.major_faults_per_s.unwrap_or(0.0));
        format!("; most major faults: {} {rate}/s", say::process(process))
    });
    let traffic = format!(
        "{} pages/s come back from swap, {} pages/s leave, {} pages/s had only just left{who}",
        say::short(swap_in),
        say::short(swap_out),
        say::short(refaults)
    );
    let numbers = numbers! { swap_in_pages_per_s: swap_in, swap_out_pages_per_s: swap_out, refaults_per_s: refaults };

    let stalled = window.rate_over(OVER_S, |node| Some(node.pressure?.memory.some_total_us)).map(|us| us / 1e4);
    readings.node(THRASH, stalled.map(|percent| percent * refault_share), |_| {
        let percent = stalled.unwrap_or_default();
        (format!("{traffic}; some task waited for memory {} % of the time", say::short(percent)), numbers.clone())
    });
    readings.node(ROUND_TRIPS, Some(swap_in.min(swap_out)), |_| (traffic.clone(), numbers.clone()));

    if tick.cgroups.is_empty() {
        return;
    }
    // A cgroup answers for as much of the refaults as its processes have of the major faults of those in swap.
    let mut by_cgroup: HashMap<&str, f64> = HashMap::new();
    for process in tick.processes.iter().filter(|process| process.sample.swap_bytes > 0) {
        *by_cgroup.entry(process.sample.cgroup.as_str()).or_default() += process.major_faults_per_s.unwrap_or(0.0);
    }
    let all: f64 = by_cgroup.values().sum();
    let thrashing = tick.cgroups.iter().filter(|cgroup| cgroup.sample.path.as_str() != "/").filter_map(|cgroup| {
        let faults = by_cgroup.get(cgroup.sample.path.as_str())?;
        let share = if all > 0.0 { faults / all } else { 0.0 };
        Some((cgroup.memory_stall_percent? * refault_share * share, (cgroup, *faults)))
    });
    readings.worst(
        CGROUP_THRASH,
        thrashing,
        |(cgroup, _)| Entity::Cgroup { path: cgroup.sample.path.clone() },
        |_, (cgroup, faults)| {
            let percent = cgroup.memory_stall_percent.unwrap_or_default();
            let sentence = format!(
                "cgroup {}: {} major faults/s of processes in swap, some task waited for memory {} % of the time",
                cgroup.sample.path,
                say::short(*faults),
                say::short(percent)
            );
            let mut all = numbers! { stall_percent: percent, major_faults_per_s: *faults };
            all.0.extend(numbers.0.iter().cloned());
            (sentence, all)
        },
    );
}
