//! What an action is expected to do, told before it is done. [`crate::simulate`] reckons what has a formula.

use std::fmt;

/// What an action is expected to do to the measure of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicts {
    /// It only looks.
    Nothing,
    /// The target's share of a contested CPU falls with its weight.
    Weight,
    /// What the target does falls with the CPU time that it may use.
    Quota,
    /// The target's memory stays below a limit.
    MemoryLimit,
    /// The target reads or writes no more than so much a second, on one disk.
    IoLimit,
    /// A quota, a limit of memory, or both, for one process.
    OwnCgroup,
    /// The target stands still.
    StandsStill,
    /// The target ends.
    Ends,
    /// The target ends, and another takes its place.
    BeginsAnew,
    /// A limit that it waits or fails at is raised.
    Raised(Raises),
    /// In words alone: no number is reckoned before it.
    Unreckoned(&'static str),
}

/// A limit of a cgroup or of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raises {
    CpuQuota,
    Memory,
    Tasks,
    OpenFiles,
    /// Local ports, by a wider range.
    Ports,
    /// Local ports, by those in TIME-WAIT.
    PortsInTimeWait,
}

impl Predicts {
    /// Whether it takes nothing from anybody that it is for: whoever has it done need not be to blame.
    #[must_use]
    pub const fn relieves(self) -> bool {
        matches!(self, Self::Raised(_))
    }

    /// Whether processes of its target do not live on.
    #[must_use]
    pub const fn ends_processes(self) -> bool {
        matches!(self, Self::Ends | Self::BeginsAnew)
    }
}

/// As the catalogue tells it.
impl fmt::Display for Predicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing: it only looks",
            Self::Weight => {
                "where the CPU is contested, its share falls as the scheduler's weights do (1024 / 1.25^nice); elsewhere nothing changes"
            }
            Self::Quota => "what it does falls as the CPU time that it may use does: limit / used now",
            Self::IoLimit => {
                "others wait less for that disk, as for a queue (M/M/1): S / (1 − ρ), where ρ is the part of the time that it is busy"
            }
            Self::MemoryLimit => "it grows no further; its cache falls to what the limit leaves",
            Self::OwnCgroup => {
                "with a quota, what it does falls as the CPU time that it may use does; with a limit of memory, it grows no further"
            }
            Self::StandsStill => "it takes nothing more, and keeps what it holds",
            Self::Ends => "it takes and holds nothing more",
            Self::BeginsAnew => "it takes and holds nothing of what it did, until that comes again",
            Self::Raised(Raises::CpuQuota) => "its quota stops it no longer, if what it wants of a CPU is less than the new one",
            Self::Raised(Raises::Memory) => "it reclaims less, and is not ended for want of memory, until it holds the new limit",
            Self::Raised(Raises::Tasks) => "its forks succeed, until it has the new limit of tasks",
            Self::Raised(Raises::Ports | Raises::PortsInTimeWait) => "outgoing connections find a free port",
            Self::Raised(Raises::OpenFiles) => "it opens files again, until it has the new limit open",
            Self::Unreckoned(words) => return write!(f, "{words} (no number is reckoned)"),
        })
    }
}
