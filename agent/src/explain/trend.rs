//! How a value moves: least squares over its recent points.

use linregress::fit_low_level_regression_model;

use super::{Direction, TooLittle, Trend};

/// Points that a trend is told from at least.
pub const TREND_NEEDS: usize = 10;
/// Time that these points span at least, s; the twitch of a moment is no trend.
pub const TREND_NEEDS_S: f64 = 8.0;
/// A slope is told from none when chance alone would give one as steep less often than this (two-sided t-test).
const SIGNIFICANT: f64 = 0.01;

/// Fits value = a + slope × time to points of (seconds, value), oldest first. The trend is flat when its slope could
/// as well be none. Points that are not finite are left out.
///
/// # Errors
/// [`TooLittle`] below [`TREND_NEEDS`] points, or when they span less than [`TREND_NEEDS_S`].
pub fn trend(measure: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Result<Trend, TooLittle> {
    let points: Vec<(f64, f64)> =
        points.into_iter().filter(|(at, value)| at.is_finite() && value.is_finite()).collect();
    let too_little = TooLittle { have: points.len(), need: TREND_NEEDS };
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Err(too_little) };
    let span_s = last.0 - first.0;
    if points.len() < TREND_NEEDS {
        return Err(too_little);
    }
    if span_s < TREND_NEEDS_S {
        let within = points.len() as f64 * TREND_NEEDS_S / span_s.max(0.1);
        return Err(TooLittle { have: points.len(), need: within.ceil() as usize });
    }
    let line = fit(&points, first.0);
    Ok(Trend {
        measure: measure.to_owned(),
        current: last.1,
        slope_per_min: line.slope_per_min,
        r_squared: line.r_squared,
        direction: match line.slope_per_min {
            _ if !line.significant => Direction::Flat,
            slope if slope > 0.0 => Direction::Rising,
            _ => Direction::Falling,
        },
        points: points.len(),
        span_s,
    })
}

struct Line {
    slope_per_min: f64,
    r_squared: f64,
    significant: bool,
}

/// Time is counted in minutes from the first point, so that the numbers stay small.
fn fit(points: &[(f64, f64)], from: f64) -> Line {
    let flat = Line { slope_per_min: 0.0, r_squared: 0.0, significant: false };
    let mean = points.iter().map(|(_, value)| value).sum::<f64>() / points.len() as f64;
    let spread: f64 = points.iter().map(|(_, value)| (value - mean).powi(2)).sum();
    if spread <= mean.abs().max(1.0).powi(2) * 1e-18 {
        return flat;
    }
    let rows: Vec<f64> = points.iter().flat_map(|(at, value)| [*value, 1.0, (at - from) / 60.0]).collect();
    let Ok(model) = fit_low_level_regression_model(&rows, points.len(), 3) else { return flat };
    let (Some(slope), Some(p)) = (model.parameters().get(1).copied(), model.p_values().get(1).copied()) else {
        return flat;
    };
    let r_squared = if model.rsquared().is_finite() { model.rsquared().clamp(0.0, 1.0) } else { 0.0 };
    // A line without any residual has no spread to test against: p is not a number, and the fit is as sure as can be.
    let significant = if p.is_nan() { r_squared > 0.999 } else { p < SIGNIFICANT };
    Line { slope_per_min: if slope.is_finite() { slope } else { 0.0 }, r_squared, significant }
}
