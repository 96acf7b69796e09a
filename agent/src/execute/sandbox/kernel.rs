//! What the running kernel lends to the sandbox: Landlock, by its ABI, and the filter of system calls.

use super::sys;

/// The oldest ABI that an action can do with: rights on files, kernel 5.13.
const LEAST: u32 = 1;
/// The newest that was tried; what a later kernel adds is not asked for.
pub(super) const NEWEST: u32 = 7;
/// What each ABI beyond the first adds to what an executor is denied, and since which kernel. 5 and 7 add nothing that
/// an executor could reach: it has no device, and what is logged denies nothing.
const ADDED: [(u32, &str, &str); 4] = [
    (2, "5.19", "moving files between directories"),
    (3, "6.2", "truncating files"),
    (4, "6.7", "TCP"),
    (6, "6.12", "signals and abstract sockets out of the sandbox"),
];

/// What confines an executor here, found by asking the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    landlock: Result<u32, NoLandlock>,
    filter: bool,
}

/// Why there is no Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLandlock {
    #[error("this kernel was built without Landlock, or is older than 5.13")]
    NotBuilt,
    #[error("this kernel was started without Landlock")]
    NotStarted,
    #[error("the agent may not use Landlock: a filter of system calls denies it")]
    Denied,
}

/// Why no executor may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfined {
    #[error(transparent)]
    Landlock(#[from] NoLandlock),
    #[error("this kernel cannot filter system calls (seccomp)")]
    NoFilter,
}

impl Confinement {
    /// Of a kernel with this ABI of Landlock, and with or without filters.
    #[must_use]
    pub const fn of(landlock: Result<u32, NoLandlock>, filter: bool) -> Self {
        Self { landlock, filter }
    }

    #[must_use]
    pub fn of_this_kernel() -> Self {
        Self { landlock: sys::landlock_abi(), filter: sys::can_filter() }
    }

    /// The ABI of Landlock that every executor must be confined by. Every action needs it, those that only look too:
    /// without rights on files an executor that reads `/proc` could read all that its user can.
    pub fn enforced(&self) -> Result<u32, Unconfined> {
        let abi = self.landlock?.min(NEWEST);
        if !self.filter {
            return Err(Unconfined::NoFilter);
        }
        if abi < LEAST { Err(NoLandlock::NotBuilt.into()) } else { Ok(abi) }
    }

    /// For eyes: what Landlock denies here beyond files, and what the filter of system calls denies alone.
    #[must_use]
    pub fn told(&self) -> String {
        let abi = match self.enforced() {
            Ok(abi) => abi,
            Err(why) => return why.to_string(),
        };
        let (there, later): (Vec<_>, Vec<_>) = ADDED.iter().partition(|(since, ..)| *since <= abi);
        let mut told = format!("system call filter, and Landlock ABI {abi}: opening files");
        for (_, _, what) in there {
            told.push_str(&format!(", {what}"));
        }
        if !later.is_empty() {
            let later: Vec<String> = later.iter().map(|(_, kernel, what)| format!("{what} (from {kernel})")).collect();
            told.push_str(&format!("; the filter alone denies {}", later.join(", ")));
        }
        told
    }
}
