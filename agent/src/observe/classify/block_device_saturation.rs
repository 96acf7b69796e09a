//! `block_device_saturation`: a device is busy all the time, its queue is long, its requests slow or failing.
//!
//! A busy device is no alarm by itself: a backup makes one. Slow reads are what somebody waits for.

use super::{Classifier, Measure, Readings, say};
use crate::{
    numbers,
    observe::{
        Entity, Numbers, SignalType, Window,
        event::BlockOperation,
        sample::{Disk, Log2Histogram},
        window::Tick,
    },
    text::Text,
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    signal: SignalType::BlockDeviceSaturation,
    measures: &[UTILISATION, QUEUE, READ_P99, WRITE_P99, ERRORS],
    read,
    react: None,
};

const UTILISATION: Measure =
    Measure::rising("utilisation_percent", "time that a device had a request in flight").wants_calls();
const QUEUE: Measure = Measure::rising("queue_depth", "requests in a device's queue");
const READ_P99: Measure =
    Measure::rising("read_p99_ns", "time that one in a hundred reads took longer than").wants_calls();
const WRITE_P99: Measure =
    Measure::rising("write_p99_ns", "time that one in a hundred writes took longer than").wants_calls();
const ERRORS: Measure = Measure::rising("errors_per_s", "requests that a device failed");

/// Rates are told over this long, s.
const OVER_S: f64 = 5.0;
/// Requests in one tick below which a percentile says nothing.
const REQUESTS_MIN: u64 = 20;

fn read(window: &Window, readings: &mut Readings<'_>) {
    let Some(tick) = window.now() else { return };
    let rate = |disk: &Disk, counter: fn(&Disk) -> u64| {
        window.rate_over(OVER_S, |node| node.disks.iter().find(|one| one.name == disk.name).map(counter))
    };
    if !tick.node.disks.is_empty() {
        let sizes = |disk: &Disk| {
            let reads = rate(disk, |disk| disk.read_bytes).unwrap_or_default();
            let writes = rate(disk, |disk| disk.written_bytes).unwrap_or_default();
            (
                format!("{}/s read, {}/s written", say::bytes(reads), say::bytes(writes)),
                numbers! {
                    read_bytes_per_s: reads, written_bytes_per_s: writes, in_flight: disk.in_flight as f64
                },
            )
        };
        readings.worst(
            UTILISATION,
            tick.node
                .disks
                .iter()
                .filter_map(|disk| Some(((rate(disk, |disk| disk.busy_ms)? / 10.0).min(100.0), disk))),
            |disk| entity(&disk.name),
            |percent, disk| {
                let (moved, numbers) = sizes(disk);
                let sentence = format!("{} is busy {} % of the time: {moved}", entity(&disk.name), say::short(percent));
                (sentence, with(numbers! { utilisation_percent: percent }, numbers))
            },
        );
        readings.worst(
            QUEUE,
            tick.node.disks.iter().filter_map(|disk| Some((rate(disk, |disk| disk.queue_time_ms)? / 1e3, disk))),
            |disk| entity(&disk.name),
            |depth, disk| {
                let (moved, numbers) = sizes(disk);
                let sentence =
                    format!("{} has {} requests in its queue: {moved}", entity(&disk.name), say::short(depth));
                (sentence, with(numbers! { queue_depth: depth }, numbers))
            },
        );
    }
    let directions: [Direction; 2] = [
        (READ_P99, BlockOperation::Read, "read", |disk| (disk.reads, disk.read_time_ms)),
        (WRITE_P99, BlockOperation::Write, "write", |disk| (disk.writes, disk.write_time_ms)),
    ];
    for (measure, operation, verb, counters) in directions {
        let slow = latencies(window, tick, operation, counters);
        if let Some(slow) = slow {
            readings.worst(
                measure,
                slow,
                |(name, ..)| entity(name),
                |ns, (name, requests, how)| {
                    let sentence = format!(
                        "{}: the {how} of {} {verb}s was {}",
                        entity(name),
                        say::short(*requests),
                        say::latency(ns)
                    );
                    (sentence, numbers! { latency_ns: ns, requests: *requests })
                },
            );
        }
    }
    if let Some((block, seconds)) = tick.kernel.block.as_ref().zip(tick.seconds) {
        let mut failed: Vec<(f64, Text)> = Vec::new();
        for row in block {
            let errors = row.errors as f64 / seconds;
            match failed.iter_mut().find(|(_, name)| *name == row.device) {
                Some((sum, _)) => *sum += errors,
                None => failed.push((errors, row.device.clone())),
            }
        }
        readings.worst(ERRORS, failed, entity, |per_s, name| {
            (
                format!("{} failed {} requests a second", entity(name), say::short(per_s)),
                numbers! { errors_per_s: per_s },
            )
        });
    }
}

/// A measure, its operation, its verb, and where `diskstats` counts its requests and their time.
type Direction = (Measure, BlockOperation, &'static str, fn(&Disk) -> (u64, u64));

/// Device, requests, and which latency of them it is.
type Requests = (Text, f64, &'static str);

/// Each device's latency, ns; none when neither the tracer nor `diskstats` is there.
fn latencies(
    window: &Window,
    tick: &Tick,
    operation: BlockOperation,
    counters: fn(&Disk) -> (u64, u64),
) -> Option<Vec<(f64, Requests)>> {
    if let Some(block) = &tick.kernel.block {
        let of_kind = block.iter().filter(|row| row.operation == operation);
        let p99 = |latency: &Log2Histogram| latency.quantile_ns(0.99).filter(|_| latency.count() >= REQUESTS_MIN);
        let told = of_kind
            .filter_map(|row| Some((p99(&row.latency)?, (row.device.clone(), row.latency.count() as f64, "p99"))));
        return Some(told.collect());
    }
    // Without the tracer the mean stands in for the percentile: less than it, never an alarm too many.
    (!tick.node.disks.is_empty()).then(|| {
        let means = tick.node.disks.iter().filter_map(|disk| {
            let of = |pick: fn((u64, u64)) -> u64| {
                window.rate_over(OVER_S, |node| {
                    node.disks.iter().find(|one| one.name == disk.name).map(|one| pick(counters(one)))
                })
            };
            let (requests, ms) = (of(|(requests, _)| requests)?, of(|(_, ms)| ms)?);
            let mean_ns = if requests > 0.0 { ms / requests * 1e6 } else { 0.0 };
            Some((mean_ns, (disk.name.clone(), requests, "mean")))
        });
        means.collect()
    })
}

fn entity(name: &Text) -> Entity {
    Entity::Device { name: name.clone() }
}

fn with(mut first: Numbers, more: Numbers) -> Numbers {
    first.0.extend(more.0);
    first
}
