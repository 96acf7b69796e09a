//! Queueing disciplines that can be put back as they were, and no others.
//!
//! What the kernel dumps of one is what it takes of these kinds: dumped, deleted, added and dumped again, each is the
//! same byte for byte. `fq_codel`, `codel` and `sfq` come back other than they were (their times and lengths are rounded
//! anew each time); `red` and `choke` want a table that the kernel does not show; of those with classes the classes would
//! be lost. None of these kinds takes filters.

use std::{fmt, str::FromStr};

use netlink_packet_core::NlasIterator;

use super::netlink::qdisc::Root;

/// Longest options, bytes: those of a `netem` are 168.
const OPTIONS_MAX: usize = 256;
/// Of a frame beyond its MTU: addresses, type, and a VLAN's tag.
const FRAME_BYTES: u64 = 18;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QdiscKind {
    Bfifo,
    Fq,
    Netem,
    Pfifo,
    PfifoHeadDrop,
    Tbf,
}

impl QdiscKind {
    pub const ALL: [Self; 6] = [Self::Bfifo, Self::Fq, Self::Netem, Self::Pfifo, Self::PfifoHeadDrop, Self::Tbf];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bfifo => "bfifo",
            Self::Fq => "fq",
            Self::Netem => "netem",
            Self::Pfifo => "pfifo",
            Self::PfifoHeadDrop => "pfifo_head_drop",
            Self::Tbf => "tbf",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A root discipline as somebody set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qdisc {
    /// Major number of its handle: `8001:` is 0x8001.
    pub major: u16,
    pub kind: QdiscKind,
    /// As the kernel dumps and takes them.
    pub options: Vec<u8>,
}

impl Qdisc {
    /// The one that was dumped, if it can be put back exactly; otherwise why not.
    pub(super) fn of(root: &Root, mtu: u32) -> Result<Self, String> {
        if let Some(besides) = root.besides {
            return Err(format!("it has {besides}"));
        }
        let Some(kind) = QdiscKind::from_name(&root.kind) else {
            let kinds = QdiscKind::ALL.map(QdiscKind::name).join(", ");
            return Err(format!("the kernel does not take a {} as it shows it; of these it does: {kinds}", root.kind));
        };
        if root.options.is_empty() || root.options.len() > OPTIONS_MAX {
            return Err(format!("its options have {} bytes, and 1 to {OPTIONS_MAX} are put back", root.options.len()));
        }
        match kind {
            QdiscKind::Netem => shows_its_distribution(&root.options)?,
            QdiscKind::Tbf => lets_whole_frames_through(&root.options, u64::from(mtu) + FRAME_BYTES)?,
            QdiscKind::Bfifo | QdiscKind::Fq | QdiscKind::Pfifo | QdiscKind::PfifoHeadDrop => {}
        }
        Ok(Self { major: root.major, kind, options: root.options.clone() })
    }
}

/// As in the journal: `8001: pfifo e8030000`.
impl fmt::Display for Qdisc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}: {} {}", self.major, self.kind.name(), hex(&self.options))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{given}` is no queueing discipline; one such as `8001: pfifo e8030000` is")]
pub struct NoQdisc {
    given: String,
}

impl FromStr for Qdisc {
    type Err = NoQdisc;

    fn from_str(given: &str) -> Result<Self, NoQdisc> {
        let parts: Vec<&str> = given.split(' ').collect();
        let read = match parts.as_slice() {
            [handle, kind, options] => read_major(handle).zip(QdiscKind::from_name(kind)).zip(unhex(options)),
            _ => None,
        };
        let ((major, kind), options) =
            read.ok_or_else(|| NoQdisc { given: given.escape_default().take(80).collect() })?;
        Ok(Self { major, kind, options })
    }
}

/// `8001:`, as it is printed: 1 to ffff, no zeros in front.
#[must_use]
pub fn read_major(handle: &str) -> Option<u16> {
    let major = u16::from_str_radix(handle.strip_suffix(':')?, 16).ok()?;
    (major > 0 && format!("{major:x}:") == handle).then_some(major)
}

#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two lower-case digits a byte, from one byte to as many as options have.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let plain = bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !plain || bytes.is_empty() || bytes.len() % 2 == 1 || bytes.len() > 2 * OPTIONS_MAX {
        return None;
    }
    bytes.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

/// A delay that varies does so by a table that somebody may have given, and that the kernel never shows; slots do, too.
fn shows_its_distribution(options: &[u8]) -> Result<(), String> {
    /// `struct tc_netem_qopt`, the sixth number of which is the jitter; attributes follow.
    const HEADER_BYTES: usize = 24;
    const JITTER64: u16 = 11;
    const SLOT: u16 = 12;
    let jitter = number(options, 20).unwrap_or(1);
    let attributes = options.get(HEADER_BYTES..).unwrap_or_default();
    let is_there = |wanted: u16, sets: fn(&[u8]) -> bool| {
        NlasIterator::new(attributes).flatten().any(|one| one.kind() == wanted && sets(one.value()))
    };
    let varies = jitter != 0 || is_there(JITTER64, |value| value.iter().any(|byte| *byte != 0));
    if varies || is_there(SLOT, |_| true) {
        return Err("its delay varies, and by which distribution the kernel does not show".to_owned());
    }
    Ok(())
}

/// The kernel shows how long a burst takes, and not how many bytes it is: put back it may be less by a few. That is
/// nothing, but where it lets whole frames through only just.
fn lets_whole_frames_through(options: &[u8], frame_bytes: u64) -> Result<(), String> {
    const PARMS: u16 = 1;
    const RATE64: u16 = 4;
    const PRATE64: u16 = 5;
    let find = |kind: u16| NlasIterator::new(options).flatten().find(|one| one.kind() == kind);
    let wide = |kind| find(kind).and_then(|one| one.value().first_chunk().map(|eight| u64::from_ne_bytes(*eight)));
    let unknown = || "its options are not as the kernel documents them".to_owned();
    let parms = find(PARMS).ok_or_else(unknown)?;
    // `struct tc_tbf_qopt`: two of `struct tc_ratespec` (12 bytes, the rate last), limit, burst and its like at the peak.
    for (spec, time, rate64) in [(0, 28, RATE64), (12, 32, PRATE64)] {
        let at = |at| number(parms.value(), at).map(u64::from).ok_or_else(unknown);
        let (rate, ticks) = (wide(rate64).map_or_else(|| at(spec + 8), Ok)?, at(time)?);
        if rate == 0 {
            continue;
        }
        let (layer, overhead) = link_layer(parms.value(), spec).ok_or_else(unknown)?;
        // A tick is 64 ns. Cells of ATM carry 48 bytes of 53.
        let bytes = u128::from(ticks) * 64 * u128::from(rate) / 1_000_000_000;
        let carried = if layer == 2 { bytes / 53 * 48 } else { bytes };
        let carried = carried.saturating_sub(overhead.into());
        if carried < frame_bytes.into() {
            return Err(format!(
                "its burst is about {carried} bytes, a frame {frame_bytes}, and the kernel shows it rounded"
            ));
        }
    }
    Ok(())
}

/// Of a `struct tc_ratespec`: its second byte, and the two after that.
fn link_layer(parms: &[u8], at: usize) -> Option<(u8, u16)> {
    let overhead = u16::from_ne_bytes(*parms.get(at + 2..)?.first_chunk()?);
    Some((parms.get(at + 1)? & 0xf, overhead))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_ne_bytes(*four))
}
