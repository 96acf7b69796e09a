//! The whole daemon as another process, which a test may kill.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kernelsight::{cli::client::Client, execute::Outcome, store::FILE, tools::execute_remediation::ExecuteRemediation};
use serde_json::{Value, json};

use crate::execute_support::{Cgroup, Target, is_root, until};

/// A daemon on a state directory of the test's. Dropping it kills it.
pub(crate) struct Daemon {
    child: Child,
    socket: PathBuf,
    /// Where the socket is, if that is the test's to take away.
    home: Option<tempfile::TempDir>,
}

impl Daemon {
    /// Starts one, and waits until its door is open.
    pub(crate) fn start(state_dir: &Path, autonomy: &str) -> Self {
        Self::start_with(state_dir, autonomy, &[])
    }

    pub(crate) fn start_with(state_dir: &Path, autonomy: &str, more: &[&OsStr]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("k.sock");
        let level: [&OsStr; 2] = ["--autonomy".as_ref(), autonomy.as_ref()];
        let mut daemon = Self::start_at(socket, state_dir, &[&level, more].concat());
        daemon.home = Some(dir);
        daemon
    }

    /// With its door where it is said.
    pub(crate) fn start_at(socket: PathBuf, state_dir: &Path, more: &[&OsStr]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_kernelsight"))
            .arg("--socket")
            .arg(&socket)
            .args(["run", "--quiet", "--state-dir"])
            .arg(state_dir)
            .args(more)
            // As in a small image: whom it asks here is asked without TLS.
            .env("SSL_CERT_FILE", "/dev/null")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { child, socket, home: None };
        until(|| daemon.try_ask(&["status"]).is_some());
        daemon
    }

    /// What a verb answers.
    pub(crate) fn ask(&self, verb: &[&str]) -> Value {
        self.try_ask(verb).unwrap()
    }

    /// What it thinks a person should know.
    pub(crate) fn notes(&self) -> Vec<String> {
        serde_json::from_value(self.ask(&["status"])["notes"].clone()).unwrap()
    }

    /// The first row of a list (`actions`, `proposals`), once it is as wanted.
    fn first(&self, list: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.ask(&[list]);
            if let Some(row) = answer[list].as_array().unwrap().first().filter(|row| wanted(row)) {
                return row.clone();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no such row of {list}: {}", self.story());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Its incidents, and what it thought of the first of them.
    fn story(&self) -> String {
        let trace = self.try_ask(&["trace", "1"]).unwrap_or_default();
        format!("{}\n{}", self.ask(&["incidents"]), trace)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as systemd does.
    pub(crate) fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Why a verb fails.
    pub(crate) fn refuse(&self, verb: &[&str]) -> String {
        let output = self.client(verb);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// An operator's order, as any client gives it; what is said instead of doing it.
    pub(crate) fn order(&self, name: &str, params: Value) -> Result<Outcome, String> {
        order(&self.socket, name, params)
    }

    /// How a verb exits, and what it tells for eyes.
    pub(crate) fn tells(&self, verb: &[&str]) -> (i32, String) {
        let output = self.command(verb).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    /// A client of it.
    pub(crate) fn command(&self, verb: &[&str]) -> Command {
        let mut client = Command::new(env!("CARGO_BIN_EXE_kernelsight"));
        client.arg("--socket").arg(&self.socket).args(verb);
        client
    }

    fn try_ask(&self, verb: &[&str]) -> Option<Value> {
        let output = self.client(verb);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    fn client(&self, verb: &[&str]) -> Output {
        self.command(verb).arg("--json").output().unwrap()
    }
}

/// An operator's order to the daemon behind a socket.
pub(crate) fn order(socket: &Path, name: &str, params: Value) -> Result<Outcome, String> {
    let asked = json!({ "action_type": name, "params": params, "justification": "a test", "confidence": 1.0 });
    let asked = serde_json::from_value(asked).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(socket).await.unwrap();
        let outcome = client.ask::<ExecuteRemediation>(&asked).await;
        client.close().await;
        outcome.map_err(|error| error.to_string())
    })
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is about to leak, in a cgroup that may have 512 MiB. One at a time: a daemon acts on whatever leaks.
struct Leak {
    target: Target,
    _cgroup: Cgroup,
    _alone: MutexGuard<'static, ()>,
}

impl Leak {
    fn new() -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let target = Target::leaking();
        let cgroup = ["memory.limit_in_bytes", "memory.max"].iter().find_map(|file| {
            let cgroup = Cgroup::with(&target, file)?;
            cgroup.write(file, "536870912");
            Some(cgroup)
        })?;
        Some(Self { target, _cgroup: cgroup, _alone: alone })
    }
}

#[test]
fn an_approved_proposal_is_carried_out_if_it_still_fits_the_world() {
    if !is_root() {
        return;
    }
    let Some(mut leak) = Leak::new() else { return };
    let target = &mut leak.target;
    target.go();
    let state = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(state.path(), "copilot");
    let wait = || daemon.first("proposals", |_| true)["id"].clone();
    let proposal = daemon.first("proposals", |_| true);
    let run = &proposal["dry_runs"][0];
    assert_eq!(run["action"], proposal["proposal"]["decision"]["actions"][0]);
    assert!(run["plan"]["undo"].is_string() && run["needs_approval"].is_string(), "{run}");
    let first = wait();
    // As if the number had gone to another process since; on a machine where the remedy is for a cgroup, to another.
    let another = "UPDATE proposals SET proposal = json_replace(proposal,
        '$.decision.targets[0].start_ticks', 1, '$.decision.actions[0].params.cgroup', '/another')";
    rusqlite::Connection::open(state.path().join(FILE)).unwrap().execute(another, []).unwrap();
    let refused = daemon.refuse(&["approve", &first.to_string()]);
    assert!(refused.contains("is not aimed at a suspect any more"), "{refused}");
    assert!(target.grows() || target.is_full(), "nothing is done");

    let second = wait();
    assert_ne!(first, second);
    let outcomes = daemon.ask(&["approve", &second.to_string()]);
    assert_eq!(outcomes["outcomes"][0]["status"], "done", "{outcomes}");
    assert!(!target.grows(), "{outcomes}");
    let status = |id: &Value| {
        let all = daemon.ask(&["proposals", "--all"]);
        let row = all["proposals"].as_array().unwrap().iter().find(|row| row["id"] == *id).unwrap();
        row["status"].clone()
    };
    assert_eq!((status(&first), status(&second)), (json!("refused"), json!("approved")));
    daemon.stop();
}

#[test]
fn a_daemon_killed_before_its_verdict_takes_back_at_its_next_start_what_it_did() {
    if !is_root() {
        return;
    }
    let Some(mut leak) = Leak::new() else { return };
    let target = &mut leak.target;
    target.go();
    let state = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(state.path(), "guardian");
    let row = daemon.first("actions", |row| row["state"] != "intended");
    assert_eq!(row["state"], "done", "the verdict takes seconds: {row}");
    daemon.kill();
    assert!(!target.grows(), "what was done stands: {row}");

    let next = Daemon::start(state.path(), "advisor");
    let said = next.notes();
    assert!(said.iter().any(|note| note.contains("was done, and the agent ended before a verdict")), "{said:?}");
    assert_eq!(next.ask(&["actions"])["actions"][0]["state"], json!("undone"), "{said:?}");
    until(|| target.grows() || target.is_full());
    next.stop();
}
