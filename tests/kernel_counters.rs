//! What each tracer counts, against a load whose size is known. Others use the kernel too, so a count may be more.

use std::{
    fs,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use kernelsight::observe::{
    event::BlockOperation,
    kernel::{Kernel, Settings},
    sample::{BlockCounters, DeviceNumber, KernelSample, SyscallError},
};
use nix::{
    libc,
    sys::{socket, stat::stat},
    unistd,
};

use crate::kernel_child::{Load, kernel};

/// What was counted while `load` ran.
fn counted(settings: &Settings, load: &str) -> Option<(Load, KernelSample)> {
    let mut load = Load::prepare(load);
    let mut kernel = kernel(settings)?;
    let before = kernel.sample().unwrap();
    load.go();
    load.finish();
    Some((load, kernel.sample().unwrap().since(&before)))
}

fn calls(sample: &KernelSample, syscall: libc::c_long) -> u64 {
    let calls = &sample.syscalls.as_ref().unwrap().calls;
    calls.iter().find(|(number, _)| i64::from(*number) == syscall).map_or(0, |(_, calls)| *calls)
}

/// How often a load forked.
pub(crate) fn forks_of(sample: &KernelSample, load: &Load) -> Option<u64> {
    let by_parent = &sample.lifecycle.as_ref().unwrap().forks_by_parent;
    by_parent.iter().find(|(pid, _)| *pid == load.pid()).map(|(_, forks)| *forks)
}

#[test]
fn system_calls_are_counted_by_number_and_sampled_by_process() {
    let Some((load, sample)) = counted(&Settings::default(), "getsid 10000") else { return };
    let count = calls(&sample, libc::SYS_getsid);
    assert!((10_000..10_100).contains(&count), "{count} calls");
    let syscalls = sample.syscalls.unwrap();
    let of_load = |row: &&_| {
        matches!(row, kernelsight::observe::sample::SyscallsOfProcess { pid, syscall, .. }
        if *pid == load.pid() && i64::from(*syscall) == libc::SYS_getsid)
    };
    let estimate = syscalls.by_process.iter().find(of_load).unwrap().calls;
    // One sample more or less on each CPU that it ran on.
    let slack = u64::from(syscalls.sampled_one_in) * std::thread::available_parallelism().unwrap().get() as u64;
    assert!(estimate.abs_diff(10_000) <= slack, "{estimate} calls of {slack} near 10000");
}

#[test]
fn calls_of_the_agent_itself_are_not_counted() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let before = kernel.sample().unwrap();
    for _ in 0..10_000 {
        unistd::getpgid(None).unwrap();
    }
    let count = calls(&kernel.sample().unwrap().since(&before), libc::SYS_getpgid);
    assert!(count < 1_000, "{count} calls");
}

#[test]
fn errors_are_counted_with_their_cgroup_and_the_process_that_most_came_from() {
    let Some((load, sample)) = counted(&Settings::default(), "close_bad 500") else { return };
    let errors = sample.syscalls.unwrap().errors;
    let error = errors
        .iter()
        .find(|error| {
            i64::from(error.syscall) == libc::SYS_close && error.errno == libc::EBADF as u32 && error.pid == load.pid()
        })
        .unwrap();
    assert!((500..520).contains(&error.count), "{error:?}");
    assert_eq!(error.cgroup_id, unified_cgroup_id(load.pid()));
}

#[test]
fn the_filesystem_that_has_no_room_is_told_with_the_call_that_failed() {
    let Some((load, sample)) = counted(&Settings::default(), "full 500") else { return };
    let of_load = |error: &&SyscallError| error.pid == load.pid() && error.errno == libc::ENOSPC as u32;
    let errors: Vec<SyscallError> =
        sample.syscalls.unwrap().errors.into_iter().filter(|error| of_load(&error)).collect();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert!((500..520).contains(&error.count), "{error:?}");
    let device = stat("/dev/full").unwrap().st_dev;
    let (major, minor) = (libc::major(device), libc::minor(device));
    assert_eq!(error.device, Some(DeviceNumber { major, minor }));
}

#[test]
fn only_calls_that_do_not_wait_by_nature_are_timed() {
    let Some((_load, sample)) = counted(&Settings::default(), "fsync 20") else { return };
    let latency = sample.syscalls.unwrap().latency;
    let fsync = latency.iter().find(|(number, _)| i64::from(*number) == libc::SYS_fsync).unwrap();
    assert!(fsync.1.count() >= 20, "{fsync:?}");
    for waits in [libc::SYS_futex, libc::SYS_read, libc::SYS_epoll_wait, libc::SYS_nanosleep, libc::SYS_wait4] {
        assert!(!latency.iter().any(|(number, _)| i64::from(*number) == waits), "call {waits} is timed");
    }
}

#[test]
fn system_calls_are_counted_while_they_are_watched_and_only_then() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let getsids = |kernel: &mut Kernel| {
        let before = kernel.sample().unwrap();
        Load::run("getsid 1000");
        let after = kernel.sample().unwrap();
        let watched_ns = |sample: &KernelSample| sample.syscalls.as_ref().unwrap().watched_ns;
        (calls(&after, libc::SYS_getsid) - calls(&before, libc::SYS_getsid), watched_ns(&after) - watched_ns(&before))
    };
    kernel.watch_calls(false);
    assert_eq!(getsids(&mut kernel), (0, 0));
    kernel.watch_calls(true);
    let (count, watched_ns) = getsids(&mut kernel);
    assert!((1000..1100).contains(&count) && watched_ns > 1_000_000, "{count} calls in {watched_ns} ns");
}

#[test]
fn a_call_that_began_before_they_were_watched_is_not_timed() {
    let settings = Settings { agent_pid: 0, ..Settings::default() };
    let Some(mut kernel) = kernel(&settings) else { return };
    let dir = tempfile::tempdir().unwrap();
    // Who connects waits for room in the queue; and a connect is timed.
    for (pause, expected) in [(false, 1), (true, 0)] {
        let path = dir.path().join(format!("{pause}.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        socket::listen(&listener, socket::Backlog::new(0).unwrap()).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        let waiting = thread::spawn({
            let path = path.clone();
            move || UnixStream::connect(path).unwrap()
        });
        thread::sleep(Duration::from_millis(300));
        let before = kernel.sample().unwrap();
        if pause {
            kernel.watch_calls(false);
            kernel.watch_calls(true);
        }
        listener.accept().unwrap();
        waiting.join().unwrap();
        let slow = |sample: KernelSample| {
            let latency = sample.syscalls.unwrap().latency;
            let connects = latency.into_iter().find(|(number, _)| i64::from(*number) == libc::SYS_connect);
            // From 134 ms on.
            connects.map_or(0, |(_, latency)| latency.slots[27..].iter().sum::<u64>())
        };
        assert_eq!(slow(kernel.sample().unwrap()) - slow(before), expected, "pause: {pause}");
    }
}

#[test]
fn page_faults_of_users_are_counted() {
    let Some((_load, sample)) = counted(&Settings::default(), "grow 64") else { return };
    let faults = sample.page_faults.unwrap();
    assert!(faults.user >= 64 << 8, "{faults:?}");
}

#[test]
fn forks_are_counted_for_the_parent() {
    let Some((load, sample)) = counted(&Settings::default(), "fork 100") else { return };
    assert_eq!(forks_of(&sample, &load), Some(100), "{:?}", sample.lifecycle);
    let lifecycle = sample.lifecycle.unwrap();
    assert!(lifecycle.forks >= 100 && lifecycle.execs >= 100 && lifecycle.exits >= 100, "{lifecycle:?}");
    assert_eq!(lifecycle.forks_untold, 0);
}

#[test]
fn tasks_that_wait_for_a_cpu_are_seen_in_the_run_queue() {
    let cpus = std::thread::available_parallelism().unwrap().get();
    // Long enough for a guest whose emulator is itself kept waiting: it saw two of such waits in 300 ms.
    let Some((_load, sample)) = counted(&Settings::default(), &format!("threads {} 3000", cpus + 1)) else { return };
    let run_queue = sample.run_queue.unwrap();
    // Three threads on two CPUs wait for each other for at least a tick of a millisecond.
    assert!(run_queue.slots[20..].iter().sum::<u64>() > 5, "{run_queue:?}");
}

#[test]
fn the_page_cache_is_counted_in_pages() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("file");
    let Some((_load, sample)) = counted(&Settings::default(), &format!("write_file {} 16", path.display())) else {
        return;
    };
    let memory = sample.memory.unwrap();
    assert!(memory.page_cache_added >= 16 << 8, "{memory:?}");
}

#[test]
fn block_requests_are_counted_by_device_and_operation() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Some(device) = LoopDevice::of(&directory.path().join("disk"), 32 << 20) else { return };
    let Some((_load, sample)) = counted(&Settings::default(), &format!("write_direct {} 64 65536", device.path)) else {
        return;
    };
    let name = device.path.trim_start_matches("/dev/");
    let is_write = |row: &&BlockCounters| row.device.as_str() == name && row.operation == BlockOperation::Write;
    let block = sample.block.unwrap();
    let writes = block.iter().find(is_write).unwrap();
    assert_eq!((writes.bytes, writes.latency.count(), writes.errors, writes.in_flight), (4 << 20, 64, 0, 0));
}

/// A block device of its own over a file.
struct LoopDevice {
    path: String,
}

impl LoopDevice {
    /// None, with a word why, where the machine grants none.
    fn of(file: &Path, bytes: u64) -> Option<Self> {
        fs::File::create(file).unwrap().set_len(bytes).unwrap();
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output().unwrap();
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no loop device: {reason}");
            eprintln!("skipped: no loop device: {reason}");
            return None;
        }
        Some(Self { path: String::from_utf8(output.stdout).unwrap().trim().to_owned() })
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        _ = Command::new("losetup").args(["--detach", &self.path]).status();
    }
}

/// Inode of the process's directory in the unified hierarchy.
pub(crate) fn unified_cgroup_id(pid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap();
    let mount = mount.split(' ').nth(4).unwrap();
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    fs::metadata(format!("{mount}{path}")).unwrap().ino()
}
