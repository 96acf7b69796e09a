//! How a thread is scheduled, as far as an action changes it: by its share, or before all who are.

use std::{fmt, str::FromStr};

use nix::libc;

/// A policy, with the real-time priority where it has one, 1 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduling {
    Other,
    Fifo(u8),
    RoundRobin(u8),
}

impl Scheduling {
    /// As `/proc/PID/stat` numbers it; none for one that is not changed here (batch, idle, deadline, …).
    pub(super) fn of(policy: u32, priority: u8) -> Option<Self> {
        match i32::try_from(policy).ok()? {
            libc::SCHED_OTHER => Some(Self::Other),
            libc::SCHED_FIFO => Some(Self::Fifo(priority)),
            libc::SCHED_RR => Some(Self::RoundRobin(priority)),
            _ => None,
        }
    }

    pub(super) const fn policy(self) -> i32 {
        match self {
            Self::Other => libc::SCHED_OTHER,
            Self::Fifo(_) => libc::SCHED_FIFO,
            Self::RoundRobin(_) => libc::SCHED_RR,
        }
    }

    pub(super) const fn priority(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Fifo(priority) | Self::RoundRobin(priority) => priority,
        }
    }

    pub(super) const fn is_realtime(self) -> bool {
        !matches!(self, Self::Other)
    }

    /// `chrt`'s flag for the policy.
    pub(super) const fn flag(self) -> &'static str {
        match self {
            Self::Other => "-o",
            Self::Fifo(_) => "-f",
            Self::RoundRobin(_) => "-r",
        }
    }

    pub(super) fn from_flag(flag: &str, priority: u8) -> Option<Self> {
        [Self::Other, Self::Fifo(priority), Self::RoundRobin(priority)].into_iter().find(|one| one.flag() == flag)
    }
}

impl fmt::Display for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("other"),
            Self::Fifo(priority) => write!(f, "fifo:{priority}"),
            Self::RoundRobin(priority) => write!(f, "rr:{priority}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it is no scheduling that is changed here; other, fifo:10 or rr:10 is")]
pub struct NoScheduling;

impl FromStr for Scheduling {
    type Err = NoScheduling;

    fn from_str(text: &str) -> Result<Self, NoScheduling> {
        let (name, priority) = text.split_once(':').unwrap_or((text, "0"));
        let priority = priority.parse().map_err(|_| NoScheduling)?;
        let read = match name {
            "other" => Self::Other,
            "fifo" => Self::Fifo(priority),
            "rr" => Self::RoundRobin(priority),
            _ => return Err(NoScheduling),
        };
        if read.to_string() == text { Ok(read) } else { Err(NoScheduling) }
    }
}
