//! How long an action is given before its effect is measured.

use crate::execute::ActionRequest;

/// Of what is no action, s.
const UNKNOWN_S: u32 = 10;

/// Settle time, s: the longer of what the action needs and of what the measure needs to show it. Stalls and switches
/// are told over 3 to 5 s, growth over 10 s.
#[must_use]
pub fn settle_s(action: &ActionRequest, measure: &str) -> u32 {
    let of_action = action.action().map_or(UNKNOWN_S, |action| action.settle_s);
    let of_measure = match measure {
        m if m.contains("growth") => 18,
        m if m.contains("seconds_to") || m.contains("some_") || m.contains("full_") => 12,
        m if m.contains("time_wait") => 60,
        _ => 8,
    };
    of_action.max(of_measure)
}
