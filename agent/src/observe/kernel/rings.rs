//! The rings, and how all that only counts goes on where the kernel has none for us.

use std::io;

use agent_ebpf::wire::{EVENTS_BYTES, URGENT_BYTES};
use aya::{
    Ebpf, EbpfError,
    maps::{MapData, MapError, RingBuf},
};

pub(super) const ORDINARY: &str = "EVENTS";
const URGENT: &str = "URGENT";
/// `BPF_MAP_TYPE_ARRAY` and `BPF_MAP_TYPE_RINGBUF` of `include/uapi/linux/bpf.h`.
const ARRAY: u32 = 2;
const RING: u32 = 27;

/// A map as the object declares it in the older way: type, bytes of a key and of a value, entries, flags, id, pinning.
type Declared = [u32; 7];

pub(super) type Rings = (RingBuf<MapData>, RingBuf<MapData>);

/// Why the kernel makes no ring, if it is that for which the object was not loaded.
pub(super) fn refused(error: &EbpfError) -> Option<String> {
    match error {
        EbpfError::MapError(MapError::CreateError { name, io_error })
            if [ORDINARY, URGENT].contains(&name.as_str()) =>
        {
            Some(reason(io_error))
        }
        _ => None,
    }
}

fn reason(error: &io::Error) -> String {
    format!("the kernel makes no ring buffer: {error}")
}

/// The same object with an array of one number where each ring is. The programs, told that there are no rings, do not
/// touch it, and the verifier drops what would.
pub(super) fn without(object: &[u8]) -> Vec<u8> {
    let mut object = object.to_vec();
    let bytes = |declared: Declared| declared.map(u32::to_ne_bytes).concat();
    let array = bytes([ARRAY, 4, 8, 1, 0, 0, 0]);
    for ring in [EVENTS_BYTES, URGENT_BYTES].map(|size| bytes([RING, 0, 0, size, 0, 0, 0])) {
        if let Some(at) = object.windows(ring.len()).position(|window| window == ring) {
            object[at..at + array.len()].copy_from_slice(&array);
        }
    }
    object
}

/// Takes the rings out of a loaded object.
pub(super) fn take(ebpf: &mut Ebpf) -> Result<Rings, String> {
    let mut ring = |name: &'static str| {
        let map = ebpf.take_map(name).ok_or_else(|| format!("the object has no map {name}"))?;
        RingBuf::try_from(map).map_err(|error| format!("map {name}: {error}"))
    };
    Ok((ring(ORDINARY)?, ring(URGENT)?))
}
