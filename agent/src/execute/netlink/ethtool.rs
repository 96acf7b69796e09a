//! Link modes over ethtool's generic netlink: how fast a network interface is told to be. The interface is named by its
//! number and its name in each request, and the kernel takes none where the two are not together.

use std::os::fd::AsFd;

use netlink_packet_core::NLA_F_NESTED;
use nix::errno::Errno;

use super::{ask, attribute, each, find, text, u32_at};

/// `struct genlmsghdr`: command, version, two bytes for nothing.
const GENERIC_BYTES: usize = 4;
const CONTROLLER: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const LINKMODES_GET: u8 = 4;
const LINKMODES_SET: u8 = 5;
const HEADER: u16 = 1;
const HEADER_DEV_INDEX: u16 = 1;
const HEADER_DEV_NAME: u16 = 2;
const AUTONEG: u16 = 2;
const OURS: u16 = 3;
const SPEED: u16 = 5;
const DUPLEX: u16 = 6;
const BITSET_NOMASK: u16 = 1;
const BITSET_SIZE: u16 = 2;
const BITSET_BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_INDEX: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;
/// Bits of the set of modes: the kernel has some 120, and takes more if they are not set.
const MODES_MAX: u32 = 128;

/// Which interface: the kernel compares both.
#[derive(Clone, Copy, Debug)]
pub(in crate::execute) struct Which<'a> {
    pub(in crate::execute) index: u32,
    pub(in crate::execute) name: &'a str,
}

/// What the driver says of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::execute) struct Modes {
    pub(in crate::execute) autoneg: bool,
    /// Mbit/s; none: not known, as without a cable.
    pub(in crate::execute) speed: Option<u32>,
    /// 0 half, 1 full, 255 not known.
    pub(in crate::execute) duplex: u8,
    /// All that it supports.
    pub(in crate::execute) ours: Vec<Mode>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::execute) struct Mode {
    pub(in crate::execute) bit: u32,
    /// Mbit/s; none: it is no speed, as `Pause` is not.
    pub(in crate::execute) speed: Option<u32>,
    pub(in crate::execute) advertised: bool,
}

/// What is to be changed of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::execute) struct Change {
    pub(in crate::execute) autoneg: Option<bool>,
    pub(in crate::execute) speed: Option<u32>,
    pub(in crate::execute) duplex: Option<u8>,
    /// One bit a mode.
    pub(in crate::execute) advertised: Option<u128>,
}

/// `EOPNOTSUPP`: the driver does not say.
pub(in crate::execute) fn get(socket: &impl AsFd, which: Which<'_>) -> nix::Result<Modes> {
    let family = family(socket)?;
    let answered = ask(socket, family, 0, &message(LINKMODES_GET, which))?;
    let (_, body) = answered.first().ok_or(Errno::EPROTO)?;
    let attributes = body.get(GENERIC_BYTES..).ok_or(Errno::EPROTO)?;
    let byte = |kind| find(attributes, kind).and_then(|value| value.first().copied()).ok_or(Errno::EOPNOTSUPP);
    let speed = u32_at(find(attributes, SPEED).ok_or(Errno::EOPNOTSUPP)?, 0)?;
    let set = find(attributes, OURS).ok_or(Errno::EOPNOTSUPP)?;
    let bits = find(set, BITSET_BITS).unwrap_or_default();
    let ours: Option<Vec<Mode>> = each(bits).filter(|(kind, _)| *kind == BIT).map(|(_, bit)| mode(bit)).collect();
    Ok(Modes {
        autoneg: byte(AUTONEG)? != 0,
        // 0 is what drivers say that do not know; SPEED_UNKNOWN is -1.
        speed: Some(speed).filter(|speed| !matches!(*speed, 0 | u32::MAX)),
        duplex: byte(DUPLEX)?,
        ours: ours.ok_or(Errno::EPROTO)?,
    })
}

/// `1000baseT/Full` is one of 1000 Mbit/s.
fn mode(bit: &[u8]) -> Option<Mode> {
    let name = text(find(bit, BIT_NAME)?)?;
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    Some(Mode {
        bit: u32_at(find(bit, BIT_INDEX)?, 0).ok()?,
        speed: digits.parse().ok(),
        advertised: find(bit, BIT_VALUE).is_some(),
    })
}

/// `EOPNOTSUPP`: the driver lets nobody set it.
pub(in crate::execute) fn set(socket: &impl AsFd, which: Which<'_>, change: Change) -> nix::Result<()> {
    let family = family(socket)?;
    let mut body = message(LINKMODES_SET, which);
    if let Some(autoneg) = change.autoneg {
        attribute(&mut body, AUTONEG, vec![u8::from(autoneg)]);
    }
    if let Some(advertised) = change.advertised {
        attribute(&mut body, OURS | NLA_F_NESTED, bitset(advertised));
    }
    if let Some(speed) = change.speed {
        attribute(&mut body, SPEED, speed.to_ne_bytes().to_vec());
    }
    if let Some(duplex) = change.duplex {
        attribute(&mut body, DUPLEX, vec![duplex]);
    }
    ask(socket, family, 0, &body).map(drop)
}

/// These bits, and no others.
fn bitset(bits: u128) -> Vec<u8> {
    let mut each = Vec::new();
    for index in (0..MODES_MAX).filter(|index| bits >> index & 1 == 1) {
        let mut bit = Vec::new();
        attribute(&mut bit, BIT_INDEX, index.to_ne_bytes().to_vec());
        attribute(&mut each, BIT | NLA_F_NESTED, bit);
    }
    let mut set = Vec::new();
    attribute(&mut set, BITSET_NOMASK, Vec::new());
    attribute(&mut set, BITSET_SIZE, (u128::BITS - bits.leading_zeros()).to_ne_bytes().to_vec());
    attribute(&mut set, BITSET_BITS | NLA_F_NESTED, each);
    set
}

fn message(command: u8, which: Which<'_>) -> Vec<u8> {
    let mut header = Vec::new();
    attribute(&mut header, HEADER_DEV_INDEX, which.index.to_ne_bytes().to_vec());
    attribute(&mut header, HEADER_DEV_NAME, [which.name.as_bytes(), b"\0"].concat());
    let mut body = generic(command);
    attribute(&mut body, HEADER | NLA_F_NESTED, header);
    body
}

fn generic(command: u8) -> Vec<u8> {
    vec![command, 1, 0, 0]
}

/// The number that the kernel gave ethtool's messages; `ENOENT` where it has none.
fn family(socket: &impl AsFd) -> nix::Result<u16> {
    let mut body = generic(CTRL_CMD_GETFAMILY);
    attribute(&mut body, CTRL_ATTR_FAMILY_NAME, b"ethtool\0".to_vec());
    let answered = ask(socket, CONTROLLER, 0, &body)?;
    let (_, body) = answered.first().ok_or(Errno::EPROTO)?;
    let id = find(body.get(GENERIC_BYTES..).ok_or(Errno::EPROTO)?, CTRL_ATTR_FAMILY_ID).ok_or(Errno::EPROTO)?;
    id.first_chunk().map(|two| u16::from_ne_bytes(*two)).ok_or(Errno::EPROTO)
}
