//! Which systemd unit owns a cgroup: its path says so.

use crate::text::Text;

/// The innermost service or scope of a cgroup path, else its innermost slice: `/system.slice/x.service/worker` is of
/// `x.service`.
#[must_use]
pub fn unit_of(cgroup: &Text) -> Option<Text> {
    cgroup.part(|path| {
        let innermost = |kinds: &[&str]| {
            path.rsplit('/').find(|part| {
                part.rsplit_once('.').is_some_and(|(name, kind)| !name.is_empty() && kinds.contains(&kind))
            })
        };
        innermost(&["service", "scope"]).or_else(|| innermost(&["slice"]))
    })
}

/// Whether a cgroup gathers what has nothing to do with each other: the root, slices, login sessions, pid 1's own.
#[must_use]
pub fn gathers_strangers(cgroup: &str) -> bool {
    let Some(last) = cgroup.rsplit('/').find(|component| !component.is_empty()) else { return true };
    last == "init.scope"
        || last.ends_with(".slice")
        || (last.starts_with("session-") && last.ends_with(".scope"))
        || (last.starts_with("user@") && last.ends_with(".service"))
}
