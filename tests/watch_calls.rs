//! System calls are watched a moment now and then, and all the time while somebody asks for it.

use std::{
    ffi::OsStr,
    fs,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use kernelsight::observe::{
    Sample, Severity,
    classify::{Change, measure},
    kernel::Settings,
    sample::SyscallCounters,
};

use crate::{
    classify_faults::{FAULTS, Fault},
    classify_machine::{Machine, psi, syscalls},
    daemon::Daemon,
    execute_support::is_root,
    kernel_child::kernel,
};

/// What is attached hangs on a link.
const LINK: &str = "anon_inode:bpf_link";
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What others do on this machine may ask for every call for a while.
const WITHIN: Duration = Duration::from_secs(150);
/// Longer than nobody looks between two moments.
const LONGER: Duration = Duration::from_secs(6);

/// Programs that the daemon has attached now.
fn attached(daemon: &Daemon) -> usize {
    let links = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    // One may be closed meanwhile.
    let targets = links.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    targets.filter(|to| to.as_os_str() == LINK).count()
}

/// How many were attached at most while they were looked at for [`LONGER`], if it was always so many.
fn steadily_attached(daemon: &Daemon) -> Result<usize, (usize, usize)> {
    let begun = Instant::now();
    let (mut least, mut most) = (usize::MAX, 0);
    while begun.elapsed() < LONGER {
        let now = attached(daemon);
        (least, most) = (least.min(now), most.max(now));
        sleep(LOOK_EVERY);
    }
    if least == most { Ok(most) } else { Err((least, most)) }
}

#[test]
fn system_calls_are_watched_in_moments_and_without_a_pause_while_events_are_followed() {
    let Some(_) = kernel(&Settings::default()).filter(|_| is_root()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path(), "advisor");
    let begun = Instant::now();
    let (least, most) = loop {
        if let Err(range) = steadily_attached(&daemon) {
            break range;
        }
        assert!(begun.elapsed() < WITHIN, "it never looked away, or never looked: {} links", attached(&daemon));
    };
    assert_eq!(most - least, 2, "one at the entry, one at the exit");

    let mut follower = daemon.command(&["watch", "--raw"]).stdout(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while steadily_attached(&daemon) != Ok(most) {
        assert!(begun.elapsed() < WITHIN, "it looked away from who follows");
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn who_wants_them_always_has_them_always() {
    let Some(_) = kernel(&Settings::default()).filter(|_| is_root()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), "advisor", &["--watch-calls", "always"].map(OsStr::new));
    assert!(steadily_attached(&daemon).is_ok_and(|links| links > 2));
}

/// One second of a fault of whose calls the agent watched a part.
fn watched_for(share: f64, each_second: impl Fn(&mut Sample), sample: &mut Sample) {
    let before = sample.kernel.syscalls.clone().unwrap();
    each_second(sample);
    let SyscallCounters { watched_ns, calls, errors, latency, by_process, .. } = syscalls(sample);
    *watched_ns -= ((1.0 - share) * 1e9) as u64;
    let part = |now: &mut u64, before: u64| *now = before + (share * (*now - before) as f64) as u64;
    for (at, (_, now)) in calls.iter_mut().enumerate() {
        part(now, before.calls.get(at).map_or(0, |(_, calls)| *calls));
    }
    for (at, now) in errors.iter_mut().enumerate() {
        part(&mut now.count, before.errors.get(at).map_or(0, |error| error.count));
    }
    for (at, now) in by_process.iter_mut().enumerate() {
        part(&mut now.calls, before.by_process.get(at).map_or(0, |row| row.calls));
    }
    for (at, (_, now)) in latency.iter_mut().enumerate() {
        for (slot, now) in now.slots.iter_mut().enumerate() {
            // Those that take longer than a moment are not seen in one.
            let seen = if share < 1.0 && slot >= MOMENT_SLOT { 0.0 } else { share };
            let before = before.latency.get(at).map_or(0, |(_, before)| before.slots[slot]);
            *now = before + (seen * (*now - before) as f64) as u64;
        }
    }
}

/// Slot of a histogram from which on a call takes longer than a moment: 268 ms.
const MOMENT_SLOT: usize = 28;

/// Runs a fault as the spine would have it seen: a moment in five seconds, and every second once that is asked for.
/// Answers the worst that its signal has been, and whether every call was asked for.
fn run(fault: &Fault, each_second: impl Fn(&mut Sample)) -> (Option<Severity>, bool) {
    let mut machine = Machine::new();
    let mut asked = false;
    for second in 0..60 {
        asked |= machine.classification.wants_calls();
        let share = if machine.classification.wants_calls() {
            1.0
        } else if second % 5 == 0 {
            0.25
        } else {
            0.0
        };
        machine.run(1, |sample| watched_for(share, &each_second, sample));
    }
    let told = machine.changes.iter().map(Change::signal);
    let of_it = told.filter(|signal| signal.measure == fault.measure && signal.entity == (fault.entity)());
    (of_it.map(|signal| signal.peak_severity).max(), asked)
}

#[test]
fn what_is_read_off_calls_is_seen_though_they_are_watched_now_and_then() {
    let mut wrong = String::new();
    let of_calls = |fault: &&Fault| measure(fault.signal, fault.measure).is_some_and(|measure| measure.of_calls);
    for fault in FAULTS.iter().filter(of_calls) {
        // What is slow is looked for once somebody waits.
        let is_slow = fault.measure.ends_with("p99_ns");
        let (found, asked) = run(fault, fault.each_second);
        if (found >= Some(fault.least)) == is_slow {
            wrong += &format!("{}: {found:?}, asked for every call: {asked}\n", fault.name);
        }
        // A rate that is high is told by a moment as well as by a second.
        let is_rate = ["process_calls_per_s", "syncs_per_s", "other_errors_weighed_per_s"].contains(&fault.measure);
        if asked == (is_rate || is_slow) {
            wrong += &format!("{}: asked for every call: {asked}\n", fault.name);
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn slow_calls_are_looked_for_once_somebody_waits_for_io() {
    let waits = |sample: &mut Sample| psi(sample).io.some_total_us += 900_000;
    for name in ["slow calls", "fsync_storm by its latency"] {
        let fault = FAULTS.iter().find(|fault| fault.name == name).unwrap();
        let (found, asked) = run(fault, |sample| {
            waits(sample);
            (fault.each_second)(sample);
        });
        assert!(asked && found >= Some(fault.least), "{name}: {found:?}");
    }
}
