//! Running: the undo goes to disk, then the permit is spent, then the journal hears how it ended.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Errand, Intent, Journal, JournalError, JournalState, Outcome, OutcomeStatus,
    action::{Found, Power},
    actor::Actors,
    claims::Claims,
    command::{Command, Way},
    guard::{Barred, Guard},
    handed::NotHanded,
    hands::{Hands, Ready, Standing, Task},
    limits::{Asked, Now},
    own_cgroup::{Home, places},
    policy::{Considered, Granted, Permit, Policy},
    process::Process,
    sandbox::{Confined, Finished, Probe, SandboxError},
    setting::SettingError,
    settle::{Owed, Untold},
    undo::{Setting, Undo},
};
use crate::{clock::uptime_ms, text::Text};

/// An executor that takes longer is ended.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// A permit is good for so long after it was judged.
const PERMIT_LIFETIME: Duration = Duration::from_secs(60);

/// The one place with an effect. Its calls wait for the executor, up to [`TIMEOUT`]: not for an async thread.
#[derive(Debug)]
pub struct Executor {
    policy: Arc<Policy>,
    /// None: the caller answers for how much is done.
    guard: Option<Arc<Guard>>,
    hands: Hands,
    /// Executors that throttle, by the journal's row.
    throttles: Mutex<HashMap<i64, Throttled>>,
    pub(super) claims: Claims,
    pub(super) owed: Owed,
    pub(super) untold: Untold,
    pub(super) boot_id: String,
}

#[derive(Debug)]
struct Throttled {
    pid: u32,
    standing: Standing,
}

#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error("the permit is older than {} s; the request has to be judged again", PERMIT_LIFETIME.as_secs())]
    Stale,
    #[error(transparent)]
    Barred(#[from] Barred),
    #[error("{target} changed after it was judged: {reason}")]
    Changed { target: String, reason: String },
    #[error("process {pid} is throttled already")]
    AlreadyThrottled { pid: u32 },
    #[error("nothing was done, because its undo could not be written: {0}")]
    NoJournal(JournalError),
    #[error("it was done, but the journal could not be told: {error}; {taken_back}")]
    JournalLost { error: JournalError, taken_back: String },
    #[error("the journal could not be read or told: {0}")]
    Journal(JournalError),
    #[error("action {id} is {state} by the journal: its story is over")]
    Over { id: i64, state: JournalState },
    #[error("action {id} is being carried out or taken back just now; look again in a moment")]
    AtWork { id: i64 },
    #[error("it cannot be taken back: {why}")]
    Irreversible { why: String },
    #[error("the boot id of the machine cannot be read: {source}")]
    NoBootId { source: std::io::Error },
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    NotHanded(#[from] NotHanded),
    #[error(transparent)]
    Undo(#[from] super::undo::UndoError),
}

impl Executor {
    /// The executor of this very program, behind a guard.
    pub fn new(policy: Arc<Policy>, guard: Arc<Guard>) -> Result<Self, ExecuteError> {
        Ok(Self::of(Path::new("/proc/self/exe"), policy, TIMEOUT)?.behind(guard))
    }

    /// The executor of another copy of the program, with another timeout and no guard: what tests of one action use.
    pub fn of(executable: &Path, policy: Arc<Policy>, timeout: Duration) -> Result<Self, ExecuteError> {
        let boot_id = boot_id().map_err(|source| ExecuteError::NoBootId { source })?;
        let hands = Hands::own(executable, timeout)?;
        Ok(Self {
            policy,
            guard: None,
            hands,
            throttles: Mutex::default(),
            claims: Claims::default(),
            owed: Owed::default(),
            untold: Untold::default(),
            boot_id,
        })
    }

    /// The same with the actors whose sockets are in `directory` for all that is not harmless. They are asked once
    /// those are gone that an earlier daemon with this `lock` asked.
    #[must_use]
    pub fn with_actors(self, directory: &Path, lock: &Path) -> Self {
        Self { hands: self.hands.with_actors(Actors::new(directory, lock, TIMEOUT)), ..self }
    }

    /// Waits until no actor of an earlier daemon is at work. Before that the journal cannot be settled: an action might
    /// be done after it was.
    pub fn earlier_are_gone(&self, within: Duration) -> Result<(), ExecuteError> {
        Ok(self.hands.actors().map_or(Ok(()), |actors| actors.earlier_are_gone(within))?)
    }

    /// Asks the actors of which it is not known that they could act. Waits for them.
    pub fn attest(&self) {
        if let Some(actors) = self.hands.actors() {
            actors.attest();
        }
    }

    /// Each power of an actor of which something is known, and why nobody can act with it now.
    #[must_use]
    pub fn actors(&self) -> Vec<(Power, Option<String>)> {
        self.hands.actors().map(Actors::told).unwrap_or_default()
    }

    /// The same behind a guard.
    #[must_use]
    pub fn behind(self, guard: Arc<Guard>) -> Self {
        Self { guard: Some(guard), ..self }
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the guard would let all of this through now; running asks it again.
    pub fn may(&self, permits: &[Permit], errand: &Errand, journal: &dyn Journal, now_ms: i64) -> Result<(), Barred> {
        let keys: Vec<String> = permits.iter().map(Permit::target_key).collect();
        let asked: Vec<Asked<'_>> = permits
            .iter()
            .zip(&keys)
            .filter(|(permit, _)| permit.has_effect())
            .map(|(permit, key)| errand.asks(&permit.request().action_type, key, permit.approved_by().is_some()))
            .collect();
        if asked.is_empty() { Ok(()) } else { self.barred(&asked, journal, now_ms) }
    }

    pub(super) fn barred(&self, asked: &[Asked<'_>], journal: &dyn Journal, now_ms: i64) -> Result<(), Barred> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.check(asked, journal, self.now(now_ms)))
    }

    fn now(&self, wall_ms: i64) -> Now<'_> {
        Now { wall_ms, uptime_ms: uptime_ms(), boot_id: &self.boot_id }
    }

    /// Spends the permit. For an action with an effect the intent and its undo are on disk first; if they cannot be,
    /// nothing is done. What failed half-way is taken back at once.
    pub fn run(
        &self,
        permit: Permit,
        journal: &dyn Journal,
        errand: &Errand,
        now_ms: i64,
    ) -> Result<Outcome, ExecuteError> {
        let granted = permit.spend();
        still_as_judged(&granted)?;
        if !granted.what.action.has_effect() {
            let finished = self.hands.ready(task(&granted.what))?.run()?;
            return Ok(outcome(None, &granted, finished, None));
        }
        if let Undo::Throttle { process } = &granted.what.plan.undo
            && self.throttles().values().any(|throttled| throttled.pid == process.pid)
        {
            return Err(ExecuteError::AlreadyThrottled { pid: process.pid });
        }
        let lease_until_ms = granted.what.action.lease_s.map(|lease_s| now_ms + i64::from(lease_s) * 1000);
        let intent = Intent {
            incident: errand.incident.clone(),
            author: granted.author.clone(),
            approved_by: granted.approved_by.clone(),
            rule: granted.what.rule.clone(),
            action: granted.what.request.clone(),
            command: granted.what.line.clone(),
            target: granted.what.found.to_string(),
            target_key: granted.what.found.key(granted.what.action.name),
            deed: errand.deed.clone(),
            undo: granted.what.plan.undo.clone(),
            boot_id: self.boot_id.clone(),
            lease_until_ms,
            made_at_ms: now_ms,
            uptime_ms: uptime_ms(),
        };
        // Before the intent: what cannot be done here is never intended.
        let ready = self.hands.ready(task(&granted.what))?;
        // An actor may have taken seconds.
        still_as_judged(&granted)?;
        // Claimed from its first moment: nobody takes back what is about to be done.
        let intend = || self.claims.claim_new(|| journal.intend(&intent).map_err(ExecuteError::NoJournal));
        let claim = match &self.guard {
            None => intend()?,
            Some(guard) => {
                let asked = errand.asks(granted.what.action.name, &intent.target_key, intent.approved_by.is_some());
                guard.pass(asked, journal, self.now(now_ms), intend)?
            }
        };
        let id = claim.id();
        match self.effect(id, &granted, ready) {
            Ok(finished) if finished.success => {
                let told = self.tell(id, JournalState::Done, &granted.what.plan.change, journal, now_ms);
                if let Err(error) = told {
                    let taken_back = match self.take_back(id, &intent) {
                        Ok(taken) => taken.note,
                        Err(error) => format!("and it could not be taken back: {error}"),
                    };
                    return Err(ExecuteError::JournalLost { error, taken_back });
                }
                Ok(outcome(Some(id), &granted, finished, lease_until_ms))
            }
            Ok(finished) => {
                let (state, note) = self.undo_half(id, &intent, &finished.output);
                self.tell(id, state, &note, journal, now_ms).map_err(ExecuteError::Journal)?;
                Ok(outcome(Some(id), &granted, finished, None))
            }
            Err(error) => {
                let (state, note) = self.undo_half(id, &intent, &error.to_string());
                self.tell(id, state, &note, journal, now_ms).map_err(ExecuteError::Journal)?;
                Err(error)
            }
        }
    }

    /// Whether an executor of it could be had.
    pub(super) fn could(&self, what: &Considered) -> Result<(), ExecuteError> {
        self.hands.could(task(what))
    }

    /// Tries something from inside the sandbox of this power: whether it holds. For tests and for `doctor`.
    pub fn probe(&self, power: Power, probe: Probe) -> Result<Confined, ExecuteError> {
        Ok(self.hands.probe(power, probe)?)
    }

    /// This boot of the machine.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Runs one command that puts something back, by the patterns for that.
    pub(super) fn put_back(
        &self,
        command: &Command,
        process: Option<&Process>,
        setting: Option<&Setting>,
    ) -> Result<String, super::undo::UndoError> {
        self.go_back(command, process, setting, None)
    }

    /// The same, for processes that go back to a cgroup.
    pub(super) fn go_back(
        &self,
        command: &Command,
        process: Option<&Process>,
        setting: Option<&Setting>,
        home: Option<&Home>,
    ) -> Result<String, super::undo::UndoError> {
        let line = command.to_string();
        let refused = |reason: String| super::undo::UndoError::Refused { line: line.clone(), reason };
        let rule = self.policy.judge_back(command).map_err(|reason| refused(reason.to_string()))?;
        let task = Task { command, way: Way::Back, rule: &rule, process, file: setting, home };
        let finished = self.hands.ready(task).and_then(|ready| Ok(ready.run()?));
        let finished = finished.map_err(|error| refused(error.to_string()))?;
        if finished.success {
            Ok(finished.output)
        } else {
            Err(super::undo::UndoError::Failed { line, output: finished.output })
        }
    }

    /// Ends the throttling executor of a row, if this daemon has it.
    pub(super) fn end_throttle(&self, id: i64) -> Option<String> {
        let throttled = self.throttles().remove(&id)?;
        Some(match throttled.standing.end() {
            Ok(finished) => finished.output,
            Err(error) => error.to_string(),
        })
    }

    fn effect(&self, id: i64, granted: &Granted, ready: Ready<'_>) -> Result<Finished, ExecuteError> {
        let Command::Cpulimit { pid, .. } = &granted.what.plan.command else { return Ok(ready.run()?) };
        let started = std::time::Instant::now();
        Ok(match ready.stand()? {
            Ok(standing) => {
                self.throttles().insert(id, Throttled { pid: *pid, standing });
                Finished {
                    success: true,
                    timed_out: false,
                    output: granted.what.plan.change.clone(),
                    duration_ms: started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
                }
            }
            Err(finished) => finished,
        })
    }

    /// After a failure: whatever was changed before it is put back, or owed. The note says both.
    fn undo_half(&self, id: i64, intent: &Intent, output: &str) -> (JournalState, String) {
        let output = output.trim_end();
        if matches!(intent.undo, Undo::Nothing { .. }) {
            return (JournalState::Failed, output.to_owned());
        }
        match self.take_back(id, intent) {
            Ok(taken) => (JournalState::Failed, format!("{output}; {}", taken.note)),
            Err(error) => {
                let note = format!("{output}; and what it may have changed could not be put back: {error}");
                (JournalState::Owed, note)
            }
        }
    }

    /// Whether the executor that throttles for this row has ended, or never was this daemon's.
    pub(super) fn throttling_has_ended(&self, id: i64) -> bool {
        self.throttles().get(&id).is_none_or(|throttled| throttled.standing.has_ended())
    }

    fn throttles(&self) -> MutexGuard<'_, HashMap<i64, Throttled>> {
        self.throttles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn task(what: &Considered) -> Task<'_> {
    let Considered { found, plan, rule, .. } = what;
    let process = found.process().ok();
    Task { command: &plan.command, way: Way::Forward, rule, process, file: plan.file.as_ref(), home: None }
}

/// `/proc/sys/kernel/random/boot_id`.
pub fn boot_id() -> std::io::Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim_end().to_owned())
}

/// The permit is fresh, the target is alive, and what the undo would put back is still what stands there.
fn still_as_judged(granted: &Granted) -> Result<(), ExecuteError> {
    if granted.made.elapsed() > PERMIT_LIFETIME {
        return Err(ExecuteError::Stale);
    }
    let changed = |reason: String| ExecuteError::Changed { target: granted.what.found.to_string(), reason };
    if let Found::Process(process) = &granted.what.found
        && process.has_ended()
    {
        return Err(changed("it has ended".to_owned()));
    }
    if let (Undo::OwnCgroup { homes, .. }, Found::Process(process)) = (&granted.what.plan.undo, &granted.what.found) {
        for home in homes {
            let places = places(process, home.tree).map_err(|error| changed(error.to_string()))?;
            if let Some(place) = places.into_iter().find(|place| *place != home.path) {
                let (tree, place) = (home.tree.name(), Text::from(place.as_str()));
                return Err(changed(format!("its cgroup of {tree} was {} and is {place}", home.path)));
            }
        }
    }
    if let Some((setting, before)) = granted.what.plan.undo.stands() {
        let now = setting.read()?;
        if now != before {
            return Err(changed(format!("{} was {before} and is {now}", setting.name())));
        }
    }
    Ok(())
}

fn outcome(id: Option<i64>, granted: &Granted, finished: Finished, lease_until_ms: Option<i64>) -> Outcome {
    let status = match (finished.success, finished.timed_out) {
        (true, _) => OutcomeStatus::Done,
        (false, true) => OutcomeStatus::TimedOut,
        (false, false) => OutcomeStatus::Failed,
    };
    Outcome {
        action_id: id,
        action: granted.what.request.clone(),
        command: granted.what.line.clone(),
        status,
        output: finished.output,
        duration_ms: finished.duration_ms,
        change: if finished.success { granted.what.plan.change.clone() } else { "nothing".to_owned() },
        lease_until_ms,
    }
}
