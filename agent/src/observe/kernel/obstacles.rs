//! What stands between the agent and eBPF on this machine, named one by one: for `doctor`, and for probes that are off.

use std::{fs, path::Path};

use capctl::caps::{Cap, CapState};
use nix::sys::{resource, utsname::uname};

/// Rings, and iterators, are there since this kernel.
const OLDEST: (u32, u32) = (5, 8);
/// Before this kernel maps counted against the limit of locked memory.
const NO_MEMORY_LOCK: (u32, u32) = (5, 11);

/// Each obstacle as a sentence; none when nothing is known to be in the way.
#[must_use]
pub fn obstacles() -> Vec<String> {
    let mut found = Vec::new();
    match release() {
        Some(release) if release < OLDEST => {
            found.push(format!("the kernel is {}.{}, and 5.8 or later is needed", release.0, release.1));
        }
        _ => {}
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        found.push("/sys/kernel/btf/vmlinux is missing: the kernel was built without CONFIG_DEBUG_INFO_BTF".to_owned());
    }
    if let Ok(capabilities) = CapState::get_current() {
        let has = |capability| capabilities.effective.has(capability);
        if !has(Cap::SYS_ADMIN) {
            for (capability, name) in [(Cap::BPF, "CAP_BPF"), (Cap::PERFMON, "CAP_PERFMON")] {
                if !has(capability) {
                    found.push(format!("the capability {name} is missing (root has it)"));
                }
            }
        }
    }
    if fs::read_to_string("/sys/kernel/security/lockdown").is_ok_and(|state| state.contains("[confidentiality]")) {
        found.push("the kernel is locked down for confidentiality: programs may not read kernel memory".to_owned());
    }
    found
}

/// Lifts the limit of locked memory where maps still count against it.
pub(super) fn raise_memory_lock() {
    if release().is_some_and(|release| release < NO_MEMORY_LOCK) {
        // A refusal shows when the maps are made.
        _ = resource::setrlimit(resource::Resource::RLIMIT_MEMLOCK, resource::RLIM_INFINITY, resource::RLIM_INFINITY);
    }
}

/// Of the running kernel, such as 6.12.
pub(crate) fn release() -> Option<(u32, u32)> {
    let name = uname().ok()?;
    let mut numbers = name.release().to_str()?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
