//! The comparison: what the prediction named, before and after, and what that is called.

use super::{Verdict, Verification};
use crate::{
    decide::Prediction,
    explain::figures::figure,
    observe::{Severity, history::Point},
};

/// Values of the end of the settle time that `after` is the median of.
const LAST_VALUES: usize = 5;
/// A change for the better by this part of the value before is an improvement; less is noise.
const IMPROVED_BY: f64 = 0.2;
/// A change for the worse by this part is worse.
const WORSE_BY: f64 = 0.2;

/// What was seen of the predicted measure and its entity.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// The measure of the entity before the action, oldest first; the newest count.
    pub before: &'a [Point],
    /// The same from the moment the action was done.
    pub after: &'a [Point],
    pub settled_s: f64,
    /// Whether the entity is there at the end of the settle time.
    pub entity_lives: bool,
    /// Whether the action was to end the entity.
    pub meant_to_end: bool,
    /// Whether the measure was still being read at the end, of whatever entity: a source that went off shows no calm.
    pub still_read: bool,
    /// How bad a value of the measure is, by `thresholds.toml`.
    pub severity_of: &'a dyn Fn(f64) -> Severity,
}

impl std::fmt::Debug for Observed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").field("before", &self.before).field("after", &self.after).finish_non_exhaustive()
    }
}

/// Compares the same measure of the same entity before and after. Pure.
#[must_use]
pub fn verify(prediction: &Prediction, observed: &Observed) -> Verification {
    let Observed { settled_s, severity_of, .. } = *observed;
    let before = median_of_last(observed.before).unwrap_or(prediction.before);
    let severity_before = severity_of(before);
    let said = |verdict, after: Option<f64>, samples, statement: String| Verification {
        verdict,
        before,
        after,
        severity_before,
        severity_after: after.map_or(Severity::None, severity_of),
        samples,
        settled_s,
        statement,
    };
    let Prediction { measure, entity, .. } = prediction;
    if !observed.entity_lives {
        return if observed.meant_to_end {
            said(Verdict::Resolved, None, 0, format!("{entity} is ended, and {measure} with it"))
        } else {
            said(
                Verdict::Unchanged,
                None,
                0,
                format!("{entity} is gone by itself: whether the action helped cannot be told"),
            )
        };
    }
    let shown = |value: f64| figure(measure, value);
    let (after, samples) = match median_of_last(observed.after) {
        Some(after) => (after, observed.after.len().min(LAST_VALUES)),
        // Only what is abnormal is read of every entity, so silence of one that lives is calm, while others are read.
        None if observed.still_read => (calm_value(prediction), 0),
        None => {
            let statement = format!("{measure} of {entity} was not read after the action: nothing can be told");
            return said(Verdict::Unchanged, None, 0, statement);
        }
    };
    let better = if prediction.lower_is_better { before - after } else { after - before };
    let part = better / before.abs().max(f64::MIN_POSITIVE);
    let severity_after = severity_of(after);
    let verdict = match () {
        () if severity_before < Severity::Medium => Verdict::Unchanged,
        () if severity_after < Severity::Medium => Verdict::Resolved,
        () if part <= -WORSE_BY => Verdict::Worse,
        () if part >= IMPROVED_BY => Verdict::Improved,
        () => Verdict::Unchanged,
    };
    let calm_before = if severity_before < Severity::Medium { "; it was calm before the action already" } else { "" };
    let silent = if samples == 0 { " (it is silent, which is calm)" } else { "" };
    let statement = format!(
        "{measure} of {entity}: {} before, {} after {settled_s:.0} s{silent}, {severity_before} to {severity_after}; \
         predicted {}{calm_before}",
        shown(before),
        shown(after),
        shown(prediction.after)
    );
    said(verdict, Some(after), samples, statement)
}

/// Silence: nothing of what more would be worse, at least what was predicted of what less would be.
fn calm_value(prediction: &Prediction) -> f64 {
    if prediction.lower_is_better { 0.0 } else { prediction.after.max(prediction.before) }
}

fn median_of_last(points: &[Point]) -> Option<f64> {
    let mut last: Vec<f64> = points.iter().rev().take(LAST_VALUES).map(|point| point.value).collect();
    last.sort_unstable_by(f64::total_cmp);
    let middle = last.len() / 2;
    match last.len() {
        0 => None,
        n if n % 2 == 1 => Some(last[middle]),
        _ => Some(f64::midpoint(last[middle - 1], last[middle])),
    }
}
