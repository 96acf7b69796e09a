//! What stands at the door of a whole daemon: clients by the hundred that never finish a word, and a socket that somebody
//! else holds.

use std::{
    fs,
    io::Write as _,
    os::unix::net::{UnixListener, UnixStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{daemon::Daemon, execute_support::is_root};

const CLIENTS: usize = 500;
/// What a client costs that says nothing is small.
const GROWTH_BYTES: u64 = 16 << 20;

fn rss_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn five_hundred_clients_that_finish_nothing_stop_neither_the_loop_nor_an_operator() {
    if !is_root() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(state.path(), "advisor");
    let ticks = || daemon.ask(&["status"])["ticks"].as_u64().unwrap();
    let (before, rss_before, begun) = (ticks(), rss_bytes(daemon.pid()), Instant::now());
    // All of them are admins here, as the operator is: nobody's place is kept.
    let slow: Vec<UnixStream> = (0..CLIENTS)
        .filter_map(|client| {
            let mut stream = UnixStream::connect(daemon.socket()).ok()?;
            let half = if client % 2 == 0 { &b"{\"jsonrpc\":\"2.0\",\"id\":1,\"meth"[..] } else { &[b'x'; 4096][..] };
            // One that is turned away at once is as slow as the others.
            drop(stream.write_all(half));
            Some(stream)
        })
        .collect();
    let grown = rss_bytes(daemon.pid()).saturating_sub(rss_before);
    assert!(grown < GROWTH_BYTES, "{grown} B more");
    // They stay, and the operator comes through all the same.
    let status = loop {
        if daemon.tells(&["status"]).0 == 0 {
            break daemon.ask(&["status"]);
        }
        assert!(begun.elapsed() < Duration::from_secs(9), "no operator comes through");
        std::thread::sleep(Duration::from_millis(100));
    };
    let (after, seconds) = (status["ticks"].as_u64().unwrap(), begun.elapsed().as_secs());
    assert!(after + 2 >= before + seconds, "the loop stood: {before} to {after} in {seconds} s");
    assert_eq!(slow.len(), CLIENTS, "whoever connects is let go by the daemon, not by the kernel");
    drop(slow);
    daemon.stop();
}

#[test]
fn a_socket_that_somebody_else_holds_ends_the_start_with_a_word_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("k.sock");
    // Whoever squats there takes connections and never answers.
    let squatter = UnixListener::bind(&socket).unwrap();
    let start = || {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_kernelsight"));
        agent.arg("--socket").arg(&socket).args(["run", "--quiet", "--state-dir"]).arg(dir.path().join("state"));
        agent.stdin(Stdio::null()).output().unwrap()
    };
    let output = start();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another daemon answers on") && said.contains("k.sock"), "{said}");
    assert!(socket.exists());
    // With the squatter gone its socket is in nobody's way, and the state is as a start needs it.
    drop(squatter);
    let daemon = Daemon::start_at(socket.clone(), &dir.path().join("state"), &[]);
    daemon.stop();
    assert!(!socket.exists());
}
