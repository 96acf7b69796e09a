//! Netlink (netlink(7)): what the kernel says of network interfaces, and telling it to change one. Who looks opens a
//! socket of its own; who acts is passed one. All goes by `write` and `read`, which every executor may call anyway.

pub(super) mod ethtool;
pub(super) mod qdisc;

use std::os::fd::{AsFd, OwnedFd};

use netlink_packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    Nla, NlasIterator,
};
use nix::{
    errno::Errno,
    sys::{
        socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt::ReceiveTimeout},
        time::{TimeVal, TimeValLike},
    },
    unistd::{read, write},
};

const HEADER_BYTES: usize = 16;
/// The kernel cuts no answer to this size: it makes dumps of 32 KiB at most, and one interface is less.
const ANSWER_BYTES: usize = 64 << 10;
/// Messages of one answer, more than any machine has interfaces with disciplines.
const MESSAGES_MAX: usize = 100_000;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// `struct ifinfomsg`.
const LINK_BYTES: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;

/// A network interface as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mtu: u32,
}

/// A socket to the kernel; an answer that does not come is an error.
pub(super) fn open(protocol: SockProtocol) -> nix::Result<OwnedFd> {
    let opened = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&opened, ReceiveTimeout, &TimeVal::seconds(5))?;
    Ok(opened)
}

/// The interface of this very name, which is no alternative one.
pub(super) fn link_named(socket: &impl AsFd, name: &str) -> nix::Result<Link> {
    let mut body = vec![0; LINK_BYTES];
    attribute(&mut body, IFLA_IFNAME, [name.as_bytes(), b"\0"].concat());
    get_link(socket, &body).and_then(|link| if link.name == name { Ok(link) } else { Err(Errno::ENODEV) })
}

/// The interface that has this number.
pub(super) fn link_numbered(socket: &impl AsFd, index: u32) -> nix::Result<Link> {
    let mut body = vec![0; LINK_BYTES];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    get_link(socket, &body)
}

fn get_link(socket: &impl AsFd, body: &[u8]) -> nix::Result<Link> {
    let answered = ask(socket, RTM_GETLINK, 0, body)?;
    let (kind, body) = answered.first().ok_or(Errno::ENODEV)?;
    if *kind != RTM_NEWLINK {
        return Err(Errno::EPROTO);
    }
    let attributes = body.get(LINK_BYTES..).ok_or(Errno::EPROTO)?;
    let name = find(attributes, IFLA_IFNAME).ok_or(Errno::EPROTO)?;
    Ok(Link {
        index: u32_at(body, 4)?,
        name: text(name).ok_or(Errno::EPROTO)?.to_owned(),
        mtu: u32_at(find(attributes, IFLA_MTU).ok_or(Errno::EPROTO)?, 0)?,
    })
}

/// One request, and the kind and body of each message that it is answered with, until the kernel says that this is all.
fn ask(socket: &impl AsFd, kind: u16, flags: u16, body: &[u8]) -> nix::Result<Vec<(u16, Vec<u8>)>> {
    let mut header = NetlinkHeader::default();
    header.length = (HEADER_BYTES + body.len()) as u32;
    header.message_type = kind;
    header.flags = flags | NLM_F_REQUEST | if flags & NLM_F_DUMP == NLM_F_DUMP { 0 } else { NLM_F_ACK };
    let mut request = vec![0; HEADER_BYTES];
    header.emit(&mut request);
    request.extend(body);
    if write(socket, &request)? != request.len() {
        return Err(Errno::EMSGSIZE);
    }
    let mut answers = Vec::new();
    let mut buffer = vec![0; ANSWER_BYTES];
    while answers.len() < MESSAGES_MAX {
        let length = read(socket, &mut buffer)?;
        let mut rest = &buffer[..length];
        if rest.is_empty() {
            return Err(Errno::EPROTO);
        }
        while !rest.is_empty() {
            let message = NetlinkBuffer::new_checked(rest).map_err(|_| Errno::EPROTO)?;
            let body = message.payload();
            match message.message_type() {
                // An acknowledgement is the error 0; a dump ends with the error that cut it short, or 0.
                NLMSG_ERROR | NLMSG_DONE => {
                    let error = if body.is_empty() { 0 } else { u32_at(body, 0)?.cast_signed() };
                    return if error == 0 { Ok(answers) } else { Err(Errno::from_raw(-error)) };
                }
                kind => answers.push((kind, body.to_vec())),
            }
            rest = rest.get((message.length() as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
    Err(Errno::EOVERFLOW)
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: Vec<u8>) {
    let attribute = DefaultNla::new(kind, value);
    let at = body.len();
    body.resize(at + attribute.value_len().next_multiple_of(4) + 4, 0);
    attribute.emit(&mut body[at..]);
}

fn find(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    each(attributes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// Kind and value of each attribute.
fn each(attributes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = attributes;
    NlasIterator::new(attributes).map_while(move |found| {
        let kind = found.ok()?;
        let value = rest.get(4..usize::from(kind.length()))?;
        rest = rest.get(usize::from(kind.length()).next_multiple_of(4)..).unwrap_or_default();
        Some((kind.kind(), value))
    })
}

/// A text that ends with a zero, as the kernel writes it.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.split(|byte| *byte == 0).next()?).ok()
}

fn u32_at(bytes: &[u8], at: usize) -> nix::Result<u32> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    four.map(|four| u32::from_ne_bytes(*four)).ok_or(Errno::EPROTO)
}
