//! How the daemon comes by an executor: it makes one itself, or it asks the actor of that power.

use std::{path::Path, time::Duration};

use super::{
    ExecuteError,
    action::Power,
    actor::{self, Actors},
    command::{Command, Way},
    handed::Handed,
    own_cgroup::Home,
    process::Process,
    sandbox::{self, Confined, Finished, Launcher, Passed, Probe, SandboxError, Station},
    undo::Setting,
};

/// What one executor is to do, and to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub(super) command: &'a Command,
    pub(super) way: Way,
    /// The rule that allows it.
    pub(super) rule: &'a str,
    pub(super) process: Option<&'a Process>,
    /// The one file that it may write.
    pub(super) file: Option<&'a Setting>,
    /// The cgroup that processes go back to.
    pub(super) home: Option<&'a Home>,
}

#[derive(Debug)]
pub(super) struct Hands {
    own: Launcher,
    /// For all that is not harmless; none: the daemon has every power itself.
    actors: Option<Actors>,
}

/// An executor that waits for the word. Dropped, it does nothing.
#[derive(Debug)]
pub(super) enum Ready<'a> {
    Own { launcher: &'a Launcher, task: Task<'a>, handed: Handed },
    Actor(actor::Ready),
}

/// An executor that goes on until it is told to end.
#[derive(Debug)]
pub(super) enum Standing {
    Own(sandbox::Standing),
    Actor(actor::Standing),
}

impl Hands {
    pub(super) fn own(executable: &Path, timeout: Duration) -> Result<Self, SandboxError> {
        Ok(Self { own: Launcher::new(executable, timeout, Station::Daemon)?, actors: None })
    }

    pub(super) fn with_actors(self, actors: Actors) -> Self {
        Self { actors: Some(actors), ..self }
    }

    /// Gets it ready, and does nothing yet.
    pub(super) fn ready<'a>(&'a self, task: Task<'a>) -> Result<Ready<'a>, ExecuteError> {
        let power = task.command.power();
        match &self.actors {
            Some(actors) if !power.is_harmless() => Ok(Ready::Actor(actors.ready(&task)?)),
            _ => {
                self.own.can(power, task.process)?;
                let file = task.file.map(Setting::open_to_write).transpose()?;
                let handed = Handed::for_command(task.command, task.process, file, task.home)?;
                Ok(Ready::Own { launcher: &self.own, task, handed })
            }
        }
    }

    /// Whether it could be done, as far as that is known. Whoever may look asks this, as often as they like: no actor is
    /// started for it but one of which nothing is known yet.
    pub(super) fn could(&self, task: Task<'_>) -> Result<(), ExecuteError> {
        match &self.actors {
            Some(actors) if !task.command.power().is_harmless() => Ok(actors.could(task.command.power())?),
            _ => self.ready(task).map(drop),
        }
    }

    /// The actors, where it has some.
    pub(super) fn actors(&self) -> Option<&Actors> {
        self.actors.as_ref()
    }

    pub(super) fn probe(&self, power: Power, probe: Probe) -> Result<Confined, SandboxError> {
        let files = probe.files().map_err(|source| SandboxError::Talk { source })?;
        self.own.probe(power, probe, files)
    }
}

impl Ready<'_> {
    /// Gives the word, and waits for the end.
    pub(super) fn run(self) -> Result<Finished, SandboxError> {
        match self {
            Self::Own { launcher, task, handed } => {
                handed.carry_out(launcher, task.command, task.process, task.file.and_then(Setting::index))
            }
            Self::Actor(ready) => ready.run(),
        }
    }

    /// Gives the word to an executor that stands; `Err` in the answer is what it said instead of starting.
    pub(super) fn stand(self) -> Result<Result<Standing, Finished>, SandboxError> {
        Ok(match self {
            Self::Own { launcher, task, handed } => {
                let passed = Passed { process: task.process, files: handed.files(), index: None };
                launcher.stand(&task.command.arguments(), task.command.power(), passed)?.map(Standing::Own)
            }
            Self::Actor(ready) => ready.stand()?.map(Standing::Actor),
        })
    }
}

impl Standing {
    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Own(standing) => standing.has_ended(),
            Self::Actor(standing) => standing.has_ended(),
        }
    }

    /// Tells it to end, waits for it, and ends it if it does not.
    pub(super) fn end(self) -> Result<Finished, SandboxError> {
        match self {
            Self::Own(standing) => standing.end(),
            Self::Actor(standing) => standing.end(),
        }
    }
}
