//! The task iterator against `/proc`.

use std::{fs, os::unix::fs::MetadataExt as _};

use kernelsight::observe::{
    kernel::{Kernel, Settings, State, TaskRow},
    offsets::Types,
};

use crate::{
    kernel_child::{Load, kernel},
    kernel_counters::unified_cgroup_id,
};

fn row(kernel: &mut Kernel, load: &Load) -> TaskRow {
    let rows = kernel.tasks().unwrap();
    assert!(rows.is_sorted_by_key(|row| row.sample.id.pid));
    rows.into_iter().find(|row| row.sample.id == load.id()).unwrap()
}

/// A line of `/proc/PID/status`.
fn status(pid: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_process_is_told_as_proc_tells_it() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let load = Load::run("grow 40");
    let pid = load.pid();
    let row = row(&mut kernel, &load);
    let sample = &row.sample;
    assert_eq!(u64::from(sample.parent_pid), status(pid, "PPid"));
    assert_eq!(u64::from(sample.threads), status(pid, "Threads"));
    assert_eq!(sample.comm.as_str(), fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim());
    assert_eq!((sample.nice, sample.kernel_thread, sample.swap_bytes), (0, false, 0));
    // Counted in batches, of 64 pages and more on large machines, by each CPU.
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    let slack = 3 * cpus * (2 * cpus).max(32) * 4096;
    let rss_bytes = status(pid, "VmRSS") * 1024;
    assert!(sample.rss_bytes.abs_diff(rss_bytes) <= slack, "{} and {rss_bytes} bytes", sample.rss_bytes);
    assert_eq!(sample.open_files, Some(fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64));
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    assert_eq!(sample.open_files_limit, limit.split_whitespace().next().unwrap().parse().ok());
    assert!(sample.minor_faults >= 40 << 8, "{sample:?}");
    assert!(sample.cpu_time_ns > 1_000_000, "{sample:?}");
    assert_eq!(row.unified_cgroup_id, unified_cgroup_id(pid));
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    if let Some(path) = cgroups.lines().find_map(|line| line.split_once(":memory:")) {
        let inode = fs::metadata(format!("/sys/fs/cgroup/memory{}", path.1)).unwrap().ino();
        assert_eq!(row.memory_cgroup_id, Some(inode));
    }
}

#[test]
fn many_open_files_are_counted() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let load = Load::run("open_files 700");
    let open = fs::read_dir(format!("/proc/{}/fd", load.pid())).unwrap().count() as u64;
    assert!(open > 700);
    assert_eq!(row(&mut kernel, &load).sample.open_files, Some(open));
}

#[test]
fn what_ended_threads_did_stays_with_their_process() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let mut load = Load::prepare("threads 8 30");
    let before = row(&mut kernel, &load).sample;
    load.go();
    load.finish();
    let after = row(&mut kernel, &load).sample;
    let spun_ns = after.cpu_time_ns - before.cpu_time_ns;
    assert!(spun_ns >= 8 * 30_000_000, "{spun_ns} ns");
    let switches = |sample: &kernelsight::observe::sample::ProcessSample| {
        sample.voluntary_switches.unwrap() + sample.involuntary_switches.unwrap()
    };
    assert!(switches(&after) >= switches(&before) + 8);
}

#[test]
fn bytes_of_io_are_told_for_the_process() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut load = Load::prepare(&format!("write_file {} 8", directory.path().join("file").display()));
    let before = row(&mut kernel, &load).sample.written_bytes.unwrap();
    load.go();
    load.finish();
    let after = row(&mut kernel, &load).sample.written_bytes.unwrap();
    // Under pressure the filesystem may charge a page of its own beside the file's.
    let written = after - before;
    assert!((8 << 20..=(8 << 20) + (64 << 10)).contains(&written), "{written} bytes of 8 MiB");
}

#[test]
fn kernel_threads_are_told_apart() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let rows = kernel.tasks().unwrap();
    let kthreadd = rows.iter().find(|row| row.sample.id.pid == 2).unwrap();
    assert!(kthreadd.sample.kernel_thread && kthreadd.sample.rss_bytes == 0, "{kthreadd:?}");
}

#[test]
fn a_kernel_without_io_accounting_tells_no_bytes_and_says_so() {
    let settings = Settings::default();
    if kernel(&settings).is_none() {
        return;
    }
    let types = Types::running().unwrap().without("task_struct.ioac.read_bytes");
    let mut kernel = Kernel::load_with(&settings, types);
    let probe = kernel.probes().into_iter().find(|probe| probe.name == "tasks").unwrap();
    let reason = "no bytes of I/O by process: the running kernel has no field task_struct.ioac.read_bytes";
    assert_eq!(probe.state, State::Degraded { reason: reason.to_owned() });
    let rows = kernel.tasks().unwrap();
    assert!(rows.iter().all(|row| row.sample.read_bytes.is_none() && row.sample.written_bytes.is_none()));
    assert!(rows.iter().any(|row| row.sample.minor_faults > 0));
}
