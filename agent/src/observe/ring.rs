//! The rings: bytes of the kernel become events. What is not as it should be is a counted, named defect.

#![expect(unsafe_code, reason = "a ring's descriptor is registered with the runtime, and bytes are read as wire types")]

use std::{collections::HashMap, fs, io, path::Path};

use agent_ebpf::wire::{BlockRecord, Device, Header, Kind, MemoryRecord, NumberRecord, SyscallRecord};
use aya::{
    Pod,
    maps::{MapData, RingBuf},
};
use serde::Serialize;
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    Event, ProcessId,
    comm::Comm,
    event::{BlockOperation, What},
};
use crate::text::Text;

/// A clock tick of `/proc`, as the system call interface fixes it on all architectures that eBPF runs on.
const TICK_NS: u64 = 10_000_000;

/// A record that was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    #[error("a record of {length} bytes is shorter than its header of {expected}")]
    Short { length: usize, expected: usize },
    #[error("a record of kind {kind} has {length} bytes, not {expected}")]
    Length { kind: u32, length: usize, expected: usize },
    #[error("no record is of kind {kind}")]
    Kind { kind: u32 },
    #[error("a record of kind {kind} tells {value}, which is more than it can")]
    Value { kind: u32, value: u64 },
}

/// How many records were not decoded since load, and the last reason.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Defects {
    pub count: u64,
    pub last: Option<String>,
}

/// Both rings.
pub struct Events {
    ordinary: RingBuf<MapData>,
    urgent: AsyncFd<RingBuf<MapData>>,
    devices: Devices,
    defects: Defects,
}

impl Events {
    /// Takes the rings; the urgent one is watched by the runtime that this is called in.
    pub(crate) fn new(ordinary: RingBuf<MapData>, urgent: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns its descriptor and lives in the AsyncFd, which deregisters before it drops the ring.
        let urgent = unsafe { AsyncFd::register_with_interest(urgent, Interest::READABLE) }?;
        Ok(Self { ordinary, urgent, devices: Devices::default(), defects: Defects::default() })
    }

    /// Waits until something urgent happened, and appends all of it. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the descriptor cannot be waited for.
    pub async fn urgent(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let Self { urgent, devices, defects, .. } = self;
        let before = events.len();
        while events.len() == before {
            let mut ready = urgent.readable_mut().await?;
            drain(ready.get_inner_mut(), devices, defects, |event| events.push(event));
            // The ring is empty now; what comes later wakes again.
            ready.clear_ready();
        }
        Ok(())
    }

    /// Appends all that both rings hold, the urgent first.
    pub fn drain(&mut self, events: &mut Vec<Event>) {
        self.drain_urgent(events);
        self.drain_ordinary(|event| events.push(event));
    }

    /// Appends what the urgent ring holds, for whoever does not wait for it.
    pub fn drain_urgent(&mut self, events: &mut Vec<Event>) {
        drain(self.urgent.get_mut(), &mut self.devices, &mut self.defects, |event| events.push(event));
    }

    /// Hands on what the ordinary ring holds, one after the other: a busy ring holds more than a cache. It wakes nobody:
    /// call this on a timer.
    pub fn drain_ordinary(&mut self, each: impl FnMut(Event)) {
        drain(&mut self.ordinary, &mut self.devices, &mut self.defects, each);
    }

    #[must_use]
    pub fn defects(&self) -> &Defects {
        &self.defects
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("defects", &self.defects).finish_non_exhaustive()
    }
}

/// Hands on all that one ring holds.
pub(crate) fn drain(
    ring: &mut RingBuf<MapData>,
    devices: &mut Devices,
    defects: &mut Defects,
    mut each: impl FnMut(Event),
) {
    while let Some(record) = ring.next() {
        match decode(&record, devices) {
            Ok(event) => each(event),
            Err(defect) => {
                defects.count += 1;
                defects.last = Some(defect.to_string());
            }
        }
    }
}

/// Decodes one record.
///
/// # Errors
/// When its kind is unknown, its length is not that of its kind, or a number is larger than what it stands for.
// A call would hand the event back through memory, and whoever took it from there would wait for it longer than all of
// the decoding takes.
#[inline(always)]
pub fn decode(bytes: &[u8], devices: &mut Devices) -> Result<Event, Defect> {
    let expected = size_of::<Header>();
    let header: Header = prefix(bytes).ok_or(Defect::Short { length: bytes.len(), expected })?;
    let what = match header.kind {
        kind if kind == Kind::RssStep as u32 => What::RssStep { rss_bytes: number(bytes, kind)? },
        kind if kind == Kind::OomKill as u32 => {
            let record: MemoryRecord = whole(bytes, kind)?;
            What::OomKill { rss_bytes: record.number, in_cgroup: flag(record.in_cgroup, kind)? }
        }
        kind if kind == Kind::ReclaimStall as u32 => {
            let record: MemoryRecord = whole(bytes, kind)?;
            What::ReclaimStall { duration_ns: record.number, in_cgroup: flag(record.in_cgroup, kind)? }
        }
        kind if kind == Kind::BlockOutlier as u32 => {
            let record: BlockRecord = whole(bytes, kind)?;
            What::BlockOutlier {
                device: devices.name(record.device),
                operation: operation(record.operation),
                latency_ns: record.latency_ns,
                bytes: record.bytes,
            }
        }
        kind if kind == Kind::BlockError as u32 => {
            let record: BlockRecord = whole(bytes, kind)?;
            What::BlockError {
                device: devices.name(record.device),
                operation: operation(record.operation),
                errno: block_errno(record.error),
            }
        }
        kind if kind == Kind::SyscallOutlier as u32 => {
            let record: SyscallRecord = whole(bytes, kind)?;
            What::SyscallOutlier { syscall: narrow(record.syscall, kind)?, latency_ns: record.latency_ns }
        }
        kind if kind == Kind::RunQueueOutlier as u32 => What::RunQueueOutlier { latency_ns: number(bytes, kind)? },
        kind if kind == Kind::Fork as u32 => What::Fork { child_pid: narrow(number(bytes, kind)?, kind)? },
        kind if kind == Kind::Exec as u32 => {
            number(bytes, kind)?;
            What::Exec
        }
        kind if kind == Kind::Exit as u32 => {
            What::Exit { exit_code: narrow(number(bytes, kind)?, kind)?.cast_signed() }
        }
        kind => return Err(Defect::Kind { kind }),
    };
    Ok(Event {
        at_ns: header.at_ns,
        process: ProcessId { pid: header.tgid, start_ticks: start_ticks(header.start_boottime_ns) },
        comm: Comm::new(header.comm),
        cgroup_id: header.cgroup_id,
        what,
    })
}

/// Start of a process as field 22 of `/proc/PID/stat` tells it.
pub(crate) fn start_ticks(start_boottime_ns: u64) -> u64 {
    start_boottime_ns / TICK_NS
}

/// The kernel's `enum req_op`, whose numbers its block layer has kept since 4.10.
pub(crate) fn operation(number: u32) -> BlockOperation {
    match number {
        0 => BlockOperation::Read,
        1 | 9 => BlockOperation::Write,
        2 => BlockOperation::Flush,
        3 | 5 => BlockOperation::Discard,
        _ => BlockOperation::Other,
    }
}

/// Up to 5.15 the tracepoint gives a negative errno, later a block status, which the kernel maps like this.
fn block_errno(error: i32) -> i32 {
    use nix::libc;
    match error {
        ..=0 => error.saturating_neg(),
        1 => libc::EOPNOTSUPP,
        2 => libc::ETIMEDOUT,
        3 => libc::ENOSPC,
        4 => libc::ENOLINK,
        5 => libc::EREMOTEIO,
        6 => libc::EBADE,
        7 => libc::ENODATA,
        8 => libc::EILSEQ,
        9 => libc::ENOMEM,
        12 => libc::EAGAIN,
        13 => libc::EBUSY,
        _ => libc::EIO,
    }
}

/// Names of block devices, looked up once.
#[derive(Debug, Default)]
pub struct Devices {
    names: HashMap<Device, Text>,
}

impl Devices {
    /// Name as in `/sys/block`, such as `sda`; `major:minor` where the device is gone.
    pub fn name(&mut self, device: Device) -> Text {
        let name = |Device { major, minor }: &Device| {
            let numbers = format!("{major}:{minor}");
            let target = fs::read_link(Path::new("/sys/dev/block").join(&numbers)).ok();
            let name = target.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
            Text::from(name.unwrap_or(&numbers))
        };
        self.names.entry(device).or_insert_with_key(name).clone()
    }
}

fn number(bytes: &[u8], kind: u32) -> Result<u64, Defect> {
    Ok(whole::<NumberRecord>(bytes, kind)?.number)
}

fn narrow(value: u64, kind: u32) -> Result<u32, Defect> {
    u32::try_from(value).map_err(|_| Defect::Value { kind, value })
}

fn flag(value: u64, kind: u32) -> Result<bool, Defect> {
    if value > 1 { Err(Defect::Value { kind, value }) } else { Ok(value == 1) }
}

fn whole<T: Pod>(bytes: &[u8], kind: u32) -> Result<T, Defect> {
    let (length, expected) = (bytes.len(), size_of::<T>());
    let defect = Defect::Length { kind, length, expected };
    if length == expected { prefix(bytes).ok_or(defect) } else { Err(defect) }
}

/// The value that `bytes` begin with; none when they are too few.
pub(crate) fn prefix<T: Pod>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: there are as many bytes as the type has, any of which are a value of it, and no alignment is asked.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
