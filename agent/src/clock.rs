//! The wall clock, in the one unit that rows and traces use, and the clock of the kernel's events.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`, ns.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has a monotonic clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Time since boot, suspended or not, ms (`CLOCK_BOOTTIME`): nobody can set it.
#[must_use]
pub fn uptime_ms() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux has a clock since boot");
    now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000
}

/// Unix time, ms. Zero for a clock that stands before 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
