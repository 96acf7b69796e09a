//! The kernel's socket diagnostics over netlink (sock_diag(7)): sockets by state, without a text to make and to parse.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt},
        time::{TimeVal, TimeValLike},
    },
};

use super::States;
use crate::observe::scrape::ScrapeError;

/// `TCPDIAG_GETSOCK`: the older request, which the newest kernels serve still and which alone covers IPv4 and IPv6 in
/// one pass over the table.
const REQUEST: u16 = 18;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER_BYTES: usize = 16;
/// `struct inet_diag_req`: family, lengths, extensions, socket id (48 bytes), states, kind.
const REQUEST_BYTES: usize = HEADER_BYTES + 4 + 48 + 4 + 4;
/// Everything but established (1) and time-wait (6), which are the many, and which counters tell.
const STATES: u32 = 0x1fff & !(1 << 1) & !(1 << 6);
const ANSWER_BYTES: usize = 32 << 10;

/// Sockets by state, and whether those are all: at most `most` are counted.
pub(super) fn count(buffer: &mut Vec<u8>, most: u64) -> Result<(States, bool), ScrapeError> {
    dump(buffer, most).map_err(|errno| failed(errno.into()))
}

fn failed(error: io::Error) -> ScrapeError {
    ScrapeError::Read { path: "sock_diag".to_owned(), error }
}

fn dump(buffer: &mut Vec<u8>, most: u64) -> Result<(States, bool), Errno> {
    let socket = ask()?;
    if buffer.len() < ANSWER_BYTES {
        buffer.resize(ANSWER_BYTES, 0);
    }
    let (mut states, mut seen) = (States::default(), 0);
    loop {
        let length = recv(socket.as_raw_fd(), buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        if rest.is_empty() {
            return Err(Errno::EPROTO);
        }
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                NLMSG_DONE => return Ok((states, true)),
                NLMSG_ERROR => return Err(error_of(body)),
                // `struct inet_diag_msg` begins with family and state.
                REQUEST => {
                    states.add(*body.get(1).ok_or(Errno::EPROTO)?);
                    seen += 1;
                }
                _ => {}
            }
            rest = next;
        }
        if seen >= most {
            return Ok((states, false));
        }
    }
}

fn ask() -> Result<OwnedFd, Errno> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(1))?;
    let mut request = [0u8; REQUEST_BYTES];
    request[0..4].copy_from_slice(&(REQUEST_BYTES as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&REQUEST.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    request[HEADER_BYTES + 52..HEADER_BYTES + 56].copy_from_slice(&STATES.to_ne_bytes());
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    Ok(socket)
}

/// Kind and body of the first netlink message of `bytes`, and what follows it; none where no whole message is left.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER_BYTES..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn error_of(body: &[u8]) -> Errno {
    body.first_chunk().map_or(Errno::EPROTO, |code| Errno::from_raw(-i32::from_ne_bytes(*code)))
}
