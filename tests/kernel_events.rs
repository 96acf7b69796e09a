//! What the rings carry, from real events of the kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use kernelsight::observe::{
    Event,
    event::What,
    kernel::{Kernel, Settings},
    ring::Events,
};
use nix::libc;
use tokio::time::timeout;

use crate::{
    kernel_child::{Load, fifo, kernel},
    kernel_counters::unified_cgroup_id,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn loaded(settings: &Settings) -> Option<(Kernel, Events)> {
    let mut kernel = kernel(settings)?;
    let events = kernel.events().unwrap().unwrap();
    Some((kernel, events))
}

fn drained(events: &mut Events) -> Vec<Event> {
    let mut all = Vec::new();
    events.drain(&mut all);
    assert_eq!(events.defects().count, 0, "{:?}", events.defects());
    all
}

#[tokio::test]
async fn growth_past_each_step_wakes_the_agent_with_the_process_that_grew() {
    let settings = Settings { rss_floor_bytes: 32 << 20, rss_step_bytes: 16 << 20, ..Settings::default() };
    let mut load = Load::prepare("grow 90");
    let id = load.id();
    let cgroup_id = unified_cgroup_id(load.pid());
    let Some((_kernel, mut events)) = loaded(&settings) else { return };
    load.go();
    let mut steps = Vec::new();
    while steps.len() < 4 {
        let mut woken = Vec::new();
        timeout(PATIENCE, events.urgent(&mut woken)).await.unwrap().unwrap();
        steps.extend(woken.into_iter().filter(|event| event.process.pid == id.pid));
    }
    load.finish();
    steps.extend(drained(&mut events).into_iter().filter(|event| event.process.pid == id.pid));
    // 32, 48, 64 and 80 MiB of anonymous memory; resident memory has some of files too.
    assert_eq!(steps.len(), 4, "{steps:?}");
    for (step, event) in steps.iter().enumerate() {
        let What::RssStep { rss_bytes } = event.what else { panic!("{event:?}") };
        let line = (32 + 16 * step as u64) << 20;
        assert!((line..line + (16 << 20)).contains(&rss_bytes), "step {step}: {rss_bytes} bytes");
        assert_eq!((event.process, event.cgroup_id), (id, cgroup_id));
    }
}

#[tokio::test]
async fn an_idle_wait_is_never_slow_and_a_slow_call_is() {
    let settings = Settings { syscall_outlier_ns: 1, ..Settings::default() };
    let mut waiter = Load::prepare("wait 400");
    let mut worker = Load::prepare("fsync 3");
    let Some((_kernel, mut events)) = loaded(&settings) else { return };
    waiter.go();
    worker.go();
    worker.finish();
    waiter.finish();
    let outliers: Vec<(u32, u32)> = drained(&mut events)
        .into_iter()
        .filter_map(|event| match event.what {
            What::SyscallOutlier { syscall, .. } => Some((event.process.pid, syscall)),
            _ => None,
        })
        .collect();
    let fsyncs = outliers.iter().filter(|outlier| **outlier == (worker.pid(), libc::SYS_fsync as u32)).count();
    assert_eq!(fsyncs, 3);
    let waits = [
        libc::SYS_futex,
        libc::SYS_read,
        libc::SYS_epoll_wait,
        libc::SYS_epoll_pwait,
        libc::SYS_poll,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
    ];
    let slow_waits: Vec<_> = outliers.iter().filter(|(_, call)| waits.contains(&i64::from(*call))).collect();
    assert!(slow_waits.is_empty(), "{slow_waits:?}");
}

#[tokio::test]
async fn opening_a_fifo_waits_for_its_peer_and_is_not_slow() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    fifo(&path);
    let settings = Settings { syscall_outlier_ns: 100_000_000, ..Settings::default() };
    let mut load = Load::prepare(&format!("read_fifo {}", path.display()));
    let Some((mut kernel, mut events)) = loaded(&settings) else { return };
    load.go();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(fs::OpenOptions::new().write(true).open(&path).unwrap());
    load.finish();
    let slow: Vec<Event> = drained(&mut events)
        .into_iter()
        .filter(|event| event.process.pid == load.pid() && matches!(event.what, What::SyscallOutlier { .. }))
        .collect();
    assert!(slow.is_empty(), "{slow:?}");
    let calls = kernel.sample().unwrap().syscalls.unwrap().calls;
    assert!(calls.iter().any(|(call, _)| i64::from(*call) == libc::SYS_openat), "the call itself was seen");
}

#[tokio::test]
async fn a_task_that_waits_long_for_a_cpu_is_told() {
    let settings = Settings { run_queue_outlier_ns: 1_000_000, ..Settings::default() };
    let cpus = std::thread::available_parallelism().unwrap().get();
    let mut load = Load::prepare(&format!("threads {} 400", 2 * cpus));
    let id = load.id();
    let Some((_kernel, mut events)) = loaded(&settings) else { return };
    load.go();
    load.finish();
    let waited: Vec<Event> = drained(&mut events).into_iter().filter(|event| event.process == id).collect();
    let is_long = |event: &Event| matches!(event.what, What::RunQueueOutlier { latency_ns } if latency_ns >= 1_000_000);
    assert!(waited.iter().any(is_long), "{waited:?}");
    // The name of the process, though its threads have names of their own.
    let comm = fs::read_to_string(format!("/proc/{}/comm", id.pid)).unwrap();
    assert!(waited.iter().all(|event| event.comm.text().as_str() == comm.trim()), "{waited:?}");
}

#[tokio::test]
async fn the_victim_of_a_cgroups_limit_is_told_at_once() {
    let Some(cgroup) = MemoryCgroup::limited("victim", 48 << 20) else { return };
    let mut load = Load::prepare("grow 128");
    let id = load.id();
    cgroup.take(load.pid());
    let Some((mut kernel, mut events)) = loaded(&Settings::default()) else { return };
    load.go();
    let mut all = Vec::new();
    let is_victim = |event: &&Event| event.process == id && matches!(event.what, What::OomKill { .. });
    while !all.iter().any(|event| is_victim(&event)) {
        timeout(PATIENCE, events.urgent(&mut all)).await.unwrap().unwrap();
    }
    load.reap();
    let victim = all.iter().find(is_victim).unwrap();
    let What::OomKill { rss_bytes, in_cgroup } = victim.what else { panic!("{victim:?}") };
    assert!(in_cgroup, "{victim:?}");
    assert!((24 << 20..72 << 20).contains(&rss_bytes), "{victim:?}");
    // Its end is told as well, for a signal caused it.
    let is_end =
        |event: &Event| event.process == id && matches!(event.what, What::Exit { exit_code } if exit_code & 0x7f == 9);
    assert!(drained(&mut events).iter().any(is_end));
    let memory = kernel.sample().unwrap().memory.unwrap();
    assert!(memory.oom_kills >= 1, "{memory:?}");
}

#[tokio::test]
async fn a_stall_in_reclaim_is_counted_and_told_with_whose_limit_it_was() {
    let Some(cgroup) = MemoryCgroup::limited("reclaim", 24 << 20) else { return };
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("file");
    let mut load = Load::prepare(&format!("write_file {} 96", path.display()));
    let id = load.id();
    cgroup.take(load.pid());
    let settings = Settings { reclaim_outlier_ns: 1, ..Settings::default() };
    let Some((mut kernel, mut events)) = loaded(&settings) else { return };
    load.go();
    load.finish();
    let is_stall = |event: &Event| {
        event.process == id
            && matches!(event.what, What::ReclaimStall { in_cgroup: true, duration_ns } if duration_ns > 0)
    };
    assert!(drained(&mut events).iter().any(is_stall));
    let memory = kernel.sample().unwrap().memory.unwrap();
    assert!(memory.reclaim_stalls > 0 && memory.reclaim_stall_ns > 0, "{memory:?}");
}

#[tokio::test]
async fn what_a_full_ring_loses_is_counted() {
    let settings = Settings { lifecycle_events: true, ring_bytes: 4096, ..Settings::default() };
    let mut load = Load::prepare("fork 200");
    let Some((mut kernel, mut events)) = loaded(&settings) else { return };
    load.go();
    load.finish();
    // Others fork too: the counters and the records tell the same moment when nothing moved while the ring was read.
    let deadline = Instant::now() + PATIENCE;
    let is_lifecycle = |event: &Event| matches!(event.what, What::Fork { .. } | What::Exec | What::Exit { .. });
    let mut told = 0;
    loop {
        let before = counts(&mut kernel);
        told += drained(&mut events).iter().filter(|event| is_lifecycle(event)).count() as u64;
        let (happened, lost) = counts(&mut kernel);
        if before == (happened, lost) {
            assert!(lost > 0, "{happened} records fitted a ring of a page");
            assert_eq!(told + lost, happened);
            return;
        }
        assert!(Instant::now() < deadline, "the machine forks without pause");
    }
}

/// Forks, execs and exits; and records lost.
fn counts(kernel: &mut Kernel) -> (u64, u64) {
    let sample = kernel.sample().unwrap();
    let lifecycle = sample.lifecycle.unwrap();
    let lost = sample.lost.iter().find(|(name, _)| *name == "lifecycle").unwrap().1;
    (lifecycle.forks + lifecycle.execs + lifecycle.exits, lost)
}

/// A cgroup of the memory controller, v1 or v2, with a limit.
struct MemoryCgroup {
    path: PathBuf,
}

impl MemoryCgroup {
    /// None, with a word why, where the machine grants none.
    fn limited(name: &str, bytes: u64) -> Option<Self> {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (root, limit) =
            if v1.is_dir() { (v1, "memory.limit_in_bytes") } else { (Path::new("/sys/fs/cgroup"), "memory.max") };
        let path = root.join(format!("kernelsight-test-{name}-{}", std::process::id()));
        let made = fs::create_dir(&path).and_then(|()| fs::write(path.join(limit), bytes.to_string()));
        let cgroup = Self { path };
        if let Err(error) = made {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no memory cgroup: {error}");
            eprintln!("skipped: no memory cgroup: {error}");
            return None;
        }
        Some(cgroup)
    }

    fn take(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // Busy until its process is reaped.
        let deadline = Instant::now() + PATIENCE;
        while fs::remove_dir(&self.path).is_err() && self.path.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
