//! What was predicted against what came: how near, within tolerance or not, and the correction it teaches.

use crate::{
    decide::Prediction,
    execute::Actions,
    explain::figures::figure,
    verify::{Verdict, Verification},
};

/// A prediction is accurate when the actual change came at least so near: 18 % where 25 % was predicted is 0.72.
const TOLERATED: f64 = 0.7;
/// A correction is never wilder than this.
const FACTORS: std::ops::RangeInclusive<f64> = 0.1..=2.0;

/// A predicted change beside the actual one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Changes relative to the value before, such as -0.25.
    pub predicted: f64,
    pub actual: f64,
    /// 1 - |predicted - actual| / the larger of both, 0 to 1; 0 when they have different signs.
    pub accuracy: f64,
    pub within_tolerance: bool,
    /// actual / predicted, by which the next such prediction is to be scaled.
    pub factor: f64,
}

/// None when there is nothing to compare: no value after, or none before.
#[must_use]
pub fn accuracy(prediction: &Prediction, verification: &Verification) -> Option<Accuracy> {
    let before = verification.before;
    if before == 0.0 {
        return None;
    }
    let predicted = (prediction.after - prediction.before) / prediction.before.abs().max(f64::MIN_POSITIVE);
    let actual = (verification.after? - before) / before.abs();
    let larger = predicted.abs().max(actual.abs());
    // A change for which no bound is natural (seconds left) is met by going as far as predicted, or further.
    let beyond = !prediction.lower_is_better && actual >= predicted && predicted > 0.0;
    let accuracy = match larger {
        0.0 => 1.0,
        _ if beyond => 1.0,
        larger => (1.0 - (predicted - actual).abs() / larger).clamp(0.0, 1.0),
    };
    let factor = match predicted {
        0.0 => 1.0,
        _ if beyond => 1.0,
        predicted => (actual / predicted).clamp(*FACTORS.start(), *FACTORS.end()),
    };
    Some(Accuracy { predicted, actual, accuracy, within_tolerance: accuracy >= TOLERATED, factor })
}

/// One or two sentences for the next time.
#[must_use]
pub fn lesson(action_type: &str, prediction: &Prediction, verification: &Verification) -> String {
    let verdict = verification.verdict.name();
    let Some(Accuracy { predicted, actual, accuracy, within_tolerance, factor }) = accuracy(prediction, verification)
    else {
        return format!("{action_type} ended {verdict}: {}", verification.statement);
    };
    let shown = |value: f64| figure(&prediction.measure, value);
    // Time left may grow a thousandfold, which says nothing in percent.
    let compared = if prediction.lower_is_better {
        format!("{:+.0} % was predicted, {:+.0} % came", predicted * 100.0, actual * 100.0)
    } else {
        format!("{} was predicted, {} came", shown(prediction.after), shown(verification.after.unwrap_or(f64::NAN)))
    };
    let compared = format!("{compared}: accuracy {:.0} %", accuracy * 100.0);
    let correction = if within_tolerance {
        "within tolerance".to_owned()
    } else {
        format!("out of tolerance, adjust the factor by {factor:.2}x")
    };
    let then = match verification.verdict {
        Verdict::Resolved => "It is worth doing again",
        Verdict::Improved => "It helps, and does not suffice alone",
        Verdict::Unchanged => "It does not help here; something else must be tried",
        Verdict::Worse => "It does harm here and must not be tried again on this",
    };
    let value = verification.after.map_or_else(|| "gone".to_owned(), shown);
    format!("{action_type} ended {verdict} with {} at {value}. {compared}, {correction}. {then}.", prediction.measure)
}

/// The same of a test: whether whoever was given less is a cause.
#[must_use]
pub fn lesson_of_test(actions: &Actions, prediction: &Prediction, verification: &Verification) -> String {
    let shown = |value: f64| figure(&prediction.measure, value);
    let after = verification.after.map_or_else(|| "gone".to_owned(), shown);
    let told = match verification.verdict {
        Verdict::Resolved => "It is the cause, and goes on with less",
        Verdict::Improved => "It is a part of the cause, and goes on with less",
        Verdict::Unchanged => "It is cleared, and has again what it had",
        Verdict::Worse => "It is not shown to be the cause, and has again what it had",
    };
    let before = shown(verification.before);
    format!("A test: with {actions}, {} went from {before} to {after}. {told}.", prediction.measure)
}
