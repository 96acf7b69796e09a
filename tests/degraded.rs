//! What a kernel lacks, hidden: the part that needs it is off or tells less, says why, and the rest works on.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use agent_ebpf::constants::Offsets;
use expect_test::expect;
use kernelsight::{
    cli::client::Client,
    live::{PartState, Status},
    observe::{
        kernel::{Kernel, Settings, State},
        offsets::Types,
        scrape::{Scraper, SourceState},
    },
    tools::{get_status::GetStatus, params::Nothing},
};

use crate::{
    execute_support::{is_root, until},
    kernel_child::{Load, kernel},
};

/// What is missed where processes are not read from the kernel's own table.
const FROM_PROC: &str = "read from /proc: switches and run delay of threaded processes are not known";

/// What is not on, and why.
fn failing(kernel: &Kernel) -> String {
    let failing = kernel.probes().into_iter().filter(|probe| probe.state != State::On);
    failing.map(|probe| format!("{}: {:?}\n", probe.name, probe.state)).collect()
}

/// A kernel that makes no ring: none is made of no bytes, and the refusal is the real one.
fn without_rings() -> Option<Kernel> {
    kernel(&Settings { ring_bytes: 0, ..Settings::default() })
}

#[test]
fn without_ring_buffers_all_is_counted_and_nothing_is_told() {
    let Some(mut kernel) = without_rings() else { return };
    let lacking = "the kernel makes no ring buffer: Invalid argument (os error 22)";
    assert_eq!(kernel.why_without_rings(), Some(lacking));
    assert!(kernel.events().unwrap().is_none());
    let mut shown = failing(&kernel).replace(lacking, "WHY");
    // Before 6.8 another program counts victims, which never told much.
    shown = shown.replace("a victim's name, start and memory are not told before 6.8; ", "");
    expect![[r#"
        rss_stat: Off { reason: "memory that grows is seen at the next tick: WHY" }
        mark_victim: Degraded { reason: "victims of the OOM killer are counted, and none is named: WHY" }
        direct_reclaim_end: Degraded { reason: "stalls are counted, and none is told: WHY" }
        memcg_reclaim_end: Degraded { reason: "stalls are counted, and none is told: WHY" }
        block_rq_complete: Degraded { reason: "slow requests are counted, and none is told: WHY" }
        sys_exit: Degraded { reason: "slow calls are counted, and none is told: WHY" }
        sched_switch: Degraded { reason: "long waits are counted, and none is told: WHY" }
        sched_process_exit: Degraded { reason: "exits are counted, and none that a signal caused is told: WHY" }
    "#]]
    .assert_eq(&shown.replace("mark_victim_pid", "mark_victim"));

    // Whatever counts, counts; and a call that would be told is not lost in a ring that is not there.
    let before = kernel.sample().unwrap();
    let load = Load::run("fork 20");
    let after = kernel.sample().unwrap();
    let forks = |sample: &kernelsight::observe::sample::KernelSample| sample.lifecycle.as_ref().unwrap().forks;
    assert!(forks(&after) >= forks(&before) + 20);
    let timed = after.syscalls.unwrap().latency.iter().map(|(_, latency)| latency.count()).sum::<u64>();
    assert!(timed > 0 && after.run_queue.unwrap().count() > 0 && after.block.is_some() && after.memory.is_some());
    assert!(after.lost.iter().all(|(_, lost)| *lost == 0), "{:?}", after.lost);
    assert!(kernel.tasks().unwrap().iter().any(|row| row.sample.id == load.id()));
    kernel.sockets(1).unwrap();
}

/// Without what is hidden these programs are off and say so, and all others are as they were.
fn hides(hook: &str, lacking: &str, expected: &[&str]) {
    let kernel = Kernel::load_with(&Settings::default(), Types::running().unwrap().without(hook));
    let lacks = State::Off { reason: format!("the running kernel has no {lacking}") };
    let off: Vec<&str> = kernel.probes().iter().filter(|probe| probe.state == lacks).map(|probe| probe.name).collect();
    assert_eq!(off, expected, "{hook}");
    let on = kernel.probes().iter().filter(|probe| !probe.state.is_off()).count();
    assert_eq!(on + off.len(), kernel.probes().len(), "{hook}: {:#?}", kernel.probes());
}

#[test]
fn each_tracepoint_and_iterator_that_is_missing_turns_off_what_hangs_there_and_nothing_else() {
    let Some(_) = kernel(&Settings::default()) else { return };
    for (hook, program) in [
        ("rss_stat", "rss_stat"),
        ("mark_victim", "mark_victim"),
        ("mm_vmscan_direct_reclaim_begin", "direct_reclaim_begin"),
        ("mm_vmscan_direct_reclaim_end", "direct_reclaim_end"),
        ("mm_vmscan_memcg_reclaim_begin", "memcg_reclaim_begin"),
        ("mm_vmscan_memcg_reclaim_end", "memcg_reclaim_end"),
        ("mm_filemap_add_to_page_cache", "page_cache_add"),
        ("mm_filemap_delete_from_page_cache", "page_cache_delete"),
        ("block_rq_issue", "block_rq_issue"),
        ("block_rq_requeue", "block_rq_requeue"),
        ("block_rq_complete", "block_rq_complete"),
        ("sys_enter", "sys_enter"),
        ("sys_exit", "sys_exit"),
        ("page_fault_user", "page_fault_user"),
        ("page_fault_kernel", "page_fault_kernel"),
        ("sched_switch", "sched_switch"),
        ("sched_process_fork", "sched_process_fork"),
        ("sched_process_exec", "sched_process_exec"),
        ("sched_process_exit", "sched_process_exit"),
    ] {
        hides(&format!("btf_trace_{hook}"), &format!("tracepoint {hook}"), &[program]);
    }
    hides("bpf_iter_task", "iterator over tasks", &["tasks"]);
    hides("bpf_iter_task_file", "iterator over task_files", &["sockets"]);
}

#[test]
fn each_field_that_is_missing_is_named_by_whoever_misses_it() {
    let Some(_) = kernel(&Settings::default()) else { return };
    let (mut wrong, own) = (Vec::new(), Types::running().unwrap());
    // What this kernel has not is missed by nobody.
    for path in Offsets::PATHS.iter().filter(|path| own.offset(path).is_ok()) {
        let kernel = Kernel::load_with(&Settings::default(), Types::running().unwrap().without(path));
        let is_named = |reason: &str| {
            let fields = reason.split("the running kernel has no field ").nth(1).unwrap_or_default();
            path.split('|').all(|name| fields.split(" or ").any(|field| field == name))
        };
        let states = kernel.probes().into_iter().map(|probe| (probe.name, probe.state));
        let (named, others): (Vec<_>, Vec<_>) =
            states.filter(|(_, state)| *state != State::On).partition(|(_, state)| match state {
                State::Off { reason } => is_named(reason),
                State::Degraded { reason } => reason.split("; ").all(is_named),
                State::On => false,
            });
        if named.is_empty() {
            wrong.push(format!("nobody names {path}"));
        }
        wrong.extend(others.into_iter().map(|(name, state)| format!("without {path} {name} is {state:?}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn without_the_task_iterator_processes_come_from_proc() {
    let Some(_) = kernel(&Settings::default()) else { return };
    let mut kernel = Kernel::load_with(&Settings::default(), Types::running().unwrap().without("bpf_iter_task"));
    assert!(kernel.tasks().is_err());
    let load = Load::run("nothing");
    let mut scraper = Scraper::new();
    let sample = scraper.sample(None);
    let process = sample.processes.iter().find(|process| process.id == load.id()).unwrap();
    assert!(process.rss_bytes > 0 && process.threads > 0, "{process:?}");
    let source = scraper.status().find(|source| source.name == "processes").unwrap().clone();
    assert_eq!(source.state, SourceState::Partial { reason: FROM_PROC.to_owned() });
}

/// Types of maps that this process has open, as `include/uapi/linux/bpf.h` numbers them.
fn map_types() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc/self/fdinfo").unwrap();
    let told = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    told.filter_map(|text| text.lines().find_map(|line| line.strip_prefix("map_type:"))?.trim().parse().ok()).collect()
}

#[test]
fn no_task_storage_is_asked_for() {
    let Some(_kernel) = kernel(&Settings::default()) else { return };
    // Hash, array, per-CPU array, LRU hash, ring: all that a kernel of 5.8 has. Task storage (29) came with 5.11.
    assert_eq!(map_types(), BTreeSet::from([1, 2, 6, 9, 27]));
}

/// What of a kind is not on in `status`, and why.
fn unwell(status: &Status, kind: &str) -> Vec<(String, String)> {
    let parts = status.parts.iter().filter(|part| part.kind == kind);
    parts
        .filter_map(|part| match &part.state {
            PartState::On => None,
            PartState::Degraded { reason } | PartState::Off { reason } => Some((part.name.clone(), reason.clone())),
        })
        .collect()
}

/// A daemon that sees nothing where a directory of the kernel is.
struct Blind {
    child: Child,
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Blind {
    fn start(hidden: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("k.sock");
        // In a mount namespace of its own.
        let hide = format!("mount -t tmpfs none {hidden} && exec \"$@\"");
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-euc", &hide, "sh", env!("CARGO_BIN_EXE_kernelsight"), "--socket"])
            .arg(&socket)
            .args(["run", "--quiet", "--state-dir"])
            .arg(dir.path().join("state"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, socket, _dir: dir }
    }

    /// Its status after some ticks, and after the standing of all parts was told anew.
    fn status(&self) -> Status {
        until(|| self.ask().is_some_and(|status| status.ticks >= 8));
        self.ask().unwrap()
    }

    fn ask(&self) -> Option<Status> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = Client::connect(&self.socket).await.ok()?;
            let status = client.ask::<GetStatus>(&Nothing {}).await.ok();
            client.close().await;
            status
        })
    }
}

impl Drop for Blind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_pressure_stall_information_only_that_source_is_off() {
    if !is_root() {
        return;
    }
    let has = Path::new("/proc/pressure/cpu").exists();
    // A guest that is started with psi=0 has none to hide.
    let daemon = Blind::start(if has { "/proc/pressure" } else { "/root" });
    let status = daemon.status();
    let why = "PSI is off on this kernel: it needs CONFIG_PSI, and psi=1 where that is off by default";
    assert_eq!(unwell(&status, "source"), [("pressure".to_owned(), why.to_owned())]);
    let mut probes = unwell(&status, "probe");
    // Before 6.8 it tells less anywhere.
    probes.retain(|(name, _)| name != "mark_victim_pid");
    assert_eq!(probes, []);
}

#[test]
fn a_kernel_that_tells_no_types_is_watched_by_proc_alone() {
    let Some(_) = kernel(&Settings::default()).filter(|_| is_root()) else { return };
    let daemon = Blind::start("/sys/kernel/btf");
    let status = daemon.status();
    let probes = unwell(&status, "probe");
    assert_eq!(probes.len(), status.parts.iter().filter(|part| part.kind == "probe").count());
    for (name, reason) in probes {
        let expected = "/sys/kernel/btf/vmlinux is missing: the kernel was built without CONFIG_DEBUG_INFO_BTF";
        assert_eq!(reason, expected, "{name}");
    }
    assert_eq!(unwell(&status, "source"), [("processes".to_owned(), FROM_PROC.to_owned())]);
    // Its own cost is read from /proc.
    assert!(status.own_rss_bytes.is_some_and(|bytes| bytes > 0), "{status:?}");
}
