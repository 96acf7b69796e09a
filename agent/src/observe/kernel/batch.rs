//! A bounded hash map read whole by one system call, where a walk by key takes two for each entry.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use aya::{
    Pod,
    maps::{HashMap as BpfHashMap, Map, MapData, MapError},
};
use nix::libc;

/// Commands of `bpf(2)`, and how it takes a batch (`include/uapi/linux/bpf.h`, since 5.6).
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_MAP_LOOKUP_AND_DELETE_BATCH: libc::c_int = 25;
#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    element_flags: u64,
    flags: u64,
}

/// Calls that one reading may take; more are needed only while programs add entries as fast as they are read.
const CALLS: usize = 4;

/// A hash map whose entries are read all at once.
pub(super) struct BatchMap<K: Pod, V: Pod> {
    map: BpfHashMap<MapData, K, V>,
    file: OwnedFd,
    keys: Vec<K>,
    values: Vec<V>,
    entries: usize,
    /// What the kernel said to a batch; from then on entries are walked by key.
    refused: bool,
}

impl<K: Pod, V: Pod> BatchMap<K, V> {
    /// `entries` is the most that the map holds.
    pub(super) fn new(map: Map, entries: usize) -> Result<Self, MapError> {
        let file = match &map {
            Map::HashMap(data) | Map::LruHashMap(data) => data.fd().as_fd().try_clone_to_owned()?,
            _ => return Err(MapError::InvalidMapType { map_type: 0 }),
        };
        let map = BpfHashMap::try_from(map)?;
        Ok(Self { map, file, keys: Vec::new(), values: Vec::new(), entries, refused: false })
    }

    /// All entries. One that is added meanwhile may be missing.
    pub(super) fn read(&mut self) -> Result<Vec<(K, V)>, MapError> {
        match self.batch(BPF_MAP_LOOKUP_BATCH) {
            Some(entries) => Ok(entries),
            None => self.map.iter().collect(),
        }
    }

    /// Takes the entries out. One that is added meanwhile comes with the next reading.
    pub(super) fn take(&mut self) -> Result<Vec<(K, V)>, MapError> {
        if let Some(entries) = self.batch(BPF_MAP_LOOKUP_AND_DELETE_BATCH) {
            return Ok(entries);
        }
        // The kernel evicts while this walks: the walk may begin anew, and what was evicted cannot be removed.
        let mut entries = Vec::new();
        let walked: Vec<(K, V)> = self.map.iter().take(2 * self.entries).filter_map(Result::ok).collect();
        for (key, value) in walked {
            if self.remove(&key)? {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, key: &K) -> Result<bool, MapError> {
        match self.map.remove(key) {
            Ok(()) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// None where the kernel does not do this; nothing was taken out then.
    fn batch(&mut self, command: libc::c_int) -> Option<Vec<(K, V)>> {
        if self.refused {
            return None;
        }
        self.keys.reserve(self.entries);
        self.values.reserve(self.entries);
        let (mut found, mut position) = (Vec::new(), None);
        for _ in 0..CALLS {
            let result = self.call(command, &mut position);
            found.extend(self.keys.drain(..).zip(self.values.drain(..)));
            match result {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Some(found),
                // A bucket is busy this moment. What was taken out is told; a mere look begins anew by key.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    return (command == BPF_MAP_LOOKUP_AND_DELETE_BATCH).then_some(found);
                }
                Err(error) if found.is_empty() => {
                    tracing::info!(%error, "a map is read by key: the kernel does not read it whole");
                    self.refused = true;
                    return None;
                }
                Err(_) => return Some(found),
            }
        }
        Some(found)
    }

    /// One call, from the bucket at `position` on; `ENOENT` when the map's end was reached.
    fn call(&mut self, command: libc::c_int, position: &mut Option<u32>) -> io::Result<()> {
        let (begin, mut end) = (*position, 0_u32);
        let mut batch = Batch {
            in_batch: begin.as_ref().map_or(0, |begin| std::ptr::from_ref(begin) as u64),
            out_batch: std::ptr::from_mut(&mut end) as u64,
            keys: self.keys.as_mut_ptr() as u64,
            values: self.values.as_mut_ptr() as u64,
            count: u32::try_from(self.entries).unwrap_or(u32::MAX),
            map_fd: descriptor(self.file.as_fd()),
            ..Batch::default()
        };
        // SAFETY: the kernel writes at most `count` keys and values, for which room is reserved and whose sizes are the
        // map's, as `BpfHashMap` checked; a bucket's position is 4 bytes; all outlive the call.
        let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut batch, size_of::<Batch>()) };
        let result = if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        let is_told = match &result {
            Ok(()) => true,
            // Any other error may have left `count` as it was asked for.
            Err(error) => matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EBUSY)),
        };
        let count = if is_told { (batch.count as usize).min(self.entries) } else { 0 };
        // SAFETY: so many of each were written, any bytes are a value of theirs, and there is room for them.
        unsafe {
            self.keys.set_len(count);
            self.values.set_len(count);
        }
        *position = Some(end);
        result
    }
}

fn descriptor(file: BorrowedFd<'_>) -> u32 {
    u32::try_from(file.as_raw_fd()).unwrap_or(u32::MAX)
}
