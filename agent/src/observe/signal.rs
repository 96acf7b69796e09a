//! A signal: one thing that is abnormal, about one entity, with its numbers.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Entity;

/// The ten kinds of signal. The name is the classifier's file, the key in `thresholds.toml`, the label and the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalType {
    MemoryPressure,
    LoadMismatch,
    IoCongestion,
    NetworkDegradation,
    TcpExhaustion,
    SwapThrashing,
    BlockDeviceSaturation,
    Scheduler,
    Syscall,
    PageFault,
}

impl SignalType {
    pub const ALL: [Self; 10] = [
        Self::MemoryPressure,
        Self::LoadMismatch,
        Self::IoCongestion,
        Self::NetworkDegradation,
        Self::TcpExhaustion,
        Self::SwapThrashing,
        Self::BlockDeviceSaturation,
        Self::Scheduler,
        Self::Syscall,
        Self::PageFault,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemoryPressure => "memory_pressure",
            Self::LoadMismatch => "load_mismatch",
            Self::IoCongestion => "io_congestion",
            Self::NetworkDegradation => "network_degradation",
            Self::TcpExhaustion => "tcp_exhaustion",
            Self::SwapThrashing => "swap_thrashing",
            Self::BlockDeviceSaturation => "block_device_saturation",
            Self::Scheduler => "scheduler",
            Self::Syscall => "syscall",
            Self::PageFault => "page_fault",
        }
    }
}

/// How bad a signal is. Ordered: `None < Low < Medium < High < Critical`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    #[default]
    None,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: [Self; 5] = [Self::None, Self::Low, Self::Medium, Self::High, Self::Critical];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Named numbers in the order they were said. The unit is the end of the name: `rss_bytes`, `latency_ns`, `share_percent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Numbers(pub Vec<(Cow<'static, str>, f64)>);

impl Numbers {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

/// `numbers! { rss_bytes: 5.0, growth_bytes_per_s: 1.0 }`
#[macro_export]
macro_rules! numbers {
    ($($name:ident: $value:expr),* $(,)?) => {
        $crate::observe::signal::Numbers(vec![$((std::borrow::Cow::Borrowed(stringify!($name)), $value)),*])
    };
}

/// What a classifier reads off the window each tick, calm or not: one measure of one entity.
///
/// The runner alone turns it into a severity, by `thresholds.toml` and the entity's baseline.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Name of the measure: the key below the signal type in `thresholds.toml`, with its unit, such as `psi_some_percent`.
    pub measure: &'static str,
    pub entity: Entity,
    /// In the unit that the measure's name ends with.
    pub value: f64,
    pub numbers: Numbers,
    /// One plain sentence without the severity, ending in no full stop.
    pub sentence: String,
}

/// An anomaly that lasted. One row from its first sight to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// Unique in one database, given by the runner when the signal opens.
    pub id: i64,
    pub signal_type: SignalType,
    pub measure: Cow<'static, str>,
    pub entity: Entity,
    pub severity: Severity,
    /// The worst that this signal has been.
    pub peak_severity: Severity,
    /// 0 to 1: where the value stands among its thresholds; 0.25 at `low`, 0.5 at `medium`, 0.75 at `high`, 1 at `critical`.
    pub pressure: f64,
    pub value: f64,
    pub numbers: Numbers,
    pub sentence: String,
    /// Unix time, ms: when the value first crossed, before the duration gate.
    pub first_seen_ms: i64,
    pub last_seen_ms: i64,
    /// Ticks in which it was seen.
    pub count: u64,
    /// Unix time, ms; none while it is open.
    pub closed_ms: Option<i64>,
    /// Events that were lost in the signal's window: the diagnosis is the less sure for them.
    pub lost_events: u64,
}

impl fmt::Display for SignalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is none of the closed set it should be of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no {what}; one of {expected} is")]
pub struct UnknownName {
    pub given: String,
    pub what: &'static str,
    pub expected: String,
}

impl FromStr for SignalType {
    type Err = UnknownName;

    fn from_str(given: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|known| known.name() == given).ok_or_else(|| UnknownName {
            given: given.escape_default().to_string(),
            what: "signal type",
            expected: Self::ALL.map(Self::name).join(", "),
        })
    }
}

impl FromStr for Severity {
    type Err = UnknownName;

    fn from_str(given: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|known| known.name() == given).ok_or_else(|| UnknownName {
            given: given.escape_default().to_string(),
            what: "severity",
            expected: Self::ALL.map(Self::name).join(", "),
        })
    }
}
