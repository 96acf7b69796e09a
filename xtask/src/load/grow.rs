//! Anonymous memory that grows at a steady rate to a bound, for the hog and the leak.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use super::ground::{self, Ground};

/// Whatever it is told, no load holds more.
const BOUND_MAX_MB: u64 = 8 * 1024;
/// What the node keeps for others.
const RESERVE_MB: u64 = 1024;
const STEP: Duration = Duration::from_millis(20);

/// Grows and then holds what it has until it is time to end.
pub(super) fn grow(ground: &mut Ground, base_mb: u64, rate_mb_per_s: f64, bound_mb: u64) -> Result<()> {
    if bound_mb > BOUND_MAX_MB || base_mb > bound_mb {
        bail!("base_mb is {base_mb}, bound_mb {bound_mb}; at most the bound and {BOUND_MAX_MB} are allowed");
    }
    let available_mb = ground::available_mb()?;
    if available_mb < bound_mb + RESERVE_MB {
        bail!("the node has {available_mb} MB to give; {bound_mb} MB and {RESERVE_MB} MB in reserve are needed");
    }
    ground.started(&[std::process::id()])?;
    let bound = bound_mb << 20;
    let base = base_mb << 20;
    let (mut held, mut held_bytes) = (vec![vec![0xa5_u8; usize::try_from(base)?]], base);
    let begun = Instant::now();
    while !ground.over() {
        let due = (base + (begun.elapsed().as_secs_f64() * rate_mb_per_s * 1048576.0) as u64).min(bound);
        // Late after a pause or a throttle: it goes on at its rate, in bounded steps, and does not jump.
        let step = due.saturating_sub(held_bytes).min((rate_mb_per_s * 1048576.0 * 0.1) as u64 + 4096);
        if step > 0 {
            held.push(vec![0xa5_u8; usize::try_from(step)?]);
            held_bytes += step;
        }
        ground.stop().nap(STEP);
        ground.report(|_| json!({ "rss_mb": ground::rss_mb().round(), "held_mb": held_bytes >> 20 }))?;
    }
    Ok(())
}
