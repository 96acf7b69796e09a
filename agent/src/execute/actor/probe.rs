//! An actor that tries what its executors could do, in place of one that acts. For tests.

use std::{os::fd::OwnedFd, path::Path};

use super::keep::keep_to;
use crate::execute::{
    action::Power,
    run::TIMEOUT,
    sandbox::{Confined, Launcher, Probe, SandboxError, Station, attacked},
};

#[derive(Debug)]
pub struct ProbingActor {
    power: Power,
    launcher: Launcher,
    /// Made while that could be done: no actor makes files.
    attacked: OwnedFd,
}

impl ProbingActor {
    /// Keeps this thread to what an actor of this power does, whose executors are of this executable.
    ///
    /// # Errors
    /// Why it cannot be kept to that.
    pub fn new(power: Power, executable: &Path) -> Result<Self, String> {
        let attacked = attacked().map_err(|error| error.to_string())?;
        keep_to(power)?;
        let launcher = Launcher::new(executable, TIMEOUT, Station::Actor).map_err(|error| error.to_string())?;
        Ok(Self { power, launcher, attacked })
    }

    /// Tries it from inside an executor.
    ///
    /// # Errors
    /// When there was no executor to try it.
    pub fn probe(&self, probe: Probe) -> Result<Confined, SandboxError> {
        let attacked = self.attacked.try_clone().map_err(|source| SandboxError::Talk { source })?;
        self.launcher.probe(self.power, probe, vec![attacked])
    }
}
