//! The files of cgroups that this agent may write: in which hierarchy each is, and what may be written to it.

use super::command::{CommandError, Way, unsigned};

/// Least limit of memory, and least that is reclaimed, bytes.
const MEMORY_MIN_BYTES: u64 = 1 << 20;
/// Shortest quota that the kernel takes, us.
const QUOTA_MIN_US: u64 = 1000;
/// Least rates that leave a device usable.
pub(super) const BPS_MIN: u64 = 64 << 10;
const IOPS_MIN: u64 = 10;

/// A file of a cgroup that an action may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupFile {
    /// v1, bytes; -1 is no limit.
    MemoryLimit,
    /// v2, bytes or `max`: beyond it processes are slowed and reclaimed from.
    MemoryHigh,
    /// v2, bytes or `max`: beyond it processes are ended.
    MemoryMax,
    /// v2, bytes to reclaim now; it cannot be read.
    MemoryReclaim,
    /// v1, us per period; -1 is no quota.
    CpuQuota,
    /// v2, us per period or `max`.
    CpuMax,
    /// Tasks or `max`.
    PidsMax,
    /// v1, `FROZEN` or `THAWED`.
    FreezerState,
    /// v2, 1 or 0.
    CgroupFreeze,
    /// v2, a line a device, such as `8:0 rbps=1048576 wbps=max riops=max wiops=max`.
    IoMax,
    /// v1, a line a device, such as `8:0 1048576`; 0 takes it away.
    BlkioReadBps,
    BlkioWriteBps,
    BlkioReadIops,
    BlkioWriteIops,
}

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hierarchy {
    Unified,
    /// The v1 hierarchy of a controller.
    V1(&'static str),
    /// The v1 hierarchy of the controller where there is one, the unified one otherwise: the file has one name in both.
    Either(&'static str),
}

impl CgroupFile {
    pub const ALL: [Self; 14] = [
        Self::MemoryLimit,
        Self::MemoryHigh,
        Self::MemoryMax,
        Self::MemoryReclaim,
        Self::CpuQuota,
        Self::CpuMax,
        Self::PidsMax,
        Self::FreezerState,
        Self::CgroupFreeze,
        Self::IoMax,
        Self::BlkioReadBps,
        Self::BlkioWriteBps,
        Self::BlkioReadIops,
        Self::BlkioWriteIops,
    ];
    /// A file of each hierarchy that there may be.
    pub const OF_EACH_HIERARCHY: [Self; 6] =
        [Self::MemoryHigh, Self::MemoryLimit, Self::CpuQuota, Self::PidsMax, Self::FreezerState, Self::BlkioReadBps];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemoryLimit => "memory.limit_in_bytes",
            Self::MemoryHigh => "memory.high",
            Self::MemoryMax => "memory.max",
            Self::MemoryReclaim => "memory.reclaim",
            Self::CpuQuota => "cpu.cfs_quota_us",
            Self::CpuMax => "cpu.max",
            Self::PidsMax => "pids.max",
            Self::FreezerState => "freezer.state",
            Self::CgroupFreeze => "cgroup.freeze",
            Self::IoMax => "io.max",
            Self::BlkioReadBps => "blkio.throttle.read_bps_device",
            Self::BlkioWriteBps => "blkio.throttle.write_bps_device",
            Self::BlkioReadIops => "blkio.throttle.read_iops_device",
            Self::BlkioWriteIops => "blkio.throttle.write_iops_device",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|file| file.name() == name)
    }

    pub(super) const fn hierarchy(self) -> Hierarchy {
        match self {
            Self::MemoryLimit => Hierarchy::V1("memory"),
            Self::CpuQuota => Hierarchy::V1("cpu"),
            Self::PidsMax => Hierarchy::Either("pids"),
            Self::FreezerState => Hierarchy::V1("freezer"),
            Self::BlkioReadBps | Self::BlkioWriteBps | Self::BlkioReadIops | Self::BlkioWriteIops => {
                Hierarchy::V1("blkio")
            }
            Self::MemoryHigh
            | Self::MemoryMax
            | Self::MemoryReclaim
            | Self::CpuMax
            | Self::CgroupFreeze
            | Self::IoMax => Hierarchy::Unified,
        }
    }

    /// The controller that it is a file of.
    pub(super) fn controller(self) -> &'static str {
        self.name().split('.').next().unwrap_or_default()
    }

    /// What is written where nothing is to be limited; none where that is not what it is for.
    pub(super) const fn no_limit(self) -> Option<&'static str> {
        match self {
            Self::MemoryLimit | Self::CpuQuota => Some("-1"),
            Self::MemoryHigh | Self::MemoryMax | Self::CpuMax | Self::PidsMax => Some("max"),
            _ => None,
        }
    }

    /// Whether it can be written only.
    pub(super) const fn is_blind(self) -> bool {
        matches!(self, Self::MemoryReclaim)
    }

    /// The value as the kernel takes it.
    pub(super) fn to_kernel(self, value: &str) -> String {
        value.replace(',', " ")
    }

    /// Whether this may be written that way.
    pub(super) fn check(self, value: &str, way: Way) -> Result<(), CommandError> {
        let back = way == Way::Back;
        let least = |least: u64, text: &str| unsigned::<u64>(text).is_some_and(|number| number >= least || back);
        let (sound, range) = match self {
            Self::MemoryHigh | Self::MemoryMax => {
                (least(MEMORY_MIN_BYTES, value) || back && value == "max", "1048576 bytes or more")
            }
            Self::MemoryLimit => (least(MEMORY_MIN_BYTES, value) || back && value == "-1", "1048576 bytes or more"),
            Self::MemoryReclaim => (least(MEMORY_MIN_BYTES, value) && !back, "1048576 bytes or more"),
            Self::CpuQuota | Self::CpuMax => {
                let none = if self == Self::CpuMax { "max" } else { "-1" };
                let quota = unsigned::<u64>(value).is_some_and(|quota_us| quota_us >= QUOTA_MIN_US);
                (quota || back && value == none, "1000 us or more")
            }
            Self::PidsMax => (least(1, value) || back && value == "max", "1 task or more"),
            Self::FreezerState => (matches!(value, "FROZEN" | "THAWED"), "FROZEN or THAWED"),
            Self::CgroupFreeze => (matches!(value, "0" | "1"), "0 or 1"),
            Self::IoMax => {
                let rate = device_and_rate(value).and_then(|rate| rate.split_once('='));
                let sound = rate.is_some_and(|(key, rate)| match key {
                    "rbps" | "wbps" => least(BPS_MIN, rate) || back && rate == "max",
                    "riops" | "wiops" => least(IOPS_MIN, rate) || back && rate == "max",
                    _ => false,
                });
                (sound, "a device and 65536 bytes/s, or 10 operations/s, or more")
            }
            Self::BlkioReadBps | Self::BlkioWriteBps => {
                (device_and_rate(value).is_some_and(|rate| least(BPS_MIN, rate)), "a device and 65536 bytes/s or more")
            }
            Self::BlkioReadIops | Self::BlkioWriteIops => (
                device_and_rate(value).is_some_and(|rate| least(IOPS_MIN, rate)),
                "a device and 10 operations/s or more",
            ),
        };
        if sound {
            return Ok(());
        }
        let given = value.escape_default().take(40).collect();
        Err(CommandError::OutOfRange { what: self.name(), given, range: range.to_owned() })
    }
}

/// What follows the device in `8:0,1048576`.
fn device_and_rate(value: &str) -> Option<&str> {
    let (device, rate) = value.split_once(',')?;
    device.parse::<super::value::Device>().ok().map(|_| rate)
}
