//! What an executor is left with, decided before the fork and taken between fork and exec.

use std::{io, os::fd::RawFd};

use capctl::{Cap, CapSet, CapState};
use nix::{
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::{Gid, Uid, getgroups, setgroups, setresgid, setresuid, setsid},
};

use super::{order::Granted, spawn::SandboxError, sys};
use crate::execute::{action::Power, process::Process};

/// The user and group that have nothing.
const NOBODY: u32 = 65534;

/// Whose executors they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::execute) enum Station {
    /// Of a daemon that has every power: all of it is taken from them, and they become nobody.
    Daemon,
    /// Of an actor, which is nobody much already and has one power.
    Actor,
}

/// What is taken from the child.
#[derive(Clone, Debug)]
pub(super) struct Strip {
    /// User and group to become; none: they stay.
    becomes: Option<(u32, u32)>,
    keep: Option<Cap>,
    /// Whether the set that bounds all capabilities is emptied.
    unbound: bool,
    granted: Granted,
}

impl Strip {
    /// # Errors
    /// When this process cannot make an executor of this power.
    pub(super) fn for_power(
        power: Power,
        process: Option<&Process>,
        station: Station,
        landlock: u32,
    ) -> Result<Self, SandboxError> {
        let keep = power.capability();
        let talk = |error: io::Error| SandboxError::Talk { source: error };
        let have = CapState::get_current().map_err(|error| talk(error.into()))?.effective;
        // A daemon without power, too, may look.
        let looks = power.is_harmless() && !Uid::effective().is_root() && !have.has(Cap::SETUID);
        let stays = station == Station::Actor || looks;
        let becomes = match power {
            Power::TargetsUser | Power::ReadDescriptors => {
                Some(process.and_then(|process| process.owner).ok_or(SandboxError::NoOneUser)?)
            }
            _ if stays => None,
            Power::SysctlFile | Power::ServiceManager => Some((0, NOBODY)),
            _ => Some((NOBODY, NOBODY)),
        };
        let mut needs: Vec<Cap> = keep.into_iter().collect();
        if becomes.is_some() {
            needs.extend([Cap::SETUID, Cap::SETGID]);
        }
        if !stays {
            needs.push(Cap::SETPCAP);
        }
        let missing: Vec<String> = needs.into_iter().filter(|cap| !have.has(*cap)).map(|cap| cap.to_string()).collect();
        if !missing.is_empty() {
            return Err(SandboxError::NoPrivilege { missing: missing.join(", ") });
        }
        let (user, group) = becomes.unwrap_or((Uid::effective().as_raw(), Gid::effective().as_raw()));
        let groups = match becomes {
            Some(_) => Vec::new(),
            None => getgroups().map_err(|error| talk(error.into()))?.into_iter().map(Gid::as_raw).collect(),
        };
        let bounding = if stays { bits(capctl::bounding::probe()) } else { 0 };
        let capabilities = keep.map_or(0, |cap| 1 << (cap as u8));
        let granted = Granted { landlock, user, group, groups, capabilities, bounding };
        Ok(Self { becomes, keep, unbound: !stays, granted })
    }

    /// What the executor must find itself to be.
    pub(super) fn granted(&self) -> Granted {
        self.granted.clone()
    }

    /// Runs between fork and exec: system calls only.
    pub(super) fn apply(&self, kept: &[RawFd], dies_with_its_maker: bool) -> io::Result<()> {
        setsid()?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        sys::close_on_exec_from(3)?;
        for fd in kept {
            sys::keep_on_exec(*fd)?;
        }
        let mut left = CapSet::empty();
        if let Some(cap) = self.keep {
            left.add(cap);
        }
        // Nothing becomes inheritable that has left the bounding set, so this comes first.
        let now = CapState::get_current()?;
        CapState { inheritable: left, ..now }.set_current()?;
        if self.unbound {
            capctl::bounding::clear()?;
            if self.granted.user == 0 {
                sys::root_is_nobody_special()?;
            }
        }
        if let Some((user, group)) = self.becomes {
            prctl::set_keepcaps(self.keep.is_some())?;
            setgroups(&[])?;
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            setresgid(group, group, group)?;
            setresuid(user, user, user)?;
        }
        CapState { effective: left, permitted: left, inheritable: left }.set_current()?;
        if let Some(cap) = self.keep {
            capctl::ambient::raise(cap)?;
        }
        prctl::set_no_new_privs()?;
        if dies_with_its_maker {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
        }
        Ok(())
    }
}

/// One bit a capability, as in `/proc/PID/status`.
fn bits(set: CapSet) -> u64 {
    set.iter().fold(0, |bits, cap| bits | 1 << (cap as u8))
}
