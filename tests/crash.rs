//! An agent that is killed at every step of an action's life: judged, intended, done, kept, taken back. Each step is a
//! call to the journal, and it is killed before and after each, and at moments in between. The next start finds what
//! stands and says so once. So it is when the agent does it itself, and when actors do.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kernelsight::{
    clock::{now_ms, uptime_ms},
    execute::{
        self, Errand, Executor, Guard, Intent, Journal, JournalError, JournalRow, JournalState, Judging, boot_id,
    },
    live::Autonomy,
    store::{Limits, Store, chain},
};
use serde_json::json;

use crate::{
    actors::Sockets,
    execute_parent::{cgroups, own_cgroups_alone},
    execute_support::{Cgroup, Target, executor, is_root, policy, request, until},
};

/// The test that is started again as the agent to be killed, and what it is told: pid, directory, point, what to do, and
/// where the actors are, if there are some.
const CRASH: &str = "KERNELSIGHT_TEST_CRASH_POINT";
/// Points of a whole life: before and after each of nine calls.
const POINTS: usize = 18;
/// And of the next start, when that is killed too: before and after each of three.
const SETTLING: usize = 6;
/// Moments between the points.
const MOMENTS: u32 = 24;

/// The store's journal, until the agent is killed at the chosen point, as hard as the kernel can.
#[derive(Debug)]
struct Deadly {
    store: Store,
    left: AtomicUsize,
}

impl Deadly {
    fn call<T>(&self, call: impl FnOnce(&Store) -> T) -> T {
        self.point();
        let answer = call(&self.store);
        self.point();
        answer
    }

    fn point(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    }
}

impl Journal for Deadly {
    fn intend(&self, intent: &Intent) -> Result<i64, JournalError> {
        self.call(|store| store.intend(intent))
    }

    fn advance(&self, id: i64, state: JournalState, note: &str, at_ms: i64) -> Result<(), JournalError> {
        self.call(|store| store.advance(id, state, note, at_ms))
    }

    fn get(&self, id: i64) -> Result<Option<JournalRow>, JournalError> {
        self.call(|store| store.get(id))
    }

    fn latest(&self, count: u32) -> Result<Vec<JournalRow>, JournalError> {
        self.call(|store| store.latest(count))
    }

    fn unsettled(&self) -> Result<Vec<JournalRow>, JournalError> {
        self.call(|store| store.unsettled())
    }
}

fn guarded(dir: &Path, actors: Option<&Path>) -> Executor {
    let guard = Guard::new(execute::Limits::load(None).unwrap(), Duration::from_secs(1));
    guard.turned(uptime_ms());
    let executor = executor(&policy()).behind(Arc::new(guard));
    match actors {
        Some(actors) => {
            let executor = executor.with_actors(actors, &dir.join("actors.lock"));
            executor.earlier_are_gone(Duration::from_secs(60)).unwrap();
            executor
        }
        None => executor,
    }
}

/// The agent's part: its start on what is there, and, where nothing is, the whole life of one action.
fn live(told: &str) {
    let told: Vec<&str> = told.split(' ').collect();
    let (pid, dir, point) = (told[0], Path::new(told[1]), told[2]);
    let (store, _) = Store::open(dir, Limits::default()).unwrap();
    let begun = !store.latest(1).unwrap().is_empty();
    let journal = Deadly { store, left: AtomicUsize::new(point.parse().unwrap()) };
    let executor = guarded(dir, told.get(4).map(Path::new));
    if begun {
        executor.settle(&journal, now_ms()).unwrap();
        return;
    }
    let pid: u32 = pid.parse().unwrap();
    let asked = match told[3] {
        "confine_process" => request("confine_process", json!({ "pid": pid, "cpu_percent": 50, "memory_mb": 256 })),
        name => request(name, json!({ "pid": pid })),
    };
    let permit = policy().judge(&asked, Judging::new("rules", Autonomy::Agent, now_ms())).unwrap();
    let outcome = executor.run(permit, &journal, &Errand::ordered(), now_ms()).unwrap();
    let id = outcome.action_id.unwrap();
    executor.confirm(id, "resolved", &journal, now_ms()).unwrap();
    executor.undo(id, &journal, now_ms()).unwrap();
}

/// One that is killed at any point, by itself or by us.
#[derive(Clone, Copy)]
struct Victim<'a> {
    target: &'a Target,
    actors: Option<&'a Path>,
    action: &'static str,
    /// Where the target was, where it is put somewhere.
    homes: Option<&'a [Cgroup; 2]>,
}

impl Victim<'_> {
    fn start(self, dir: &Path, point: usize) -> Child {
        let told = format!("{} {} {point} {}", self.target.pid(), dir.display(), self.action);
        let told = self.actors.map_or(told.clone(), |actors| format!("{told} {}", actors.display()));
        let mut agent = Command::new(std::env::current_exe().unwrap());
        agent.args(["crash::killed_at_any_point_the_next_start_knows_what_stands", "--exact", "--nocapture"]);
        agent.env(CRASH, told).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs an agent up to that point; whether it was killed there.
    fn is_killed(self, dir: &Path, point: usize) -> bool {
        let status = self.start(dir, point).wait().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{status}");
        !status.success()
    }

    /// What a start finds and does; then the journal and the process tell the same.
    fn settles(self, dir: &Path, point: &str) {
        let (store, opening) = Store::open(dir, Limits::default()).unwrap();
        assert_eq!(opening.set_aside, None, "{point}");
        let said = guarded(dir, self.actors).settle(&store, now_ms()).unwrap();
        let rows = store.latest(10).unwrap();
        assert!(rows.len() <= 1, "{point}: {rows:?}");
        let stands = rows.iter().any(|row| row.state == JournalState::Kept);
        self.is_as_told(stands, point);
        if !stands {
            let over = [JournalState::Undone, JournalState::Void];
            assert!(rows.iter().all(|row| over.contains(&row.state)), "{point}: {rows:?}");
            assert!(store.unsettled().unwrap().is_empty(), "{point}");
        }
        let again = guarded(dir, self.actors).settle(&store, now_ms()).unwrap();
        assert!(again.is_empty(), "{point}: said twice after {said:?}");
        store.close().unwrap();
        let audit = chain::verify(dir, None).unwrap();
        assert!(audit.sound, "{point}: {:?}", audit.faults);
        self.begins_anew(stands);
    }

    /// Whether the kernel says the same as the journal.
    fn is_as_told(self, stands: bool, point: &str) {
        match self.homes {
            None if stands => self.target.comes_to_stand(),
            None => self.target.comes_to_run(),
            Some(homes) => {
                let own = format!("/kernelsight/p{}-{}", self.target.pid(), self.target.start_ticks());
                let cgroups = cgroups(self.target.pid());
                for home in homes {
                    let expected = if stands { own.clone() } else { home.path().as_str().unwrap().to_owned() };
                    assert!(cgroups.lines().any(|line| line.ends_with(&format!(":{expected}"))), "{point}: {cgroups}");
                    assert_eq!(Path::new(&home.file("../kernelsight")).exists(), stands, "{point}");
                }
            }
        }
    }

    fn begins_anew(self, stands: bool) {
        let Some(homes) = self.homes else { return self.target.signal(nix::sys::signal::Signal::SIGCONT) };
        for home in homes.iter().filter(|_| stands) {
            home.takes(self.target.pid());
            let own = format!("../kernelsight/p{}-{}", self.target.pid(), self.target.start_ticks());
            until(|| std::fs::remove_dir(home.file(&own)).is_ok());
            std::fs::remove_dir(home.file("../kernelsight")).unwrap();
        }
    }

    fn is_killed_everywhere(self) {
        for point in 0..=POINTS {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(self.is_killed(dir.path(), point), point < POINTS, "there are {POINTS} points");
            self.settles(dir.path(), &format!("point {point}"));
        }
        // Done and without a verdict; then the start that takes it back is killed, at each of its own points.
        for second in 0..=SETTLING {
            let dir = tempfile::tempdir().unwrap();
            assert!(self.is_killed(dir.path(), 6));
            assert_eq!(self.is_killed(dir.path(), second), second < SETTLING, "there are {SETTLING} more");
            self.settles(dir.path(), &format!("point 6, then {second}"));
        }
        // Between two points, too: while an executor is at work, or has not begun.
        let begun = Instant::now();
        assert!(!self.is_killed(tempfile::tempdir().unwrap().path(), POINTS));
        let life = begun.elapsed();
        for moment in 1..=MOMENTS {
            let dir = tempfile::tempdir().unwrap();
            let mut agent = self.start(dir.path(), POINTS);
            std::thread::sleep(life * moment / MOMENTS);
            let _ = agent.kill();
            agent.wait().unwrap();
            self.settles(dir.path(), &format!("moment {moment} of {MOMENTS}"));
        }
    }
}

#[test]
fn killed_at_any_point_the_next_start_knows_what_stands() {
    if let Some(told) = std::env::var_os(CRASH) {
        return live(told.to_str().unwrap());
    }
    if !is_root() {
        return;
    }
    assert!(!boot_id().unwrap().is_empty());
    let target = Target::idle();
    Victim { target: &target, actors: None, action: "pause_process", homes: None }.is_killed_everywhere();
}

#[test]
fn killed_at_any_point_while_actors_act_the_next_start_knows_what_stands() {
    if !is_root() {
        return;
    }
    let sockets = Sockets::open();
    let target = Target::idle();
    let actors = Some(sockets.path());
    Victim { target: &target, actors, action: "pause_process", homes: None }.is_killed_everywhere();
}

#[test]
fn killed_at_any_point_of_a_move_the_next_start_knows_where_the_process_is() {
    if !is_root() {
        return;
    }
    let _alone = own_cgroups_alone();
    let (sockets, target) = (Sockets::open(), Target::idle());
    let homes = ["memory.limit_in_bytes", "cpu.cfs_quota_us"].map(|file| Cgroup::with(&target, file));
    let [Some(memory), Some(cpu)] = homes else { return };
    let homes = [memory, cpu];
    for actors in [None, Some(sockets.path())] {
        Victim { target: &target, actors, action: "confine_process", homes: Some(&homes) }.is_killed_everywhere();
    }
}
