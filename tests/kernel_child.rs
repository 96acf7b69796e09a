//! Loads that the kernel tests watch: this binary once more, running one of the functions below in a process of its own.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    process::{Child, Command, Stdio},
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

use kernelsight::observe::{
    ProcessId,
    kernel::{Kernel, Settings, State, obstacles},
};
use nix::{
    libc,
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
    },
    time::{ClockId, clock_gettime},
    unistd,
};

const LOAD: &str = "KERNELSIGHT_TEST_LOAD";
const PAGE: usize = 4096;

/// The kernel, loaded; none where the machine has no eBPF, which fails where CI=true.
pub(crate) fn kernel(settings: &Settings) -> Option<Kernel> {
    let obstacles = obstacles();
    if obstacles.is_empty() {
        return Some(Kernel::load(settings));
    }
    let reasons = obstacles.join("; ");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "no eBPF here: {reasons}");
    eprintln!("skipped: {reasons}");
    None
}

/// A child that waits for `go`, does its load, says `done`, and lives until it is dropped.
pub(crate) struct Load {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Load {
    /// `load` is a line of words: the name of a function below and its arguments.
    pub(crate) fn prepare(load: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "--test-threads=1", "kernel_child::load"])
            .env(LOAD, load)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut load = Self { child, output };
        load.expect("ready");
        load
    }

    pub(crate) fn run(load: &str) -> Self {
        let mut load = Self::prepare(load);
        load.go();
        load.finish();
        load
    }

    pub(crate) fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    pub(crate) fn finish(&mut self) {
        self.expect("done");
    }

    /// Waits for its end, however it ends.
    pub(crate) fn reap(&mut self) {
        self.child.wait().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As `/proc` tells it.
    pub(crate) fn id(&self) -> ProcessId {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
        ProcessId { pid: self.pid(), start_ticks: start.parse().unwrap() }
    }

    fn expect(&mut self, word: &str) {
        let mut line = String::new();
        while line.trim() != word {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the load ended before `{word}`");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Not a test: the other half of [`Load`].
#[test]
#[ignore = "a load that other tests start"]
fn load() {
    let Ok(line) = std::env::var(LOAD) else { return };
    prctl::set_thp_disable(true).unwrap();
    prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap();
    say("ready");
    std::io::stdin().lines().next().unwrap().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let kept = run(&words);
    say("done");
    // Until the parent is through with it.
    _ = std::io::stdin().read(&mut [0]);
    drop(kept);
}

fn say(word: &str) {
    println!("\n{word}");
    std::io::stdout().flush().unwrap();
}

fn run(words: &[&str]) -> Vec<u8> {
    let number = |n: usize| words[n].parse::<usize>().unwrap();
    match words[0] {
        "nothing" => {}
        "getsid" => (0..number(1)).for_each(|_| _ = unistd::getsid(None)),
        "full" => {
            let full = fs::File::options().write(true).open("/dev/full").unwrap();
            (0..number(1)).for_each(|_| _ = unistd::write(&full, b"x"));
        }
        "close_bad" => (0..number(1)).for_each(|_| _ = unistd::close(987_654)),
        "fsync" => {
            let mut file = tempfile::tempfile().unwrap();
            for _ in 0..number(1) {
                file.write_all(b"x").unwrap();
                file.sync_all().unwrap();
            }
        }
        "grow" => return touched(number(1) << 20),
        "grow_slowly" => return touched_within(number(1) << 20, Duration::from_millis(number(2) as u64)),
        "pread" => pread_for(Duration::from_millis(number(1) as u64)),
        "without_capabilities" => without_capabilities(),
        "without_descriptors" => without_descriptors(),
        "fork" => {
            for _ in 0..number(1) {
                Command::new("/bin/true").status().unwrap();
            }
        }
        "open_files" => {
            let files: Vec<File> = (0..number(1)).map(|_| File::open("/dev/null").unwrap()).collect();
            say("done");
            _ = std::io::stdin().read(&mut [0]);
            drop(files);
        }
        "threads" => threads(number(1), Duration::from_millis(number(2) as u64)),
        "wait" => wait_in_all_ways(Duration::from_millis(number(1) as u64)),
        "read_fifo" => drop(File::open(words[1]).unwrap()),
        "write_direct" => write_direct(words[1], number(2), number(3)),
        "write_file" => {
            let mut file = File::create(words[1]).unwrap();
            let block = vec![1; 1 << 20];
            for _ in 0..number(2) {
                file.write_all(&block).unwrap();
            }
        }
        other => panic!("no load `{other}`"),
    }
    Vec::new()
}

fn touched(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    memory
}

/// The same a MiB at a time, evenly over that time.
fn touched_within(bytes: usize, time: Duration) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    let pieces = bytes.div_ceil(1 << 20) as u32;
    for piece in memory.chunks_mut(1 << 20) {
        piece.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        std::thread::sleep(time / pieces);
    }
    memory
}

/// Reads at the end of a file, which is as short a call as there is among those that are timed.
fn pread_for(time: Duration) {
    let file = tempfile::tempfile().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < time {
        for _ in 0..1000 {
            _ = std::os::unix::fs::FileExt::read_at(&file, &mut [0], 0);
        }
    }
}

/// Threads that all live at once, each using a CPU for a while, and end.
fn threads(count: usize, spin: Duration) {
    let used = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| while used() < spin {});
        }
    });
}

/// Waits as idle services do: on a futex, a pipe, epoll, poll and the clock.
fn wait_in_all_ways(time: Duration) {
    use nix::{
        poll::{PollFd, PollFlags, PollTimeout, poll},
        sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    };
    let (reader, writer) = std::io::pipe().unwrap();
    let (other_reader, other_writer) = std::io::pipe().unwrap();
    let milliseconds = u16::try_from(time.as_millis()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::thread::sleep(time));
        scope.spawn(|| {
            let (lock, condition) = (Mutex::new(()), Condvar::new());
            drop(condition.wait_timeout(lock.lock().unwrap(), time).unwrap());
        });
        scope.spawn(|| assert_eq!((&reader).read(&mut [0]).unwrap(), 0));
        scope.spawn(|| {
            let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
            epoll.add(&other_reader, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
            epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::from(milliseconds)).unwrap();
        });
        scope.spawn(|| {
            let mut polled = [PollFd::new(std::os::fd::AsFd::as_fd(&other_reader), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::from(milliseconds)).unwrap();
        });
        std::thread::sleep(time);
        drop(writer);
    });
    drop(other_writer);
}

fn write_direct(path: &str, blocks: usize, block_bytes: usize) {
    let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).unwrap();
    let memory = vec![7; block_bytes + PAGE];
    let from = memory.as_ptr().align_offset(PAGE);
    for block in 0..blocks {
        std::os::unix::fs::FileExt::write_all_at(
            &file,
            &memory[from..from + block_bytes],
            (block * block_bytes) as u64,
        )
        .unwrap();
    }
}

/// A pipe with a name.
pub(crate) fn fifo(path: &std::path::Path) {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    unistd::mkfifo(path.as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
}

/// Loads as one who may not.
fn without_capabilities() {
    capctl::caps::CapState::empty().set_current().unwrap();
    let mut kernel = Kernel::load(&Settings::default());
    for probe in kernel.probes() {
        let State::Off { reason } = probe.state else { panic!("{probe:?}") };
        assert_eq!(
            reason,
            "the capability CAP_BPF is missing (root has it); the capability CAP_PERFMON is missing (root has it)"
        );
    }
    assert!(kernel.sample().unwrap().syscalls.is_none());
    assert!(kernel.tasks().is_err());
    assert!(kernel.events().unwrap().is_none());
}

/// Watches calls as one who has no descriptor left, and then has some again.
fn without_descriptors() {
    let mut kernel = Kernel::load(&Settings { agent_pid: 0, ..Settings::default() });
    let of_calls = |kernel: &Kernel| -> Vec<State> {
        let probes = kernel.probes().into_iter().filter(|probe| probe.tracer == "syscalls");
        probes.map(|probe| probe.state).collect()
    };
    kernel.watch_calls(false);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256, hard).unwrap();
    let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    kernel.watch_calls(true);
    for state in of_calls(&kernel) {
        let State::Off { reason } = state else { panic!("{state:?}") };
        assert!(reason.contains("Too many open files"), "{reason}");
    }
    assert!(kernel.sample().unwrap().syscalls.is_none());

    // The one at the entry can be had, and counts nothing by itself.
    let mut taken = taken.into_iter();
    drop(taken.next_back());
    kernel.watch_calls(true);
    assert_eq!(of_calls(&kernel).iter().map(State::is_off).collect::<Vec<_>>(), [false, true]);
    assert!(kernel.sample().unwrap().syscalls.is_none());
    drop(taken);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    kernel.watch_calls(true);
    assert_eq!(of_calls(&kernel), [State::On, State::On]);
    let calls = |kernel: &mut Kernel| {
        let counted = kernel.sample().unwrap().syscalls.unwrap();
        let getsid = counted.calls.iter().find(|(number, _)| i64::from(*number) == libc::SYS_getsid);
        getsid.map_or(0, |(_, calls)| *calls)
    };
    let before = calls(&mut kernel);
    (0..1000).for_each(|_| _ = unistd::getsid(None));
    let counted = calls(&mut kernel) - before;
    assert!((1000..1100).contains(&counted), "{counted} calls");
}
