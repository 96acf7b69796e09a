//! The iterator over descriptors, on sockets of this process.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    thread,
    time::Duration,
};

use kernelsight::observe::{
    kernel::{Kernel, Settings},
    sample::{Listener, SocketsOfProcess},
};
use nix::sys::socket::{Backlog, listen};

use crate::kernel_child::kernel;

const SECOND_NS: u64 = 1_000_000_000;

/// This process in its own network, at that second.
fn own(kernel: &mut Kernel, second: u64) -> SocketsOfProcess {
    let network = fs::metadata("/proc/self/ns/net").unwrap().ino() as u32;
    let sockets = kernel.sockets(second * SECOND_NS).unwrap();
    let own = |of: &SocketsOfProcess| of.pid == std::process::id() && of.network == network;
    sockets.into_iter().find(own).unwrap()
}

fn listener_of(of: &SocketsOfProcess, port: u16) -> Listener {
    *of.listeners.iter().find(|listener| listener.port == port).unwrap()
}

#[test]
fn the_sockets_of_a_process_are_told_by_their_state() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = server.local_addr().unwrap();
    let pairs: Vec<(TcpStream, TcpStream)> =
        (0..9).map(|_| (TcpStream::connect(address).unwrap(), server.accept().unwrap().0)).collect();
    let open = own(&mut kernel, 1);
    assert!(open.established >= 18, "{open:?}");
    let (clients, kept): (Vec<TcpStream>, Vec<TcpStream>) = pairs.into_iter().unzip();
    drop(clients);
    let closed = own(&mut kernel, 2);
    assert!(closed.close_wait >= 9, "{closed:?}");
    assert_eq!(listener_of(&closed, address.port()).dropped_per_s, Some(0.0));
    drop(kept);
}

#[test]
fn what_a_listener_turns_away_is_told_by_its_port() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listen(&server, Backlog::new(1).unwrap()).unwrap();
    let address = server.local_addr().unwrap();
    let first = listener_of(&own(&mut kernel, 1), address.port());
    assert_eq!((first.waiting, first.backlog, first.dropped_per_s), (0, 1, None));
    let knock = || thread::spawn(move || TcpStream::connect_timeout(&address, Duration::from_millis(300)));
    let knocks: Vec<_> = (0..6).map(|_| knock()).collect();
    let kept: Vec<_> = knocks.into_iter().map(|knock| knock.join().unwrap()).collect();
    let full = listener_of(&own(&mut kernel, 3), address.port());
    // The kernel lets one more wait than the backlog says.
    assert_eq!((full.waiting, full.backlog), (2, 1));
    assert!(full.dropped_per_s.unwrap() >= 1.0, "{full:?}; {kept:?}");
}

#[test]
fn a_process_is_told_with_its_network_namespace() {
    let Some(mut kernel) = kernel(&Settings::default()) else { return };
    let rows = kernel.tasks().unwrap();
    let own = rows.iter().find(|row| row.sample.id.pid == std::process::id()).unwrap();
    assert_eq!(own.sample.network, Some(fs::metadata("/proc/self/ns/net").unwrap().ino() as u32));
    let kthreadd = rows.iter().find(|row| row.sample.id.pid == 2).unwrap();
    assert!(kthreadd.sample.network.is_some_and(|network| network > 0), "{kthreadd:?}");
}
