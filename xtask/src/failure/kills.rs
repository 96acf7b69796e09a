//! An agent that is killed at any instant, again and again, on the state that it left: at its start, under load, while it
//! acts, while it takes back, while it stops. The next start finds a sound database with all that was answered, processes
//! are as the journal says, and the kernel has nothing left of the one before.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, mkdtemp},
};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::{
    Chance, Failure, Figure, Goal, door,
    leftovers::{Held, pins},
    none_of,
};
use crate::{
    agent::Agent,
    cgroup::Limits,
    faults::{catalogue::Process, inject::Running},
    place,
    say::{self, Step},
};

/// What an hour may hold of actions is counted from the journal, so that another one is begun after so many rounds.
const ROUNDS_PER_STATE: u32 = 40;
/// The loosest that the ceilings let through.
const LIMITS: &str = "[per_hour]\nnode = 120\naction = 60\ntarget = 12\nsame = 6\n\
                      [cooldown_s]\ntarget = 10\nnode = 1\n[brake]\nfailures = 5\n";
const COOLS: Duration = Duration::from_millis(1050);
const PHASES: [Phase; 5] = [Phase::Start, Phase::Load, Phase::Action, Phase::Undo, Phase::Stop];
const LOAD_S: u64 = 120;
/// Of an order that has to be done.
const TRIES: u32 = 5;

#[derive(Clone, Copy, Debug)]
enum Phase {
    Start,
    Load,
    Action,
    Undo,
    Stop,
}

impl Phase {
    /// How long it lasts at most, on a machine that is busy; the kill comes at any time of it.
    const fn lasts(self) -> Duration {
        Duration::from_millis(match self {
            Self::Start => 1200,
            Self::Load => 1500,
            Self::Action | Self::Undo => 80,
            Self::Stop => 150,
        })
    }
}

/// What counts against each claim, in words.
#[derive(Default)]
struct Against {
    corrupt: Vec<String>,
    lost: Vec<String>,
    untrue: Vec<String>,
    twice: Vec<String>,
    left: Vec<String>,
    starts: Vec<String>,
}

struct Run {
    chance: Chance,
    step: Step,
    home: PathBuf,
    log: PathBuf,
    agent: Option<Agent>,
    load: Option<Running>,
    against: Against,
    acknowledged: u32,
    loaded: u32,
}

pub(super) fn measure(order: &Failure) -> Result<Vec<Figure>> {
    let (chance, seed) = Chance::of(order.seed);
    say::note(&format!("the instants are those of --seed {seed}"));
    let home = mkdtemp(&std::env::temp_dir().join("kernelsight-kills-XXXXXX"))?;
    fs::create_dir(home.join("policies"))?;
    fs::write(home.join("policies/limits.toml"), LIMITS)?;
    let pinned = pins();
    let mut run = Run {
        chance,
        step: Step::begin(format!("{} kills", order.kills)),
        log: place::target()?.join("bench/kills.log"),
        home: home.clone(),
        agent: None,
        load: None,
        against: Against::default(),
        acknowledged: 0,
        loaded: 0,
    };
    let done = (0..order.kills).try_for_each(|round| run.round(round).with_context(|| format!("round {round}")));
    run.agent = None;
    let Run { step, against, acknowledged, loaded, .. } = run;
    done.with_context(|| format!("--seed {seed}; the state is in {}", home.display()))?;
    step.done("kills");
    let new_pins: Vec<String> = pins().difference(&pinned).map(|pin| pin.display().to_string()).collect();
    let figures = figures(order.kills, seed, acknowledged, loaded, &against, &new_pins);
    if figures.iter().all(Figure::is_met) {
        fs::remove_dir_all(&home)?;
    }
    Ok(figures)
}

fn figures(kills: u32, seed: u64, acknowledged: u32, loaded: u32, against: &Against, pins: &[String]) -> Vec<Figure> {
    let of = format!("of {kills} kills, --seed {seed}");
    let told = format!("{acknowledged} actions were answered");
    let held = format!("{loaded} had programs loaded when they were killed");
    vec![
        Figure::once(
            "proof",
            "kill -9, uniform over start, load, action, undo and stop",
            Goal::AtLeast(300.0),
            "kills",
            f64::from(kills),
        )
        .noting(format!("--seed {seed}")),
        none_of("databases or journals that were not sound after a kill", &against.corrupt, of.clone()),
        none_of("acknowledged rows that were lost", &against.lost, told),
        none_of("processes that are not as the journal says", &against.untrue, of.clone()),
        none_of("orders of which the journal has more than one", &against.twice, of.clone()),
        none_of("programs, maps, links and executors that were left", &against.left, held),
        none_of("pins that were left", pins, of.clone()),
        none_of("starts after a kill that did not come", &against.starts, of),
    ]
}

impl Run {
    fn round(&mut self, round: u32) -> Result<()> {
        self.step.tick();
        if round.is_multiple_of(ROUNDS_PER_STATE) {
            self.begin_anew()?;
        }
        self.keep_loaded()?;
        let phase = PHASES[self.chance.below(PHASES.len() as u64) as usize];
        let instant = Duration::from_micros(self.chance.below(phase.lasts().as_micros() as u64));
        let named = format!("round {round}, {phase:?} + {instant:?}");
        let target = Target::start()?;
        let mut agent = self.agent.take().context("there is no agent")?;
        let mut asked = Asked::default();
        let deed = self.chance.below(2);
        match phase {
            Phase::Start => {
                agent.stop()?;
                agent = self.spawn()?;
                thread::sleep(instant);
            }
            Phase::Load => thread::sleep(instant),
            Phase::Action => {
                let order = target.order(&agent, deed);
                thread::sleep(instant);
                asked.order = Some(order);
            }
            Phase::Undo => {
                let done = target.insist(&agent, deed)?;
                asked.done = done["action_id"].as_i64();
                let id = asked.done.context("an action without a row")?;
                let socket = agent.client.socket.clone();
                asked.undo = Some(door::order(socket, "undo_action", json!({ "action": id })));
                thread::sleep(instant);
            }
            Phase::Stop => {
                kill(Pid::from_raw(i32::try_from(agent.pid())?), Signal::SIGTERM)?;
                thread::sleep(instant);
            }
        }
        self.kill(agent, &named)?;
        let undone = asked.settle();
        self.acknowledged += u32::from(asked.done.is_some());
        self.look_at_the_database(&named)?;
        let Some(agent) = self.start(&named)? else {
            return self.begin_anew();
        };
        self.compare(&agent, &target, &asked, undone, &named)?;
        self.agent = Some(agent);
        // The whole node cools down between two.
        thread::sleep(COOLS);
        Ok(())
    }

    fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    fn begin_anew(&mut self) -> Result<()> {
        self.agent.take().map_or(Ok(()), Agent::stop)?;
        if self.state().exists() {
            fs::remove_dir_all(self.state())?;
        }
        let mut agent = self.spawn()?;
        agent.wait_until_ready()?;
        self.agent = Some(agent);
        Ok(())
    }

    fn spawn(&self) -> Result<Agent> {
        let policies = self.home.join("policies").display().to_string();
        Agent::spawn(&self.home, &["--quiet", "--autonomy", "agent", "--policies", &policies], &self.log)
    }

    /// The start after a kill; five within a minute are a crash loop, which an operator ends.
    fn start(&mut self, named: &str) -> Result<Option<Agent>> {
        let mut agent = self.spawn()?;
        let status = match agent.wait_until_ready() {
            Ok(status) => status,
            Err(error) => {
                self.against.starts.push(format!("{named}: {error:#}"));
                return Ok(None);
            }
        };
        if let Some(note) = status.notes.iter().find(|note| note.contains("set aside")) {
            self.against.corrupt.push(format!("{named}: {note}"));
        }
        door::Door::open(&agent.client.socket)?.call("resume", &json!({}))?;
        Ok(Some(agent))
    }

    fn kill(&mut self, agent: Agent, named: &str) -> Result<()> {
        // One that has just ended by itself was not killed, and left what it left.
        let held = Held::of(agent.pid()).unwrap_or_default();
        self.loaded += u32::from(held.is_loaded());
        agent.kill()?;
        let left = held.left()?;
        self.against.left.extend(left.into_iter().map(|what| format!("{named}: {what}")));
        Ok(())
    }

    /// On a copy, for whoever opens a database that was left takes up its log.
    fn look_at_the_database(&mut self, named: &str) -> Result<()> {
        let copy = self.home.join("copy");
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        if !self.state().join("kernelsight.db").exists() {
            return Ok(());
        }
        fs::create_dir(&copy)?;
        for file in ["kernelsight.db", "kernelsight.db-wal", "journal.head"] {
            let from = self.state().join(file);
            if from.exists() {
                fs::copy(from, copy.join(file))?;
            }
        }
        let verdict = integrity(&copy.join("kernelsight.db"));
        if !verdict.as_ref().is_ok_and(|verdict| verdict == "ok") {
            self.against.corrupt.push(format!("{named}: {verdict:?}"));
        }
        Ok(())
    }

    /// The journal and the world, after the next start settled what was open.
    fn compare(&mut self, agent: &Agent, target: &Target, asked: &Asked, undone: bool, named: &str) -> Result<()> {
        let journal = door::Door::open(&agent.client.socket)?.call("list_actions", &json!({ "most": 200 }))?;
        let rows: Vec<&Value> = journal["actions"].as_array().context("no list of actions")?.iter().collect();
        let ids: BTreeSet<i64> = rows.iter().filter_map(|row| row["id"].as_i64()).collect();
        if let Some(id) = asked.done.filter(|id| !ids.contains(id)) {
            self.against.lost.push(format!("{named}: action {id}"));
        }
        let key = target.key();
        let own: Vec<&&Value> = rows.iter().filter(|row| row["intent"]["target_key"] == key.as_str()).collect();
        if own.len() > 1 {
            self.against.twice.push(format!("{named}: {} rows", own.len()));
        }
        let state = own.first().and_then(|row| row["state"].as_str()).unwrap_or("none");
        let stands = target.stands()?;
        let over = matches!(state, "none" | "undone" | "void" | "failed");
        if !(over && !stands || state == "kept" && stands) {
            self.against.untrue.push(format!("{named}: the journal says {state}, and it stands: {stands}"));
        }
        if undone && state == "kept" {
            self.against.lost.push(format!("{named}: that it was taken back"));
        }
        let audit = audit(&self.state())?;
        if audit["sound"] != true {
            self.against.corrupt.push(format!("{named}: {}", audit["faults"]));
        }
        Ok(())
    }

    /// A CPU hog and a stream of syncs beside it all, as long as a load may last.
    fn keep_loaded(&mut self) -> Result<()> {
        if self.load.as_mut().is_some_and(Running::runs) {
            return Ok(());
        }
        self.load = None;
        let cgroup = Some(Limits { memory_mb: Some(256), ..Limits::default() });
        let process = Process::new("fsync_storm", json!({}), cgroup);
        self.load = Some(Running::start(&process, "failure/kills", LOAD_S)?);
        Ok(())
    }
}

/// What an agent was asked before it was killed, and what it answered.
#[derive(Default)]
struct Asked {
    order: Option<thread::JoinHandle<Result<Value>>>,
    undo: Option<thread::JoinHandle<Result<Value>>>,
    /// The row of an action that was answered.
    done: Option<i64>,
}

impl Asked {
    /// Hears the answers that still came; whether it was answered that the action is taken back.
    fn settle(&mut self) -> bool {
        let heard = |handle: thread::JoinHandle<Result<Value>>| handle.join().ok().and_then(Result::ok);
        if let Some(answer) = self.order.take().and_then(heard) {
            self.done = answer["action_id"].as_i64();
        }
        self.undo.take().and_then(heard).is_some()
    }
}

/// A process that nothing else touches.
struct Target {
    child: Child,
}

impl Target {
    fn start() -> Result<Self> {
        let child =
            Command::new("sleep").arg("300").stdin(Stdio::null()).spawn().context("`sleep` cannot be started")?;
        Ok(Self { child })
    }

    fn order(&self, agent: &Agent, deed: u64) -> thread::JoinHandle<Result<Value>> {
        let pid = self.child.id();
        let (name, params) = match deed {
            0 => ("pause_process", json!({ "pid": pid })),
            _ => ("lower_process_priority", json!({ "pid": pid, "priority": 10 })),
        };
        let asked = json!({ "action_type": name, "params": params, "justification": "a kill", "confidence": 1.0 });
        door::order(agent.client.socket.clone(), "execute_remediation", asked)
    }

    /// The same until it is done: what the agent does by itself has the node cool down, too.
    fn insist(&self, agent: &Agent, deed: u64) -> Result<Value> {
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = self.order(agent, deed).join().map_err(|_| anyhow!("the order panicked"))?;
            if answer.is_ok() || tries == TRIES {
                return answer.context("there is nothing to take back");
            }
            thread::sleep(COOLS);
        }
    }

    fn stat(&self) -> Result<Vec<String>> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(')').context("/proc/PID/stat has no name")?.1;
        Ok(fields.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether it is stopped, or gave up its priority. A signal that was just sent is given its moment.
    fn stands(&self) -> Result<bool> {
        thread::sleep(Duration::from_millis(20));
        let stat = self.stat()?;
        Ok(stat[0] == "T" || stat[16] == "10")
    }

    fn key(&self) -> String {
        let start = self.stat().map(|stat| stat[19].clone()).unwrap_or_default();
        format!("process:{}@{start}", self.child.id())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Stopped or not, it ends by this.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn integrity(database: &Path) -> rusqlite::Result<String> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
}

/// What the agent's own audit says of the journal.
fn audit(state: &Path) -> Result<Value> {
    let done = Command::new(place::agent()?)
        .args(["audit", "verify", "--json", "--state-dir"])
        .arg(state)
        .output()
        .context("the agent cannot be started")?;
    if done.stdout.is_empty() {
        bail!("`kernelsight audit verify` says nothing: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    serde_json::from_slice(&done.stdout).context("what `kernelsight audit verify` answers")
}
