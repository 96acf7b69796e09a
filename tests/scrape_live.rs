//! The scrapers on this machine: against processes and control groups of our own.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kernelsight::{
    observe::{
        Sample,
        kernel::Settings,
        sample::{CGROUPS_PER_SAMPLE, CgroupIds, CgroupSample, ProcessSample},
        scrape::{
            CgroupMounts, CgroupVersion, Context, Controller, Document, SOURCES, Scrape, ScrapeError, Scraped, Scraper,
            Source, SourceState, TaskTable, cgroups, filesystems,
        },
    },
    text::Text,
};
use nix::sys::statvfs::statvfs;

use crate::kernel_child::kernel;

/// A child that is ended and reaped whatever happens.
struct OwnChild(Child);

impl OwnChild {
    fn shell(script: &str) -> Self {
        let child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Self(child.unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Lets a script that waits in `read` go on.
    fn go(&mut self) {
        self.0.stdin.take();
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cgroup of our own in one controller's hierarchy; made by a test, removed with it.
struct OwnCgroup {
    directory: PathBuf,
    version: CgroupVersion,
    path: Text,
}

impl OwnCgroup {
    /// None, with the reason printed, where this machine does not let us (a failure under CI).
    fn make(controller: Controller, probe: &str, name: &str) -> Option<Self> {
        let mounts = cgroups::mounts().unwrap();
        let name = format!("ks-test-{name}-{}", std::process::id());
        let made = mounts.directory(controller, &Text::from("/")).and_then(|root| {
            if root.version == CgroupVersion::V2 {
                let _ = fs::write(root.path.join("cgroup.subtree_control"), "+memory +cpu +pids");
            }
            let directory = root.path.join(&name);
            fs::create_dir(&directory).ok()?;
            let path = Text::from(format!("/{name}").as_str());
            let made = Self { directory, version: root.version, path };
            let file = if root.version == CgroupVersion::V1 { "cgroup.procs" } else { probe };
            made.directory.join(file).exists().then_some(made)
        });
        if made.is_none() {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "no cgroup of our own can be made for {controller:?}"
            );
            eprintln!("skipped: no cgroup of our own can be made for {controller:?}");
        }
        made
    }

    fn write(&self, v1: (&str, &str), v2: (&str, &str)) {
        let (file, value) = if self.version == CgroupVersion::V1 { v1 } else { v2 };
        fs::write(self.directory.join(file), value).unwrap();
    }

    fn add(&self, pid: u32) {
        fs::write(self.directory.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    fn of<'a>(&self, sample: &'a Sample) -> &'a CgroupSample {
        sample.cgroups.iter().find(|cgroup| cgroup.path == self.path).expect("a cgroup that is there is in the sample")
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        let gone = eventually(|| fs::remove_dir(&self.directory).is_ok());
        if !gone && !thread::panicking() {
            panic!("{} could not be removed", self.directory.display());
        }
    }
}

/// Asks until it is so, for at most 10 s.
fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if is_so() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    is_so()
}

fn process(sample: &Sample, pid: u32) -> &ProcessSample {
    sample.processes.iter().find(|process| process.id.pid == pid).expect("a living process is in the sample")
}

/// Field 22 of its stat, read here in another way: our children's names have no parentheses.
fn start_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.split_whitespace().nth(21).unwrap().parse().unwrap()
}

#[test]
fn every_source_serves_or_says_why_not() {
    let mut scraper = Scraper::new();
    let sample = scraper.sample(None);
    for status in scraper.status() {
        eprintln!("{status:?}");
        assert!(!matches!(status.state, SourceState::New | SourceState::Failed { .. }), "{status:?}");
        assert_eq!(status.runs, 1);
        assert!(status.last_run_ns > 0);
    }
    assert_eq!(scraper.status().count(), SOURCES.len());
    assert!(sample.at_ns > 0 && sample.wall_ms > 1_600_000_000_000);
    let memory = sample.node.memory.unwrap();
    assert!(memory.available_bytes > 0 && memory.available_bytes < memory.total_bytes);
    let cpu = sample.node.cpu.unwrap();
    assert!(cpu.online > 0 && cpu.idle_ns + cpu.user_ns > 0);
    assert!(sample.node.vmstat.unwrap().faults > 0);
    assert!(sample.node.load.unwrap().tasks > 0);
    assert!(sample.node.files.unwrap().allocated > 0);
    let limits = sample.node.limits.unwrap();
    assert!(limits.pid_max >= 301 && limits.local_port_low < limits.local_port_high);
    assert!(sample.node.interfaces.iter().any(|interface| interface.name.as_str() == "lo"));
    for filesystem in &sample.node.filesystems {
        let told = statvfs(filesystem.path.as_str()).unwrap();
        assert_eq!(filesystem.total_bytes, told.blocks() * told.fragment_size(), "{filesystem:?}");
        assert!((0.0..=100.0).contains(&filesystem.used_percent()), "{filesystem:?}");
    }
    assert!(sample.processes.is_sorted_by_key(|process| process.id.pid));
    assert!(sample.cgroups.iter().any(|cgroup| cgroup.path.as_str() == "/"));
}

#[test]
fn counters_go_on_from_tick_to_tick() {
    let mut scraper = Scraper::new();
    let first = scraper.sample(None);
    thread::sleep(Duration::from_millis(50));
    let second = scraper.sample(None);
    assert!(second.at_ns >= first.at_ns + 50_000_000);
    let (first, second) = (first.node, second.node);
    let (before, after) = (first.cpu.unwrap(), second.cpu.unwrap());
    assert!(after.context_switches > before.context_switches, "a kept file is read anew");
    assert!(second.vmstat.unwrap().faults >= first.vmstat.unwrap().faults);
}

#[test]
fn a_source_that_fails_stops_no_other_and_is_asked_again() {
    #[derive(Debug)]
    struct Twice(u32);
    impl Scrape for Twice {
        fn scrape(&mut self, _: &mut Context, _: &mut Sample) -> Result<Scraped, ScrapeError> {
            self.0 += 1;
            if self.0 > 2 {
                return Ok(Scraped::Whole);
            }
            Err(ScrapeError::Missing { path: "/proc/none".into(), wanted: "line" })
        }
    }
    #[derive(Debug)]
    struct Absent;
    impl Scrape for Absent {
        fn scrape(&mut self, _: &mut Context, _: &mut Sample) -> Result<Scraped, ScrapeError> {
            Err(ScrapeError::Off { reason: "not on this machine".into() })
        }
    }
    let mut scraper = Scraper::of(&[
        Source { name: "twice", start: || Box::new(Twice(0)) },
        Source { name: "absent", start: || Box::new(Absent) },
        kernelsight::observe::scrape::memory::SOURCE,
    ]);
    let first = scraper.sample(None);
    assert!(first.node.memory.is_some());
    scraper.sample(None);
    let states: Vec<_> = scraper.status().cloned().collect();
    let expected = SourceState::Failed { reason: "/proc/none: no line".into(), since_ms: first.wall_ms };
    assert_eq!((states[0].runs, &states[0].state), (2, &expected));
    assert_eq!((states[1].runs, &states[1].state), (1, &SourceState::Off { reason: "not on this machine".into() }));
    assert_eq!((states[2].runs, &states[2].state), (2, &SourceState::On));
    assert_eq!(
        serde_json::to_value(&states[1]).unwrap()["reason"],
        serde_json::Value::from("not on this machine"),
        "status shows it"
    );
    scraper.sample(None);
    assert_eq!(scraper.status().next().unwrap().state, SourceState::On);
}

#[test]
fn our_spinner_has_cpu_time_memory_and_its_start_time() {
    let spinner = OwnChild::shell("while :; do :; done");
    let mut scraper = Scraper::new();
    let mut sample = scraper.sample(None);
    assert!(eventually(|| {
        sample = scraper.sample(None);
        process(&sample, spinner.pid()).cpu_time_ns >= 50_000_000
    }));
    let seen = process(&sample, spinner.pid());
    assert_eq!(seen.id.start_ticks, start_ticks(spinner.pid()));
    assert_eq!((seen.parent_pid, seen.comm.as_str(), seen.threads), (std::process::id(), "sh", 1));
    assert!((64 << 10..64 << 20).contains(&seen.rss_bytes), "{}", seen.rss_bytes);
    assert!(seen.minor_faults > 0 && !seen.kernel_thread);
    assert!(seen.voluntary_switches.is_some() && seen.run_delay_ns.is_some());
    let own = process(&sample, std::process::id());
    assert!(own.threads > 1 && own.voluntary_switches.is_none(), "one thread's switches are not the process's");
}

#[test]
fn a_process_that_names_itself_hostilely_is_read_right() {
    let mut child = OwnChild::shell("printf ') R 1\\n(\\377' > /proc/$$/comm; read line; read line");
    let wanted = Text::from_bytes(b") R 1\n(\xff");
    let mut scraper = Scraper::new();
    assert!(eventually(|| process(&scraper.sample(None), child.pid()).comm == wanted));
    let sample = scraper.sample(None);
    assert_eq!(process(&sample, child.pid()).parent_pid, std::process::id());
    child.go();
}

#[test]
fn processes_that_come_and_go_while_we_read_are_no_error() {
    let _storm = OwnChild::shell("while :; do (exit 0) & (exit 0) & wait; done");
    let mut scraper = Scraper::new();
    for _ in 0..50 {
        let sample = scraper.sample(None);
        assert!(!sample.processes.is_empty());
        for status in scraper.status() {
            assert!(!matches!(status.state, SourceState::Failed { .. }), "{status:?}");
        }
    }
}

#[test]
fn a_process_that_ended_leaves_the_sample() {
    let child = OwnChild::shell("read line");
    let pid = child.pid();
    let mut scraper = Scraper::new();
    assert_eq!(process(&scraper.sample(None), pid).id.pid, pid);
    drop(child);
    assert!(scraper.sample(None).processes.iter().all(|process| process.id.pid != pid));
}

#[test]
fn open_files_and_their_limit_are_told_of_a_watched_process() {
    let child = OwnChild::shell("ulimit -Sn 77; exec 5</dev/null 6</dev/null 7</dev/null; echo; read line");
    let count = || fs::read_dir(format!("/proc/{}/fd", child.pid())).unwrap().count() as u64;
    assert!(eventually(
        || count() >= 6 && fs::read_to_string(format!("/proc/{}/limits", child.pid())).unwrap().contains(" 77 ")
    ));
    let mut scraper = Scraper::new();
    scraper.context.watch_files_of.insert(child.pid());
    let sample = scraper.sample(None);
    let seen = process(&sample, child.pid());
    assert_eq!((seen.open_files, seen.open_files_limit), (Some(count()), Some(77)));
    assert!(sample.processes.iter().filter(|process| process.open_files.is_some()).count() < 40, "few are asked");
}

#[test]
fn filesystems_are_asked_anew_when_somebody_begins_to_find_no_room() {
    let mut scraper = Scraper::of(&[filesystems::SOURCE]);
    let used = |scraper: &mut Scraper| {
        let filesystems = scraper.sample(None).node.filesystems;
        filesystems.iter().find(|one| one.path.as_str() == "/dev/shm").map(|one| one.used_bytes)
    };
    let Some(before) = used(&mut scraper) else {
        eprintln!("skipped: /dev/shm is no filesystem of its own here");
        return;
    };
    let written = 64 << 20;
    let _file = filled_in_memory(written);
    assert_eq!(used(&mut scraper), Some(before), "a disk does not fill from one second to the next");
    scraper.context.no_room = true;
    let now = used(&mut scraper).unwrap();
    assert!(now > before + written / 2, "{now} of {before}");
    let _another = filled_in_memory(written);
    assert_eq!(used(&mut scraper), Some(now), "it is asked once");
}

fn filled_in_memory(bytes: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    fs::write(file.path(), vec![1; usize::try_from(bytes).unwrap()]).unwrap();
    file
}

#[test]
fn sockets_that_listen_are_counted() {
    let count = || {
        let tcp = Scraper::new().sample(None).node.tcp.unwrap();
        assert!(!tcp.states_partial);
        tcp
    };
    let listeners: Vec<_> = (0..20).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let clients: Vec<_> = listeners
        .iter()
        .map(|listener| std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap())
        .collect();
    let served: Vec<_> = listeners.iter().map(|listener| listener.accept().unwrap().0).collect();
    let tcp = count();
    assert!(tcp.listen >= 20, "{tcp:?}");
    assert!(tcp.established >= 40, "{tcp:?}");
    // Closed by the one side only: the other waits to be closed.
    drop(clients);
    assert!(eventually(|| {
        let tcp = count();
        tcp.close_wait >= 20 && tcp.fin_wait >= 20
    }));
    drop(served);
}

#[test]
fn both_ways_to_processes_tell_the_same_cgroups() {
    let child = OwnChild::shell("read line");
    let cgroup = OwnCgroup::make(Controller::Memory, "memory.max", "ways");
    if let Some(cgroup) = &cgroup {
        cgroup.add(child.pid());
    }
    let mounts = cgroups::mounts().unwrap();
    let mut scraper = Scraper::new();
    let by_proc = scraper.sample(None);
    // The kernel's table has ids, which are inode numbers, in the place of paths.
    let id = |directory: Option<PathBuf>| directory.map_or(0, |path| fs::metadata(path).map_or(0, |it| it.ino()));
    let mut table = TaskTable::default();
    for process in by_proc.processes.iter().filter(|process| process.cgroup.is_plain()) {
        let v1 = mounts.v1(Controller::Memory).and(mounts.path_of(Controller::Memory, &process.cgroup));
        let unified = mounts.unified_path_of(&process.cgroup).or(mounts.unified_path_of(&Text::from("/")));
        table.cgroups.push(CgroupIds { unified: id(unified), memory: id(v1) });
        table.processes.push(ProcessSample { cgroup: Text::default(), ..process.clone() });
    }
    table.processes.reverse();
    table.cgroups.reverse();
    let by_table = scraper.sample(Some(table.clone()));
    assert_eq!(by_table.processes.len(), table.processes.len());
    assert!(by_table.processes.is_sorted_by_key(|process| process.id.pid));
    for process in &by_table.processes {
        let other = by_proc.processes.iter().find(|other| other.id == process.id).unwrap();
        assert_eq!((&process.cgroup, process.rss_bytes), (&other.cgroup, other.rss_bytes), "{}", process.id);
    }
    if let Some(cgroup) = &cgroup {
        assert_eq!(process(&by_table, child.pid()).cgroup, cgroup.path);
        assert_eq!(cgroup.of(&by_table).processes, 1);
    }
    drop(child);
    drop(cgroup);
}

#[test]
fn the_kernels_table_and_proc_agree_on_a_process_at_rest() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let child = OwnChild::shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec 5</dev/null; read line");
    let cgroup = OwnCgroup::make(Controller::Memory, "memory.max", "agree");
    if let Some(cgroup) = &cgroup {
        cgroup.add(child.pid());
    }
    let asleep = || fs::read_to_string(format!("/proc/{}/wchan", child.pid())).unwrap().contains("pipe");
    assert!(eventually(asleep), "{:?}", fs::read_to_string(format!("/proc/{}/wchan", child.pid())));
    let mut table = TaskTable::default();
    for row in kernel.tasks().unwrap() {
        let memory = row.memory_cgroup_id.unwrap_or(0);
        table.cgroups.push(CgroupIds { unified: row.unified_cgroup_id, memory });
        table.processes.push(row.sample);
    }
    let by_table = Scraper::new().sample(Some(table));
    let mut scraper = Scraper::new();
    scraper.context.watch_files_of.insert(child.pid());
    let by_proc = scraper.sample(None);
    let (table, proc) = (process(&by_table, child.pid()), process(&by_proc, child.pid()));
    assert_eq!(table.id, proc.id);
    assert_eq!((&table.comm, &table.cgroup, table.parent_pid), (&proc.comm, &proc.cgroup, proc.parent_pid));
    assert_eq!((table.threads, table.nice, table.kernel_thread), (proc.threads, proc.nice, proc.kernel_thread));
    assert_eq!((table.minor_faults, table.major_faults), (proc.minor_faults, proc.major_faults));
    assert_eq!(table.voluntary_switches, proc.voluntary_switches);
    assert_eq!(table.involuntary_switches, proc.involuntary_switches);
    assert_eq!((table.run_delay_ns, table.swap_bytes), (proc.run_delay_ns, proc.swap_bytes));
    assert_eq!((table.read_bytes, table.written_bytes), (proc.read_bytes, proc.written_bytes));
    assert_eq!((table.open_files, table.open_files_limit), (proc.open_files, proc.open_files_limit));
    // The one counts by the clock, the other in ticks; the one reads sums, the other counters that lag by batches.
    assert!(table.cpu_time_ns.abs_diff(proc.cpu_time_ns) <= 20_000_000, "{table:?} {proc:?}");
    assert!(table.rss_bytes.abs_diff(proc.rss_bytes) <= 2 << 20, "{table:?} {proc:?}");
    // All that both saw are in the same cgroups, but for those that moved between.
    let other = |seen: &ProcessSample| by_proc.processes.iter().find(|other| other.id == seen.id);
    let both: Vec<_> = by_table.processes.iter().filter_map(|seen| other(seen).map(|other| (seen, other))).collect();
    let differ = both.iter().filter(|(seen, other)| seen.cgroup != other.cgroup).count();
    assert!(both.len() > 10 && differ * 20 <= both.len(), "{differ} of {} differ", both.len());
    drop(child);
    drop(cgroup);
}

#[test]
fn an_id_that_no_directory_has_is_asked_of_the_process() {
    let mut scraper = Scraper::new();
    let mut own = process(&scraper.sample(None), std::process::id()).clone();
    let cgroup = std::mem::take(&mut own.cgroup);
    let cgroups = vec![CgroupIds { unified: u64::MAX, memory: u64::MAX }];
    let sample = scraper.sample(Some(TaskTable { processes: vec![own], cgroups }));
    assert_eq!(process(&sample, std::process::id()).cgroup, cgroup);
}

#[test]
fn a_memory_cgroup_tells_its_limit_its_usage_and_its_kills() {
    const LIMIT_BYTES: u64 = 24 << 20;
    let Some(cgroup) = OwnCgroup::make(Controller::Memory, "memory.max", "memory") else { return };
    let mut scraper = Scraper::new();
    scraper.sample(None);
    let limit = LIMIT_BYTES.to_string();
    cgroup.write(("memory.limit_in_bytes", &limit), ("memory.max", &limit));
    let mut hog = OwnChild::shell("read line; exec tail /dev/zero");
    cgroup.add(hog.pid());
    scraper.context.watch_cgroups.insert(cgroup.path.clone());
    let before = scraper.sample(None);
    let memory = cgroup.of(&before).memory.clone().unwrap();
    assert_eq!((memory.limit_bytes, memory.oom_kills), (Some(LIMIT_BYTES), 0));
    assert_eq!(process(&before, hog.pid()).cgroup, cgroup.path);
    assert_eq!(cgroup.of(&before).processes, 1);
    assert!(cgroup.of(&before).ids != CgroupIds::default());
    hog.go();
    let mut largest_bytes = 0;
    let mut after = before;
    assert!(eventually(|| {
        after = scraper.sample(None);
        let memory = cgroup.of(&after).memory.clone().unwrap();
        largest_bytes = largest_bytes.max(memory.usage_bytes);
        memory.oom_kills > 0
    }));
    let memory = cgroup.of(&after).memory.clone().unwrap();
    assert!(memory.limit_hits > 0 && largest_bytes <= LIMIT_BYTES, "{memory:?} {largest_bytes}");
}

#[test]
fn a_cpu_cgroup_with_a_quota_tells_how_it_is_throttled() {
    let Some(cgroup) = OwnCgroup::make(Controller::Cpu, "cpu.max", "cpu") else { return };
    cgroup.write(("cpu.cfs_quota_us", "5000"), ("cpu.max", "5000 100000"));
    let spinner = OwnChild::shell("while :; do :; done");
    cgroup.add(spinner.pid());
    let mut scraper = Scraper::new();
    let mut cpu = None;
    assert!(eventually(|| {
        cpu = cgroup.of(&scraper.sample(None)).cpu.clone();
        cpu.as_ref().is_some_and(|cpu| cpu.throttled_periods >= 3)
    }));
    let cpu = cpu.unwrap();
    assert_eq!(cpu.quota_percent, Some(5.0));
    assert!(cpu.periods >= cpu.throttled_periods && cpu.throttled_ns > 0, "{cpu:?}");
    let sample = scraper.sample(None);
    assert_eq!(cgroup.of(&sample).processes, 1, "also where the process is named by another hierarchy");
    drop(spinner);
}

#[test]
fn a_cgroup_is_seen_when_it_is_made_and_gone_when_it_is_removed() {
    let mut scraper = Scraper::new();
    scraper.sample(None);
    let Some(cgroup) = OwnCgroup::make(Controller::Freezer, "cgroup.freeze", "freezer") else { return };
    let child = OwnChild::shell("read line");
    cgroup.add(child.pid());
    assert_eq!(cgroup.of(&scraper.sample(None)).frozen, Some(false));
    cgroup.write(("freezer.state", "FROZEN"), ("cgroup.freeze", "1"));
    scraper.context.watch_cgroups.insert(cgroup.path.clone());
    assert!(eventually(|| cgroup.of(&scraper.sample(None)).frozen == Some(true)));
    cgroup.write(("freezer.state", "THAWED"), ("cgroup.freeze", "0"));
    assert!(eventually(|| cgroup.of(&scraper.sample(None)).frozen == Some(false)));
    let path = cgroup.path.clone();
    drop(child);
    drop(cgroup);
    let sample = scraper.sample(None);
    assert!(sample.cgroups.iter().all(|cgroup| cgroup.path != path));
    assert!(scraper.status().all(|status| !matches!(status.state, SourceState::Failed { .. })));
}

#[test]
fn a_v2_hierarchy_is_read_by_its_files() {
    let root = tempfile::tempdir().unwrap();
    let slice = root.path().join("web.slice");
    let service = slice.join("shop.service");
    fs::create_dir_all(&service).unwrap();
    let put = |file: &str, text: &str| fs::write(service.join(file), text).unwrap();
    put("memory.current", "52428800\n");
    put("memory.max", "67108864\n");
    put("memory.high", "max\n");
    put("memory.swap.max", "16777216\n");
    put("memory.swap.current", "4194304\n");
    put("memory.stat", "anon 41943040\nfile 8388608\nkernel 1\n");
    put("memory.events", "low 0\nhigh 0\nmax 17\noom 2\noom_kill 1\n");
    put("cpu.stat", "usage_usec 2000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 3\n");
    put("cpu.max", "50000 100000\n");
    put("pids.current", "9\n");
    put("pids.max", "max\n");
    put("pids.events", "max 3\n");
    put(
        "memory.pressure",
        "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=5\n",
    );
    put("cgroup.events", "populated 1\nfrozen 1\n");
    put("cgroup.procs", "1\n2\n3\n");
    let mountinfo = format!("31 23 0:28 / {} rw - cgroup2 cgroup2 rw\n", root.path().display());
    let mounts = CgroupMounts::parse(Document::new("mountinfo", mountinfo.as_bytes())).unwrap();
    let mut scraper = Scraper::of(&[cgroups::SOURCE]).with_cgroup_mounts(mounts);
    let first = scraper.sample(None);
    let paths: Vec<&str> = first.cgroups.iter().map(|cgroup| cgroup.path.as_str()).collect();
    assert_eq!(paths, ["/", "/web.slice", "/web.slice/shop.service"]);
    assert!(first.cgroups[1].memory.is_none() && first.cgroups[1].cpu.is_none(), "what is not there is not zero");
    let shop = &first.cgroups[2];
    assert_eq!(shop.ids, CgroupIds { unified: fs::metadata(&service).unwrap().ino(), memory: 0 });
    assert_eq!(scraper.cgroup_by_unified_id(shop.ids.unified), Some(&shop.path));
    let memory = shop.memory.as_ref().unwrap();
    assert_eq!((memory.usage_bytes, memory.limit_bytes, memory.high_bytes), (50 << 20, Some(64 << 20), None));
    assert_eq!((memory.anonymous_bytes, memory.file_bytes), (40 << 20, 8 << 20));
    assert_eq!((memory.limit_hits, memory.oom_kills), (17, 1));
    assert_eq!(memory.swap_room_bytes, Some(12 << 20));
    let cpu = shop.cpu.as_ref().unwrap();
    assert_eq!((cpu.usage_ns, cpu.quota_percent), (Some(2_000_000), Some(50.0)));
    assert_eq!((cpu.periods, cpu.throttled_periods, cpu.throttled_ns), (10, 4, 3000));
    let pids = shop.pids.as_ref().unwrap();
    assert_eq!((pids.current, pids.maximum, pids.refused), (9, None, 3));
    assert_eq!(shop.memory_pressure.unwrap().full_avg10_percent, 0.5);
    assert!(shop.cpu_pressure.is_none() && shop.io_pressure.is_none());
    assert_eq!((shop.frozen, shop.processes), (Some(true), 3));
    put("memory.current", "62914560\n");
    put("memory.swap.max", "max\n");
    put("memory.events", "low 0\nhigh 0\nmax 18\noom 2\noom_kill 2\n");
    put("cpu.stat", "usage_usec 5000\nnr_periods 11\nnr_throttled 5\nthrottled_usec 4\n");
    put("cpu.max", "max 100000\n");
    let second = scraper.sample(None);
    let shop = &second.cgroups[2];
    let (memory, cpu) = (shop.memory.as_ref().unwrap(), shop.cpu.as_ref().unwrap());
    assert_eq!((memory.usage_bytes, memory.limit_hits, memory.oom_kills), (60 << 20, 18, 2));
    assert_eq!(memory.swap_room_bytes, None);
    assert_eq!((cpu.usage_ns, cpu.throttled_periods, cpu.quota_percent), (Some(5_000_000), 5, None));
}

#[test]
fn a_cgroup_in_trouble_is_read_in_full_every_tick_and_idle_ones_in_turns() {
    let root = tempfile::tempdir().unwrap();
    let put = |cgroup: &str, file: &str, text: &str| fs::write(root.path().join(cgroup).join(file), text).unwrap();
    for at in 0..10 {
        let name = format!("idle{at}");
        fs::create_dir(root.path().join(&name)).unwrap();
        put(&name, "pids.current", "1\n");
        put(&name, "pids.max", "max\n");
        put(&name, "pids.events", "max 0\n");
    }
    let mountinfo = format!("31 23 0:28 / {} rw - cgroup2 cgroup2 rw\n", root.path().display());
    let mounts = CgroupMounts::parse(Document::new("mountinfo", mountinfo.as_bytes())).unwrap();
    let mut scraper = Scraper::of(&[cgroups::SOURCE]).with_cgroup_mounts(mounts);
    let refused = |sample: &Sample, path: &str| {
        let cgroup = sample.cgroups.iter().find(|cgroup| cgroup.path.as_str() == path).unwrap();
        cgroup.pids.as_ref().unwrap().refused
    };
    scraper.sample(None);
    // Every one is looked at within as many ticks as its turn takes: eleven cgroups, two a tick.
    put("idle7", "pids.events", "max 1\n");
    let found = (0..6).position(|_| refused(&scraper.sample(None), "/idle7") == 1);
    assert!(found.is_some());
    // And from then on at once, as long as it goes on.
    for hits in 2..6 {
        put("idle7", "pids.events", &format!("max {hits}\n"));
        assert_eq!(refused(&scraper.sample(None), "/idle7"), hits);
    }
    scraper.context.watch_cgroups.insert(Text::from("/idle3"));
    put("idle3", "pids.events", "max 9\n");
    assert_eq!(refused(&scraper.sample(None), "/idle3"), 9, "so is one that is watched");
}

#[test]
fn cgroups_beyond_the_most_are_counted_and_the_deepest_left_out() {
    let root = tempfile::tempdir().unwrap();
    for at in 0..CGROUPS_PER_SAMPLE {
        fs::create_dir_all(root.path().join(format!("{at:04}/deep"))).unwrap();
    }
    let mountinfo = format!("31 23 0:28 / {} rw - cgroup2 cgroup2 rw\n", root.path().display());
    let mounts = CgroupMounts::parse(Document::new("mountinfo", mountinfo.as_bytes())).unwrap();
    let mut scraper = Scraper::of(&[cgroups::SOURCE]).with_cgroup_mounts(mounts);
    let sample = scraper.sample(None);
    assert_eq!(sample.cgroups.len(), CGROUPS_PER_SAMPLE);
    assert_eq!(sample.cgroups_left_out, CGROUPS_PER_SAMPLE as u64 + 1);
    assert!(sample.cgroups.iter().all(|cgroup| !cgroup.path.as_str().contains("deep")));
    let state = &scraper.status().next().unwrap().state;
    assert!(matches!(state, SourceState::Partial { reason } if reason.starts_with("1025 cgroups")), "{state:?}");
    let deep = fs::metadata(root.path().join("0007/deep")).unwrap().ino();
    assert_eq!(scraper.cgroup_by_unified_id(deep), Some(&Text::from("/0007/deep")), "it is still named");
}

#[test]
fn a_cgroup_whose_name_is_escaped_is_found_and_one_that_leads_elsewhere_is_not() {
    let Some(cgroup) = OwnCgroup::make(Controller::Memory, "memory.max", "odd") else { return };
    let odd = cgroup.directory.join(OsStr::from_bytes(b"x\\x2d y\xff"));
    fs::create_dir(&odd).unwrap();
    let mut scraper = Scraper::new();
    let sample = scraper.sample(None);
    let below = format!("{}/", cgroup.path);
    let seen = sample.cgroups.iter().find(|seen| seen.path.as_str().starts_with(&below)).unwrap();
    assert_eq!(seen.path.as_str(), format!("{below}x\\\\x2d y\\xff"));
    let mounts = scraper.cgroup_mounts();
    assert_eq!(mounts.path_of(Controller::Memory, &seen.path), Some(odd.clone()));
    for hostile in ["/../cpu", "/..", "relative", "", "//", "/a/../..", "/none-such", "/./"] {
        assert_eq!(mounts.path_of(Controller::Memory, &Text::from(hostile)), None, "{hostile}");
    }
    fs::remove_dir(odd).unwrap();
}
