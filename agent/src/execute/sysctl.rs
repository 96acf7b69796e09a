//! The sysctls that this agent may write, a row each: how many numbers one holds, and between which an action and an
//! undo may set them. Those of `net` are the ones of the daemon's own network namespace, which is the node's.

use std::fmt;

use super::command::{CommandError, Way, unsigned};

/// Largest value of the kernel's `int`.
const INT_MAX: u64 = i32::MAX as u64;
/// Largest value of the kernel's `unsigned long` that is written here.
const LONG_MAX: u64 = i64::MAX as u64;

/// Least and most.
type Range = Option<(u64, u64)>;

/// A sysctl as a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysctlKey {
    name: &'static str,
    /// Numbers in the file, 1 to 3.
    numbers: usize,
    /// What an action may write; none: only an undo writes it.
    forward: Range,
    /// What may have stood before; none: it holds nothing that could be put back.
    back: Range,
}

impl SysctlKey {
    pub const SWAPPINESS: Self = one("vm.swappiness", Some((0, 100)), Some((0, 200)));
    pub const DROP_CACHES: Self = one("vm.drop_caches", Some((1, 3)), None);
    pub const COMPACT_MEMORY: Self = one("vm.compact_memory", Some((1, 1)), None);
    /// KiB.
    pub const MIN_FREE_KBYTES: Self = one("vm.min_free_kbytes", Some((1024, 64 << 20)), Some((0, INT_MAX)));
    /// The kernel takes two pages or more.
    pub const DIRTY_BYTES: Self = one("vm.dirty_bytes", Some((16 << 20, 64 << 30)), Some((8192, LONG_MAX)));
    pub const DIRTY_BACKGROUND_BYTES: Self =
        one("vm.dirty_background_bytes", Some((4 << 20, 64 << 30)), Some((1, LONG_MAX)));
    pub const DIRTY_RATIO: Self = one("vm.dirty_ratio", None, Some((1, 100)));
    pub const DIRTY_BACKGROUND_RATIO: Self = one("vm.dirty_background_ratio", None, Some((1, 100)));
    pub const SOMAXCONN: Self = one("net.core.somaxconn", Some((128, 65536)), Some((1, INT_MAX)));
    pub const RMEM_MAX: Self = one("net.core.rmem_max", Some((212_992, 64 << 20)), Some((1, INT_MAX)));
    pub const WMEM_MAX: Self = one("net.core.wmem_max", Some((212_992, 64 << 20)), Some((1, INT_MAX)));
    /// s.
    pub const FIN_TIMEOUT: Self = one("net.ipv4.tcp_fin_timeout", Some((10, 120)), Some((0, INT_MAX)));
    /// 0 never, 1 always, 2 on loopback only.
    pub const TW_REUSE: Self = one("net.ipv4.tcp_tw_reuse", Some((1, 2)), Some((0, 2)));
    /// Lowest and highest port.
    pub const PORT_RANGE: Self =
        Self { name: "net.ipv4.ip_local_port_range", numbers: 2, forward: Some((1024, 65535)), back: Some((1, 65535)) };
    /// Pages: below the first nothing is done, from the second on sockets are kept small, the third is the end.
    pub const TCP_MEM: Self =
        Self { name: "net.ipv4.tcp_mem", numbers: 3, forward: Some((1024, 1 << 38)), back: Some((0, LONG_MAX)) };
    /// Entries; 0 is no limit.
    pub const CONNTRACK_MAX: Self = one("net.netfilter.nf_conntrack_max", Some((65536, 16 << 20)), Some((1, INT_MAX)));

    pub const ALL: [Self; 16] = [
        Self::SWAPPINESS,
        Self::DROP_CACHES,
        Self::COMPACT_MEMORY,
        Self::MIN_FREE_KBYTES,
        Self::DIRTY_BYTES,
        Self::DIRTY_BACKGROUND_BYTES,
        Self::DIRTY_RATIO,
        Self::DIRTY_BACKGROUND_RATIO,
        Self::SOMAXCONN,
        Self::RMEM_MAX,
        Self::WMEM_MAX,
        Self::FIN_TIMEOUT,
        Self::TW_REUSE,
        Self::PORT_RANGE,
        Self::TCP_MEM,
        Self::CONNTRACK_MAX,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name == name)
    }

    /// Whether these may be written that way.
    pub(super) fn check(self, values: &Numbers, way: Way) -> Result<(), CommandError> {
        let range = if way == Way::Back { self.back } else { self.forward };
        let sound = values.0.len() == self.numbers
            && range.is_some_and(|(least, most)| values.0.iter().all(|value| (least..=most).contains(value)));
        if sound {
            return Ok(());
        }
        let range = match (range, self.numbers) {
            (None, _) => "it is not written that way".to_owned(),
            (Some((least, most)), 1) => format!("{least} to {most}"),
            (Some((least, most)), numbers) => format!("{numbers} numbers from {least} to {most}"),
        };
        Err(CommandError::OutOfRange { what: self.name, given: values.to_string(), range })
    }
}

const fn one(name: &'static str, forward: Range, back: Range) -> SysctlKey {
    SysctlKey { name, numbers: 1, forward, back }
}

/// The numbers of one sysctl, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers(Vec<u64>);

impl Numbers {
    /// As a command line has them: `32768,60999`.
    pub(super) fn from_line(text: &str) -> Option<Self> {
        text.split(',').map(unsigned).collect::<Option<_>>().map(Self)
    }

    /// As the kernel shows them: `32768 60999`.
    pub(super) fn from_file(text: &str) -> Option<Self> {
        let values: Vec<u64> = text.split_ascii_whitespace().map(unsigned).collect::<Option<_>>()?;
        (!values.is_empty()).then_some(Self(values))
    }

    /// As the kernel takes them.
    pub(super) fn to_file(&self) -> String {
        self.joined(" ")
    }

    pub(super) fn get(&self) -> &[u64] {
        &self.0
    }

    fn joined(&self, separator: &str) -> String {
        self.0.iter().map(u64::to_string).collect::<Vec<_>>().join(separator)
    }
}

impl From<u64> for Numbers {
    fn from(value: u64) -> Self {
        Self(vec![value])
    }
}

impl<const COUNT: usize> From<[u64; COUNT]> for Numbers {
    fn from(values: [u64; COUNT]) -> Self {
        Self(values.to_vec())
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(","))
    }
}
