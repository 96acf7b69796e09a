//! Who waits for a CPU: those who suffer by others, and those whom their own quota stops. The kernel counts the two alike.

use super::{
    Window,
    entity::is_within,
    window::{ProcessTick, Tick},
};

/// Who uses this much of a CPU is none of those who wait for others.
const OTHERS_BELOW_PERCENT: f64 = 50.0;
/// Nor is who always runs or waits for it, percent of the time, and sleeps less often than this a second.
const NEVER_RESTS_PERCENT: f64 = 90.0;
const OTHERS_SLEEP_PER_S: f64 = 5.0;
/// Who sleeps so often, and does so little each time that it wakes, percent of a second, waits for a partner that waits
/// for it. How often alone does not tell: a pair that is reniced trades less often, but not less at a time, and a busy
/// database or proxy does more. A switch by itself costs 1 to 5 us, and twice that in a virtual machine.
const TRADES_PER_S: f64 = 8_000.0;
const TRADES_WITHIN_PERCENT: f64 = 0.002;
/// Below this much of a CPU wanted by all of them, percent, their wait says nothing.
const OTHERS_WANT_PERCENT: f64 = 10.0;
/// A cgroup whose quota stops it in this part of its periods, percent, waits for its quota.
pub const STOPPED_FROM_PERCENT: f64 = 10.0;

impl Window {
    /// How much those suffer who do not hog the CPU: 100 × wait / (wait + use) over processes that use less than half
    /// of one, and sleep at times, but not without end, as a pair does that wakes each other. Unlike CPU pressure and
    /// run-queue percentiles it does not count the wait of the hogs themselves, and so it falls when these are reniced
    /// or limited. Who waits for his own quota waits for no CPU. None before the second sample, or where run delays are
    /// not told.
    #[must_use]
    pub fn others_wait_percent(&self) -> Option<f64> {
        let (mut wait, mut used, mut told) = (0.0, 0.0, false);
        let tick = self.now()?;
        let quotas = quotas_that_stop(tick);
        for process in self.all_but_the_agent(tick) {
            if let (Some(delay), Some(cpu)) = (process.run_delay_percent, process.cpu_percent) {
                told = true;
                let sleeps = process.voluntary_switches_per_s;
                let never_rests =
                    cpu + delay >= NEVER_RESTS_PERCENT && sleeps.is_some_and(|per_s| per_s < OTHERS_SLEEP_PER_S);
                let trades = sleeps.is_some_and(|per_s| per_s >= TRADES_PER_S && cpu / per_s < TRADES_WITHIN_PERCENT);
                if cpu < OTHERS_BELOW_PERCENT && !never_rests && !trades && !is_stopped(process, &quotas) {
                    wait += delay;
                    used += cpu;
                }
            }
        }
        let wanted = wait + used;
        told.then(|| if wanted < OTHERS_WANT_PERCENT { 0.0 } else { 100.0 * wait / wanted })
    }

    /// The part of all waits for a CPU that is waits for quotas, 0 to 1; 0 where it is not known.
    #[must_use]
    pub fn quota_wait_share(&self) -> f64 {
        let Some(tick) = self.now() else { return 0.0 };
        let quotas = quotas_that_stop(tick);
        let (mut of_quotas, mut all) = (0.0, 0.0);
        for process in self.all_but_the_agent(tick) {
            let delay = process.run_delay_percent.unwrap_or(0.0);
            all += delay;
            if is_stopped(process, &quotas) {
                of_quotas += delay;
            }
        }
        if all > 0.0 { of_quotas / all } else { 0.0 }
    }

    fn all_but_the_agent<'a>(&self, tick: &'a Tick) -> impl Iterator<Item = &'a ProcessTick> {
        let own_pid = self.own_pid;
        tick.processes.iter().filter(move |one| !one.sample.kernel_thread && one.sample.id.pid != own_pid)
    }
}

/// Paths of the cgroups that their own quota stops.
fn quotas_that_stop(tick: &Tick) -> Vec<&str> {
    let stops = tick.cgroups.iter().filter(|cgroup| {
        let has_quota = cgroup.sample.cpu.as_ref().is_some_and(|cpu| cpu.quota_percent.is_some());
        has_quota && cgroup.throttled_percent.is_some_and(|percent| percent >= STOPPED_FROM_PERCENT)
    });
    stops.map(|cgroup| cgroup.sample.path.as_str()).collect()
}

fn is_stopped(process: &ProcessTick, quotas: &[&str]) -> bool {
    quotas.iter().any(|path| is_within(process.sample.cgroup.as_str(), path))
}
