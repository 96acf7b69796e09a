//! What the kernel gives: its version, BTF, the right to load programs, tracepoints, pressure, cgroups, the
//! sandbox.

use std::{fs, path::Path};

use aya::{maps::MapType, sys::is_map_supported};
use capctl::caps::{Cap, CapState};

use super::Check;
use crate::{
    execute::sandbox::{Confinement, NoLandlock, Unconfined},
    observe::offsets::Types,
    text::Text,
};

/// Ring buffers, BTF tracepoints and read-only globals are all there from here on.
const OLDEST: (u32, u32) = (5, 8);
const BTF: &str = "/sys/kernel/btf/vmlinux";
const PROC_ONLY: &str = "without it the eBPF probes are off; /proc and /sys are read all the same";

/// The tracepoints that the probes attach to.
const TRACEPOINTS: [&str; 15] = [
    "sched_switch",
    "sched_process_fork",
    "sched_process_exec",
    "sched_process_exit",
    "sys_enter",
    "sys_exit",
    "page_fault_user",
    "page_fault_kernel",
    "block_rq_issue",
    "block_rq_complete",
    "rss_stat",
    "mark_victim",
    "mm_vmscan_direct_reclaim_begin",
    "mm_vmscan_memcg_reclaim_begin",
    "mm_filemap_add_to_page_cache",
];

pub(super) fn checks() -> Vec<Check> {
    vec![version(), capabilities(), btf(), tracepoints(), ring(), lockdown(), pressure(), cgroups(), sandbox()]
}

fn version() -> Check {
    let name = "kernel";
    let release = nix::sys::utsname::uname().map(|uname| uname.release().to_string_lossy().into_owned());
    let Ok(release) = release else {
        return Check::lacking(name, "version unknown", PROC_ONLY, "none known");
    };
    let shown = Text::from(release.as_str()).to_string();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => Check::good(name, shown),
        _ => Check::lacking(name, format!("{shown}, older than 5.8"), PROC_ONLY, "start a kernel of 5.8 or later"),
    }
}

fn capabilities() -> Check {
    let name = "capabilities";
    let Ok(state) = CapState::get_current() else {
        return Check::lacking(name, "cannot be read", PROC_ONLY, "run as root");
    };
    let has = |cap| state.effective.has(cap);
    if has(Cap::SYS_ADMIN) {
        return Check::good(name, "all that is needed to load programs and to act");
    }
    let wanted = [
        (Cap::BPF, "BPF"),
        (Cap::PERFMON, "PERFMON"),
        (Cap::SYS_PTRACE, "SYS_PTRACE"),
        (Cap::SYS_NICE, "SYS_NICE"),
        (Cap::KILL, "KILL"),
    ];
    let missing: Vec<&str> = wanted.into_iter().filter(|(cap, _)| !has(*cap)).map(|(_, name)| name).collect();
    if missing.is_empty() {
        return Check::good(name, "BPF, PERFMON and those that the actions need");
    }
    let without = "without BPF and PERFMON the probes are off; without the others their actions are refused, and the \
        I/O of others' processes is not seen";
    Check::lacking(name, format!("missing {}", missing.join(", ")), without, "run as root")
}

fn btf() -> Check {
    let name = "BTF";
    match fs::metadata(BTF) {
        Ok(found) => Check::good(name, format!("{BTF}, {}", crate::cli::eyes::bytes(found.len() as f64))),
        Err(_) => Check::lacking(
            name,
            format!("{BTF} is not there"),
            PROC_ONLY,
            "start a kernel built with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

fn tracepoints() -> Check {
    let name = "tracepoints";
    let types = match Types::running() {
        Ok(types) => types,
        Err(error) => return Check::lacking(name, error.to_string(), PROC_ONLY, "see BTF"),
    };
    let there = |point: &str| types.tracepoint(point).is_some();
    let mut missing: Vec<&str> = TRACEPOINTS.into_iter().filter(|point| !there(point)).collect();
    if !types.has_iterator("task") {
        missing.push("the iterator over tasks");
    }
    if missing.is_empty() {
        return Check::good(name, format!("all {} are there, and the iterator over tasks", TRACEPOINTS.len()));
    }
    let without = "each probe attaches on its own: those of what is missing are off";
    Check::lacking(name, format!("missing {}", missing.join(", ")), without, "a newer kernel may have them")
}

fn ring() -> Check {
    let name = "ring buffer";
    match is_map_supported(MapType::RingBuf) {
        Ok(true) => Check::good(name, "supported"),
        Ok(false) => Check::lacking(name, "not supported", PROC_ONLY, "start a kernel of 5.8 or later"),
        Err(error) => Check::lacking(name, format!("not allowed: {error}"), PROC_ONLY, "run as root"),
    }
}

fn lockdown() -> Check {
    let name = "lockdown";
    let state = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let chosen = state.split(['[', ']']).nth(1).unwrap_or("none");
    if chosen == "confidentiality" {
        let without = "programs may not read kernel memory: most probes are off; /proc and /sys are read all the same";
        return Check::lacking(name, "confidentiality", without, "start the kernel with lockdown=integrity or none");
    }
    Check::good(name, Text::from(chosen).to_string())
}

fn pressure() -> Check {
    let name = "pressure (PSI)";
    match fs::read_to_string("/proc/pressure/memory") {
        Ok(_) => Check::good(name, "/proc/pressure is there"),
        Err(_) => Check::lacking(
            name,
            "/proc/pressure is not there",
            "memory, CPU and I/O pressure are judged by what else is known, and later",
            "start the kernel with psi=1",
        ),
    }
}

fn cgroups() -> Check {
    let name = "cgroups";
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers");
    let hybrid = Path::new("/sys/fs/cgroup/unified/cgroup.controllers");
    let controllers = |path| fs::read_to_string(path).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    if let Ok(controllers) = controllers(unified)
        && !controllers.is_empty()
    {
        return Check::good(name, format!("v2: {}", Text::from(controllers.as_str())));
    }
    let first: Vec<String> = ["memory", "cpu", "cpuacct", "freezer", "pids"]
        .into_iter()
        .filter(|controller| Path::new("/sys/fs/cgroup").join(controller).is_dir())
        .map(str::to_owned)
        .collect();
    let second = if hybrid.exists() { ", v2 beside it" } else { "" };
    if first.iter().any(|controller| controller == "memory") {
        return Check::good(name, format!("v1: {}{second}", first.join(" ")));
    }
    Check::lacking(
        name,
        "no memory or CPU controller",
        "limits of cgroups are neither seen nor set; processes are seen and acted on all the same",
        "mount cgroup v2 with its controllers at /sys/fs/cgroup",
    )
}

fn sandbox() -> Check {
    let name = "sandbox";
    let found = Confinement::of_this_kernel();
    let without = "no action is carried out, those that only look too; the agent watches, explains and proposes";
    match found.enforced() {
        Ok(_) => Check::good(name, found.told()),
        Err(why) => {
            let mend = match why {
                Unconfined::Landlock(NoLandlock::NotStarted) => "start the kernel with landlock in its list lsm=",
                Unconfined::Landlock(NoLandlock::Denied) => "let whoever starts the agent allow the calls of Landlock",
                Unconfined::Landlock(NoLandlock::NotBuilt) => "start a kernel of 5.13 or later that has Landlock",
                Unconfined::NoFilter => "start a kernel built with CONFIG_SECCOMP_FILTER",
            };
            Check::lacking(name, found.told(), without, mend)
        }
    }
}
