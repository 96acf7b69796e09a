//! What is usual: percentiles and volatility of the values of one measure, and how far a value stands from them.

use ndarray::Array1;

use super::{Baseline, Deviation, TooLittle};

/// Values that a baseline is made of at least.
pub const BASELINE_NEEDS: usize = 30;

/// Percentiles by linear interpolation between the nearest ranks; volatility is the standard deviation with n - 1.
/// Values that are not finite are left out.
///
/// # Errors
/// [`TooLittle`] below [`BASELINE_NEEDS`] finite values.
pub fn baseline(values: impl IntoIterator<Item = f64>) -> Result<Baseline, TooLittle> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    if values.len() < BASELINE_NEEDS {
        return Err(TooLittle { have: values.len(), need: BASELINE_NEEDS });
    }
    values.sort_unstable_by(f64::total_cmp);
    let sorted = Array1::from_vec(values);
    Ok(Baseline {
        samples: sorted.len() as u64,
        p50: percentile(&sorted, 0.50),
        p75: percentile(&sorted, 0.75),
        p95: percentile(&sorted, 0.95),
        p99: percentile(&sorted, 0.99),
        volatility: sorted.std(1.0),
    })
}

/// A value against what is usual.
#[must_use]
pub fn deviation(value: f64, baseline: Baseline) -> Deviation {
    let times_p95 = (baseline.p95 > 0.0).then(|| value / baseline.p95);
    Deviation { value, baseline, times_p95 }
}

/// The value at rank `share` × (n - 1) of sorted values, n > 0.
fn percentile(sorted: &Array1<f64>, share: f64) -> f64 {
    let rank = share * (sorted.len() - 1) as f64;
    let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * rank.fract()
}
