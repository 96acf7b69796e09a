//! What the loads of TCP stand on: they exhaust what a network namespace has, so they run in no other than their own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context, Result, bail};

/// Refuses to go on in a network that leads anywhere.
pub(super) fn in_a_network_of_its_own() -> Result<()> {
    let routes = fs::read_to_string("/proc/self/net/route").context("/proc/self/net/route cannot be read")?;
    // The first line is the head of the table.
    if routes.lines().count() > 1 {
        bail!("this load exhausts the network that it is in; `[network]` of a fault gives it one of its own");
    }
    Ok(())
}

/// A listener on loopback that keeps what it accepts, on threads of its own, until the process ends.
pub(super) fn keeper() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for connection in listener.incoming().flatten() {
            kept.push(connection);
        }
    });
    Ok(address)
}
