//! How long an action is given before its effect is measured.

/// Settle time, s: the longer of what the action needs and of what the measure needs to show it. Stalls and switches
/// are told over 3 to 5 s, growth over 10 s.
#[must_use]
pub fn settle_s(action_type: &str, measure: &str) -> u32 {
    let of_action = match action_type {
        "freeze_cgroup" | "pause_process" | "resume_process" => 5,
        "reduce_swappiness" | "clear_page_cache" | "increase_tcp_backlog" | "reduce_fin_timeout" => 30,
        _ => 10,
    };
    let of_measure = match measure {
        m if m.contains("growth") => 18,
        m if m.contains("seconds_to") || m.contains("some_") || m.contains("full_") => 12,
        m if m.contains("time_wait") => 60,
        _ => 8,
    };
    of_action.max(of_measure)
}
