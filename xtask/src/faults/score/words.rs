//! A score in words.

use super::Seen;
use crate::client::Outcome;

/// The kinds of actions, each with how often: `lower_process_priority ×3`.
pub(super) fn counted(effects: &[&Outcome]) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for effect in effects {
        let name = effect.action.action_type.as_str();
        match kinds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, times)) => *times += 1,
            None => kinds.push((name, 1)),
        }
    }
    let words =
        |(name, times): &(&str, usize)| if *times == 1 { (*name).to_owned() } else { format!("{name} ×{times}") };
    if kinds.is_empty() { "nothing".to_owned() } else { kinds.iter().map(words).collect::<Vec<_>>().join(", ") }
}

/// Each action in words; those that did the same to another as the one before are counted with it.
pub(super) fn in_short(effects: &[&Outcome]) -> Vec<String> {
    let same = |a: &&Outcome, b: &&Outcome| a.action.action_type == b.action.action_type && a.change == b.change;
    let alike = effects.chunk_by(same).map(|alike| match alike {
        [first, others @ ..] if !others.is_empty() => format!("{}, and {} more", words(first), others.len()),
        _ => alike.iter().copied().map(words).collect(),
    });
    alike.collect()
}

pub(super) fn words(outcome: &Outcome) -> String {
    let params =
        outcome.action.params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    let change = if outcome.change.is_empty() { String::new() } else { format!(" ({})", outcome.change) };
    format!("{} {params}{change}", outcome.action.action_type)
}

pub(super) fn or_nobody(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.dedup();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

pub(super) fn place_of(seen: &Seen) -> String {
    let pids = seen.culprits.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    seen.cgroup.as_ref().map_or_else(|| format!("pid {pids}"), |path| format!("pid {pids} in {path}"))
}
