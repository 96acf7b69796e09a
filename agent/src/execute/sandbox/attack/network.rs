//! The network, and every other way to talk.

use nix::{errno::Errno, libc};

use super::{Row, attempt, buffer};

pub(super) const ATTACKS: &[Row] = &[
    ("socket_ipv4", |_| socket(libc::AF_INET, libc::SOCK_STREAM)),
    ("socket_ipv6", |_| socket(libc::AF_INET6, libc::SOCK_DGRAM)),
    ("socket_unix", |_| socket(libc::AF_UNIX, libc::SOCK_STREAM)),
    ("socket_netlink", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    ("socket_packet", |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
    ("socket_vsock", |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM)),
    ("socket_alg", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET)),
    ("socket_bluetooth", |_| socket(libc::AF_BLUETOOTH, libc::SOCK_RAW)),
    ("socket_raw", |_| socket(libc::AF_INET, libc::SOCK_RAW)),
    ("socketpair", |_| {
        let mut pair = [0i32; 2];
        let (family, kind) = (libc::AF_UNIX as usize, libc::SOCK_STREAM as usize);
        attempt(libc::SYS_socketpair, [family, kind, 0, buffer(&mut pair)])
    }),
    ("connect", |_| on_loopback(libc::SYS_connect)),
    ("bind", |_| on_loopback(libc::SYS_bind)),
    ("listen", |_| attempt(libc::SYS_listen, [0, 1])),
    ("accept", |_| attempt(libc::SYS_accept4, [0, 0, 0, 0])),
    ("send", |_| {
        let mut byte = [0u8; 1];
        attempt(libc::SYS_sendto, [1, buffer(&mut byte), 1, 0, 0, 0])
    }),
    ("send_descriptors", |_| {
        let mut message = [0usize; 7];
        attempt(libc::SYS_sendmsg, [1, buffer(&mut message), 0])
    }),
    ("receive", |_| {
        let mut byte = [0u8; 1];
        attempt(libc::SYS_recvfrom, [0, buffer(&mut byte), 1, 0, 0, 0])
    }),
    ("socket_option", |_| {
        let mut one = [1i32; 1];
        let (level, option) = (libc::SOL_SOCKET as usize, libc::SO_REUSEADDR as usize);
        attempt(libc::SYS_setsockopt, [0, level, option, buffer(&mut one), size_of::<i32>()])
    }),
];

fn socket(family: libc::c_int, kind: libc::c_int) -> Result<(), Errno> {
    attempt(libc::SYS_socket, [family as usize, kind as usize, 0])
}

/// On standard input, which a socket would have to be: none can be made.
fn on_loopback(number: libc::c_long) -> Result<(), Errno> {
    let mut address = [0u8; 16];
    address[0] = libc::AF_INET as u8;
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    attempt(number, [0, buffer(&mut address), size_of_val(&address)])
}
