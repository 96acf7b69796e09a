//! `page_fault`: major faults wait for a device; minor faults without growth are memory taken and given back in a loop.

use super::{Classifier, Measure, Readings, say};
use crate::{
    numbers,
    observe::{SignalType, Window, window::ProcessTick},
};

pub(super) const CLASSIFIER: Classifier =
    Classifier { signal: SignalType::PageFault, measures: &[MAJOR, NODE_MAJOR, CHURN, NODE_FAULTS], read, react: None };

const MAJOR: Measure = Measure::rising("process_major_faults_per_s", "major faults of a process");
const NODE_MAJOR: Measure = Measure::rising("major_faults_per_s", "major faults");
const CHURN: Measure =
    Measure::rising("process_minor_churn_per_s", "minor faults of a process that do not make it grow");
const NODE_FAULTS: Measure = Measure::rising("faults_per_cpu_per_s", "page faults of each CPU");

const PAGE_BYTES: f64 = 4096.0;
/// Node rates are told over this long, s.
const OVER_S: f64 = 3.0;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    if !tick.processes.is_empty() {
        readings.worst(
            MAJOR,
            tick.processes.iter().filter_map(|process| Some((process.major_faults_per_s?, process))),
            |process| say::process(process),
            |per_s, process| {
                let read = process.read_bytes_per_s.unwrap_or_default();
                let sentence = format!(
                    "{} has {} major faults a second and reads {}/s: its pages come from a device",
                    say::process(process),
                    say::short(per_s),
                    say::bytes(read)
                );
                let numbers = numbers! {
                    major_faults_per_s: per_s,
                    minor_faults_per_s: process.minor_faults_per_s.unwrap_or_default(),
                    read_bytes_per_s: read,
                    swap_bytes: process.sample.swap_bytes as f64,
                };
                (sentence, numbers)
            },
        );
        readings.worst(
            CHURN,
            tick.processes.iter().filter_map(|process| Some((churn(window, process)?, process))),
            |process| say::process(process),
            |per_s, process| {
                let minor = process.minor_faults_per_s.unwrap_or_default();
                let cpu = process.cpu_percent.unwrap_or_default();
                let sentence = format!(
                    "{} has {} minor faults a second and does not grow ({} resident): it takes memory and gives it back",
                    say::process(process),
                    say::short(minor),
                    say::bytes(process.sample.rss_bytes as f64)
                );
                let numbers = numbers! {
                    minor_faults_per_s: minor,
                    minor_churn_per_s: per_s,
                    major_faults_per_s: process.major_faults_per_s.unwrap_or_default(),
                    rss_bytes: process.sample.rss_bytes as f64,
                    cpu_percent: cpu,
                };
                (sentence, numbers)
            },
        );
    }
    let major = window.rate_over(OVER_S, |node| Some(node.vmstat.as_ref()?.major_faults));
    readings.node(NODE_MAJOR, major, |per_s| {
        (format!("{} major faults a second on the node", say::short(per_s)), numbers! { major_faults_per_s: per_s })
    });
    let cpus = tick.node.cpu.as_ref().map(|cpu| f64::from(cpu.online)).filter(|cpus| *cpus > 0.0);
    let faults = window.rate_over(OVER_S, |node| Some(node.vmstat.as_ref()?.faults));
    readings.node(NODE_FAULTS, faults.zip(cpus).map(|(faults, cpus)| faults / cpus), |per_cpu| {
        let sentence = format!("{} page faults a second on each CPU", say::short(per_cpu));
        (sentence, numbers! { faults_per_s: faults.unwrap_or_default(), faults_per_cpu_per_s: per_cpu })
    });
}

/// Minor faults that are not the pages by which the process grew, a second.
fn churn(window: &Window, process: &ProcessTick) -> Option<f64> {
    let faults = process.minor_faults_per_s?;
    let track: Vec<(u64, u64)> = window.rss_track(process.sample.id).collect();
    let grown_pages_per_s = match track.as_slice() {
        [.., before, now] if now.0 > before.0 => {
            now.1.saturating_sub(before.1) as f64 / PAGE_BYTES * 1e9 / (now.0 - before.0) as f64
        }
        _ => 0.0,
    };
    Some((faults - grown_pages_per_s).max(0.0))
}
