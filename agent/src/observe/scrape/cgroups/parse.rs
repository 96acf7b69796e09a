//! The texts of cgroup files, v1 and v2.

use super::super::{Document, ScrapeError};
use crate::observe::sample::CgroupCpu;

/// `memory.limit_in_bytes` of v1, where the greatest number of whole pages stands for none.
pub fn v1_limit(document: Document<'_>) -> Result<Option<u64>, ScrapeError> {
    const NO_LIMIT_FROM: u64 = i64::MAX as u64 - (1 << 20);
    Ok(Some(document.number()?).filter(|bytes| *bytes < NO_LIMIT_FROM))
}

/// `memory.stat` of v1: anonymous and file bytes, children included.
pub fn v1_memory_stat(document: Document<'_>) -> Result<(u64, u64), ScrapeError> {
    let [anonymous, file] = document.keyed_all(["total_rss", "total_cache"])?;
    Ok((anonymous, file))
}

/// `memory.stat` of v2: anonymous and file bytes, children included.
pub fn v2_memory_stat(document: Document<'_>) -> Result<(u64, u64), ScrapeError> {
    let [anonymous, file] = document.keyed_all(["anon", "file"])?;
    Ok((anonymous, file))
}

/// `memory.events` of v2: hits of the limit, processes killed.
pub fn v2_memory_events(document: Document<'_>) -> Result<(u64, u64), ScrapeError> {
    let [hits, kills] = document.keyed_all(["max", "oom_kill"])?;
    Ok((hits, kills))
}

/// `cpu.stat` of v2; without the cpu controller it holds only the usage, and nothing is throttled.
pub fn v2_cpu_stat(document: Document<'_>) -> Result<CgroupCpu, ScrapeError> {
    let [usage_us, periods, throttled_periods, throttled_us] =
        document.keyed(["usage_usec", "nr_periods", "nr_throttled", "throttled_usec"])?;
    Ok(CgroupCpu {
        usage_ns: usage_us.map(|us| us.saturating_mul(1000)),
        takes_quota: false,
        quota_percent: None,
        periods: periods.unwrap_or(0),
        throttled_periods: throttled_periods.unwrap_or(0),
        throttled_ns: throttled_us.unwrap_or(0).saturating_mul(1000),
    })
}

/// `cpu.stat` of v1: periods, throttled periods, throttled ns.
pub fn v1_cpu_stat(document: Document<'_>) -> Result<[u64; 3], ScrapeError> {
    document.keyed_all(["nr_periods", "nr_throttled", "throttled_time"])
}

/// `cpu.max` of v2, such as `50000 100000` or `max 100000`, in percent of one CPU.
pub fn v2_quota_percent(document: Document<'_>) -> Result<Option<f64>, ScrapeError> {
    let line = document.line()?;
    let mut fields = line.fields();
    let quota = fields.field("a quota")?;
    let period: u64 = fields.number()?;
    if quota.text == b"max" {
        return Ok(None);
    }
    Ok(percent(quota.parse("a quota")?, period))
}

/// `cpu.cfs_quota_us` and `cpu.cfs_period_us` of v1, in percent of one CPU; a negative quota is none.
#[must_use]
pub fn v1_quota_percent(quota_us: i64, period_us: u64) -> Option<f64> {
    u64::try_from(quota_us).ok().and_then(|quota_us| percent(quota_us, period_us))
}

fn percent(quota: u64, period: u64) -> Option<f64> {
    (period > 0).then(|| quota as f64 / period as f64 * 100.0)
}
