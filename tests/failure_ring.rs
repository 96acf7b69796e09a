//! A ring that is sent more than anybody takes: what was produced is what was told and what was counted, to the last
//! record, and the urgent ring does not notice.

use std::time::{Duration, Instant};

use kernelsight::{
    clock::monotonic_ns,
    observe::{
        Event,
        event::What,
        kernel::{Kernel, Settings},
        ring::Events,
    },
};
use tokio::time::sleep;

use crate::kernel_child::{Load, kernel};

/// How often the agent drains a ring that fills.
const DRAIN_EVERY: Duration = Duration::from_millis(100);
const URGENT_WITHIN: Duration = Duration::from_millis(50);
/// More than the ring takes, by this much.
const TIMES: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(20);
/// Twice what the ring holds, decoded, and some.
const GROWTH_BYTES: u64 = 16 << 20;

/// System calls that were timed, each of which sent a record; and records that were lost.
fn produced_and_lost(kernel: &mut Kernel) -> (u64, u64) {
    let sample = kernel.sample().unwrap();
    let timed = sample.syscalls.unwrap().latency.iter().flat_map(|(_, latency)| latency.slots).sum();
    let lost = sample.lost.iter().find(|(name, _)| *name == "syscalls").unwrap().1;
    (timed, lost)
}

fn told(events: &[Event]) -> u64 {
    events.iter().filter(|event| matches!(event.what, What::SyscallOutlier { .. })).count() as u64
}

/// Floods for so long, with a leak beside it; the flood's share of all that the ring took, and the delays of the leak's
/// steps.
async fn flood(kernel: &mut Kernel, events: &mut Events, time: Duration) {
    let seconds = time.as_millis();
    let mut floods = [Load::prepare(&format!("pread {seconds}")), Load::prepare(&format!("pread {seconds}"))];
    let mut leak = Load::prepare(&format!("grow_slowly {} {seconds}", 512));
    floods.iter_mut().for_each(Load::go);
    leak.go();
    let (rss_before, mut rss_most) = (rss_bytes(), 0);
    let (begun, mut taken, mut late_ns) = (Instant::now(), 0, Vec::new());
    let mut next = begun;
    let mut buffer = Vec::new();
    while begun.elapsed() < time {
        next += DRAIN_EVERY;
        // As the spine does: whatever is urgent wakes it, and the rest waits for its turn.
        while Instant::now() < next {
            let mut urgent = Vec::new();
            tokio::select! {
                woken = events.urgent(&mut urgent) => woken.unwrap(),
                () = sleep(next - Instant::now()) => {}
            }
            let now_ns = monotonic_ns();
            let steps = urgent.iter().filter(|event| event.process.pid == leak.pid());
            late_ns.extend(steps.map(|event| now_ns.saturating_sub(event.at_ns)));
        }
        buffer.clear();
        events.drain_ordinary(|event| buffer.push(event));
        taken += told(&buffer);
        rss_most = rss_bytes().max(rss_most);
    }
    floods.iter_mut().for_each(Load::finish);
    leak.finish();
    let (produced, lost) = until_all_is_told(kernel, events, &mut taken);
    late_ns.sort_unstable();
    let p99 = late_ns.get((late_ns.len().saturating_sub(1) * 99).div_ceil(100)).copied().unwrap_or(u64::MAX);
    let grown = rss_most.saturating_sub(rss_before);
    println!(
        "{}",
        serde_json::json!({ "produced": produced, "told": taken, "lost": lost, "urgent": late_ns.len(),
            "urgent_p99_ms": p99 as f64 / 1e6, "rss_growth_mb": grown as f64 / 1_048_576.0 })
    );
    assert_eq!(taken + lost, produced);
    assert!(produced >= TIMES * taken, "{produced} is no {TIMES} times of {taken}: the flood is a trickle");
    assert!(late_ns.len() >= 4, "{} steps of the leak were told", late_ns.len());
    assert!(Duration::from_nanos(p99) <= URGENT_WITHIN, "{late_ns:?}");
    assert!(grown <= GROWTH_BYTES, "{grown} B more");
    assert_eq!(events.defects().count, 0, "{:?}", events.defects());
}

/// Others make system calls too: nothing moved while the ring was read when both counts are as before.
fn until_all_is_told(kernel: &mut Kernel, events: &mut Events, taken: &mut u64) -> (u64, u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = produced_and_lost(kernel);
        let mut rest = Vec::new();
        events.drain_ordinary(|event| rest.push(event));
        *taken += told(&rest);
        if produced_and_lost(kernel) == before {
            return before;
        }
        assert!(Instant::now() < deadline, "the machine makes system calls without pause");
    }
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

async fn check(time: Duration) {
    // Every call that is timed is an outlier, and the ring takes a tenth of them at most.
    let settings = Settings {
        syscall_outlier_ns: 0,
        ring_bytes: 64 << 10,
        rss_floor_bytes: 16 << 20,
        rss_step_bytes: 16 << 20,
        ..Settings::default()
    };
    let Some(mut kernel) = kernel(&settings) else { return };
    let mut events = kernel.events().unwrap().unwrap();
    flood(&mut kernel, &mut events, time).await;
}

#[tokio::test]
async fn of_a_flood_every_record_is_told_or_counted_and_what_is_urgent_comes_through() {
    check(Duration::from_secs(3)).await;
}

#[tokio::test]
#[ignore = "takes a minute: `cargo xtask failure --only flood`"]
async fn of_a_flood_of_a_minute_every_record_is_told_or_counted() {
    check(Duration::from_secs(60)).await;
}
