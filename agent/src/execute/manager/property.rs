//! Limits that systemd keeps for a unit, and writes to the unit's cgroup whenever it has a reason to.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::execute::command::{CommandError, Way, unsigned};

/// Where systemd keeps what was set until the next boot, by unit.
pub(in crate::execute) const RUNTIME: &str = "/run/systemd/system.control";
/// Least limit of memory, bytes; shortest quota, us in a second (the kernel's 1000 us in 100 ms).
const MEMORY_MIN_BYTES: u64 = 1 << 20;
const QUOTA_MIN_US: u64 = 10_000;

/// A limit of a unit that is one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Property {
    /// Bytes.
    MemoryHigh,
    /// Bytes.
    MemoryMax,
    /// CPU time in a second, us.
    #[serde(rename = "CPUQuotaPerSecUSec")]
    CpuQuota,
    /// Tasks.
    TasksMax,
}

impl Property {
    const ALL: [Self; 4] = [Self::MemoryHigh, Self::MemoryMax, Self::CpuQuota, Self::TasksMax];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemoryHigh => "MemoryHigh",
            Self::MemoryMax => "MemoryMax",
            Self::CpuQuota => "CPUQuotaPerSecUSec",
            Self::TasksMax => "TasksMax",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|property| property.name() == name)
    }

    /// The file that systemd writes when it is set until the next boot.
    pub(in crate::execute) fn drop_in(self, unit: &str) -> PathBuf {
        let name = if self == Self::CpuQuota { "CPUQuota" } else { self.name() };
        Path::new(RUNTIME).join(format!("{unit}.d")).join(format!("50-{name}.conf"))
    }

    /// Whether this may be set that way.
    pub(in crate::execute) fn check(self, limit: Limit, way: Way) -> Result<(), CommandError> {
        let (least, range) = match self {
            Self::MemoryHigh | Self::MemoryMax => (MEMORY_MIN_BYTES, "1048576 bytes or more"),
            Self::CpuQuota => (QUOTA_MIN_US, "10000 us in a second or more"),
            Self::TasksMax => (1, "1 task or more"),
        };
        if way == Way::Back || limit.0.is_some_and(|number| number >= least) {
            return Ok(());
        }
        Err(CommandError::OutOfRange { what: self.name(), given: limit.to_string(), range: range.to_owned() })
    }
}

/// How much; none: `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub(in crate::execute) Option<u64>);

impl Limit {
    /// As systemd has it on D-Bus: all bits set are no limit.
    pub(in crate::execute) const fn from_bus(number: u64) -> Self {
        Self(if number == u64::MAX { None } else { Some(number) })
    }

    pub(in crate::execute) fn to_bus(self) -> u64 {
        self.0.unwrap_or(u64::MAX)
    }

    pub(in crate::execute) fn parse(text: &str) -> Option<Self> {
        if text == "infinity" { Some(Self(None)) } else { unsigned(text).map(|number| Self(Some(number))) }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("infinity"),
        }
    }
}
