//! What runs short where a signal is seen.

use crate::observe::{Signal, SignalType, sample::Filesystem};

/// What runs short; signals of one cause are short of the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Memory,
    Cpu,
    Io,
    Network,
    /// Descriptors, of a process or of the node.
    Files,
    /// Room in a filesystem.
    Space,
    /// Processes and threads that there may be.
    Tasks,
    /// None that can be named: calls fail otherwise.
    Errors,
    /// Nor here: calls take long.
    Time,
}

impl Resource {
    pub(super) fn of(signal: &Signal) -> &'static [Self] {
        match signal.signal_type {
            SignalType::MemoryPressure => &[Self::Memory],
            SignalType::SwapThrashing => &[Self::Memory, Self::Io],
            // Minor faults are work, major ones are memory that is not there and comes from a disk.
            SignalType::PageFault if !signal.measure.contains("major") => &[Self::Cpu],
            SignalType::PageFault => &[Self::Memory, Self::Io],
            SignalType::LoadMismatch | SignalType::Scheduler => &[Self::Cpu],
            SignalType::Syscall => Self::of_calls(signal),
            SignalType::IoCongestion | SignalType::BlockDeviceSaturation => &[Self::Io],
            SignalType::NetworkDegradation | SignalType::TcpExhaustion => &[Self::Network],
        }
    }

    fn of_calls(signal: &Signal) -> &'static [Self] {
        let says = |words: &[&str]| words.iter().any(|word| signal.measure.contains(word));
        if says(&["process_calls"]) {
            &[Self::Cpu]
        } else if says(&["filesystem"]) && signal.value < Filesystem::FULL_PERCENT {
            // It has room: what fails for want of it fails elsewhere.
            &[]
        } else if says(&["enospc", "filesystem"]) {
            &[Self::Space]
        } else if says(&["emfile", "enfile", "open_files"]) {
            &[Self::Files]
        } else if says(&["fork", "pids"]) {
            &[Self::Tasks]
        } else if says(&["call_p99"]) {
            &[Self::Time]
        } else {
            &[Self::Errors]
        }
    }

    pub(super) const fn is_told_by_calls(self) -> bool {
        matches!(self, Self::Files | Self::Space | Self::Tasks | Self::Errors | Self::Time)
    }
}
