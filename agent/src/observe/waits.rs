//! Who waits for a CPU: those who suffer by others, and those whom their own quota stops. The kernel counts the two alike.

use super::{
    Window,
    entity::is_within,
    window::{CgroupTick, ProcessTick, Tick},
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
const OTHERS_WANT_PERCENT: f64 = 5.0;
/// A cgroup whose quota stops it in this part of its periods, percent, is held back by it.
pub const STOPPED_FROM_PERCENT: f64 = 10.0;
/// Who is stopped in this part of his periods, percent, waits for little else.
const STOPPED_FOR_GOOD_PERCENT: f64 = 50.0;

impl Window {
    /// How much those suffer who do not hog the CPU: 100 × wait / (wait + use) over processes that use less than half
    /// of one, and sleep at times, but not without end, as a pair does that wakes each other. Unlike CPU pressure and
    /// run-queue percentiles it does not count the wait of the hogs themselves, and so it falls when these are reniced
    /// or limited. Who is stopped by his own quota counts the less, the more he is. None before the second sample, or
    /// where run delays are not told.
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
                if cpu < OTHERS_BELOW_PERCENT && !never_rests && !trades {
                    let free = 1.0 - stopped_part(process, &quotas);
                    wait += free * delay;
                    used += free * cpu;
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
            of_quotas += delay * stopped_part(process, &quotas);
        }
        if all > 0.0 { of_quotas / all } else { 0.0 }
    }

    fn all_but_the_agent<'a>(&self, tick: &'a Tick) -> impl Iterator<Item = &'a ProcessTick> {
        let own_pid = self.own_pid;
        tick.processes.iter().filter(move |one| !one.sample.kernel_thread && one.sample.id.pid != own_pid)
    }
}

/// The cgroups that their own quota stops, and which part of their waits is for that, 0 to 1.
fn quotas_that_stop(tick: &Tick) -> Vec<(&str, f64)> {
    let stopped = |cgroup: &CgroupTick| {
        cgroup.sample.cpu.as_ref()?.quota_percent?;
        cgroup.throttled_percent.map(|percent| percent / STOPPED_FOR_GOOD_PERCENT).filter(|part| *part > 0.0)
    };
    tick.cgroups.iter().filter_map(|cgroup| Some((cgroup.sample.path.as_str(), stopped(cgroup)?))).collect()
}

/// The part of its waits that is for a quota, 0 to 1: by the one that stops it most.
fn stopped_part(process: &ProcessTick, quotas: &[(&str, f64)]) -> f64 {
    let above = quotas.iter().filter(|(path, _)| is_within(process.sample.cgroup.as_str(), path));
    above.map(|(_, part)| part.min(1.0)).fold(0.0, f64::max)
}
