//! A line carried on to where it ends: minutes = (threshold - current) / slope. It shows its inputs.

use super::Projection;
use crate::explain::{
    Direction, Explanation, Trend,
    figures::{Scale, minutes, scale_of, with_unit},
};

/// Below this share of explained variance a line is carried nowhere.
const R_SQUARED_FROM: f64 = 0.5;
/// Measures that are a part of something finite: 100 % is the end.
const OF_A_WHOLE: [&str; 4] = ["used_percent", "usage_percent", "utilization_percent", "of_limit_percent"];

/// Carries a trend on to a threshold. `of` names the threshold.
#[must_use]
pub fn reach(trend: &Trend, of: impl Into<String>, current: f64, threshold: f64) -> Projection {
    let scale = scale_of(&trend.measure);
    let minutes = minutes_to(trend, current, threshold);
    Projection {
        what: of.into(),
        current,
        slope_per_min: trend.slope_per_min,
        threshold,
        unit: scale.unit.to_owned(),
        minutes,
        r_squared: trend.r_squared,
        points: trend.points,
        formula: formula(trend, scale, current, threshold, minutes),
    }
}

/// What the incident runs into, soonest first; what it never meets comes last.
#[must_use]
pub fn project(explanation: &Explanation) -> Vec<Projection> {
    let mut projections = Vec::new();
    if let Some(growth) = &explanation.growth {
        let limit = explanation.culprit().and_then(|culprit| culprit.limit.as_ref());
        if let Some(limit) = limit {
            let and_swap = if limit.swap_room_bytes > 0 { " and free swap" } else { "" };
            let of = format!("the memory limit of cgroup {}{and_swap}", limit.cgroup);
            let end = limit.usage_bytes + limit.room_bytes();
            projections.push(reach(growth, of, limit.usage_bytes as f64, end as f64));
        }
        let node = &explanation.node;
        if node.memory_total_bytes > 0 {
            let used = node.memory_total_bytes.saturating_sub(node.memory_available_bytes);
            let of = if node.swap_free_bytes > 0 { "the node's memory and free swap" } else { "the node's memory" };
            projections.push(reach(growth, of, used as f64, (node.memory_total_bytes + node.swap_free_bytes) as f64));
        }
    }
    if let Some(trend) = &explanation.trend
        && OF_A_WHOLE.iter().any(|end| trend.measure.ends_with(end))
    {
        projections.push(reach(trend, format!("the whole of {}", trend.measure), trend.current, 100.0));
    }
    let order = |projection: &Projection| projection.minutes.unwrap_or(f64::INFINITY);
    projections.sort_by(|a, b| order(a).total_cmp(&order(b)));
    projections
}

/// One sentence for eyes: what comes first, or why nothing can be said.
pub(super) fn in_words(explanation: &Explanation, projections: &[Projection]) -> String {
    match projections.first() {
        Some(Projection { what, minutes: Some(in_minutes), formula, .. }) => {
            let event = if what.contains("memory") { "OOM" } else { "exhaustion" };
            let when = if *in_minutes <= 0.0 { "now".to_owned() } else { format!("in {}", minutes(*in_minutes)) };
            format!("{event} {when} if nothing is done ({what}: {formula})")
        }
        Some(Projection { formula, .. }) => format!("Nothing runs out as it moves now ({formula})"),
        None => match &explanation.trend {
            Some(trend) if trend.direction == Direction::Rising => {
                format!("{} goes on rising; no limit is known that it would meet", trend.measure)
            }
            Some(trend) if trend.direction == Direction::Falling => format!("{} is falling by itself", trend.measure),
            Some(_) => "It stays as it is if nothing is done".to_owned(),
            None => "Nothing can be said of what comes: there are too few points for a trend".to_owned(),
        },
    }
}

fn minutes_to(trend: &Trend, current: f64, threshold: f64) -> Option<f64> {
    if current >= threshold {
        return Some(0.0);
    }
    let carries =
        trend.direction == Direction::Rising && trend.r_squared >= R_SQUARED_FROM && trend.slope_per_min > 0.0;
    carries.then(|| (threshold - current) / trend.slope_per_min)
}

/// "35.2 % + 1.18 %/min reaches 60 % in 21.0 min, r² 0.92, 30 points"
fn formula(trend: &Trend, scale: Scale, current: f64, threshold: f64, minutes: Option<f64>) -> String {
    let shown = |value: f64, digits: usize| with_unit(&format!("{:.*}", digits, value / scale.divisor), scale.unit);
    let per_min = if scale.unit.starts_with('/') {
        format!("{}/min", scale.unit)
    } else {
        format!("{}/min", with_unit("", scale.unit).trim())
    };
    let slope = trend.slope_per_min / scale.divisor;
    let sign = if slope < 0.0 { "-" } else { "+" };
    let end = match minutes {
        Some(minutes) if minutes > 0.0 => format!("reaches {} in {minutes:.1} min", round(shown(threshold, 1))),
        Some(_) => format!("is at {} already", round(shown(threshold, 1))),
        None => format!("does not reach {}", round(shown(threshold, 1))),
    };
    let gap = if per_min.starts_with('/') { "" } else { " " };
    format!(
        "{} {sign} {:.2}{gap}{per_min} {end}, r² {:.2}, {} points",
        shown(current, 1),
        slope.abs(),
        trend.r_squared,
        trend.points
    )
}

/// A threshold is said as it was set: 60 %, not 60.0 %.
fn round(shown: String) -> String {
    shown.replacen(".0 ", " ", 1)
}
