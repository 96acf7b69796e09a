//! What strangers on the socket can cost: bounded frames, bounded clients, and no socket but ours.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, symlink},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    time::Duration,
};

use expect_test::{Expect, expect};
use kernelsight::{
    config::Settings,
    serve::{CLIENTS, CLIENTS_NOT_ADMIN, FRAME_BYTES, IN_FLIGHT, serve},
    tools::Role,
};
use serde_json::json;

use crate::door_support::{House, ask};

const HELLO: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#,
    r#""clientInfo":{"name":"test","version":"1"}}}"#,
    "\n",
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    "\n",
);

fn raw(house: &House) -> UnixStream {
    let stream = UnixStream::connect(&house.socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn greeted(house: &House) -> UnixStream {
    let mut stream = raw(house);
    stream.write_all(HELLO.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("kernelsight"), "{line}");
    stream
}

fn still_answers(house: &House) {
    assert!(house.call("get_status", json!({})).is_ok());
}

#[test]
fn an_oversized_frame_ends_its_client_and_nobody_else() {
    let house = House::open(Role::Viewer);
    let mut stream = greeted(&house);
    let chunk = vec![b'a'; 64 << 10];
    // The door may close before all is written.
    let written = (0..(FRAME_BYTES >> 16) + 4).try_for_each(|_| stream.write_all(&chunk));
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    assert!(written.is_err() || ended.is_err() || rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    still_answers(&house);
}

#[test]
fn a_frame_as_long_as_the_bound_is_answered() {
    let house = House::open(Role::Viewer);
    let mut stream = greeted(&house);
    let padded = |bytes: usize| {
        let ping = |pad: &str| format!(r#"{{"jsonrpc":"2.0","id":2,"method":"ping"{pad}}}"#);
        ping(&" ".repeat(bytes - ping("").len()))
    };
    let frame = padded(FRAME_BYTES);
    assert_eq!(frame.len(), FRAME_BYTES);
    stream.write_all(format!("{frame}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.contains(r#""id":2"#), "{line:?}");
}

#[test]
fn a_frame_just_below_the_bound_is_read() {
    let house = House::open(Role::Viewer);
    let refused = house.call("get_incident", json!({ "incident": "a".repeat(FRAME_BYTES - 4096) })).unwrap_err();
    assert!(refused.contains("at most 64 characters"), "{refused}");
}

#[test]
fn malformed_frames_harm_nobody() {
    let house = House::open(Role::Viewer);
    let deep = format!("{}{}\n", "[".repeat(200_000), "]".repeat(200_000));
    let nested = format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"get_status","arguments":{}1{}}}}}"#,
        r#"{"a":"#.repeat(5000),
        "}".repeat(5000)
    );
    let frames: [&[u8]; 12] = [
        b"\n\n\n",
        b"not json\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"tools/call\"}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"tools/list\"}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":[1,2]}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{}}\n",
        b"\xff\xfe\x00\x80\n",
        deep.as_bytes(),
        nested.as_bytes(),
    ];
    for frame in frames {
        for begin in [raw(&house), greeted(&house)] {
            let mut stream = begin;
            // A door that closes on such a client is as well as one that answers it.
            drop(stream.write_all(frame));
            drop(stream.write_all(b"\n{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/list\"}\n"));
        }
        still_answers(&house);
    }
}

#[test]
fn a_hundred_quick_clients_are_all_answered() {
    let house = House::open(Role::Admin);
    let answered = house.runtime.block_on(async {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let connected = tokio::net::UnixStream::connect(house.socket.clone());
            calls.spawn(async move {
                let client = rmcp::service::serve_client((), connected.await.unwrap().into_split()).await.unwrap();
                let answer = ask(&client, "get_status", json!({})).await;
                client.cancel().await.unwrap();
                answer.is_ok()
            });
        }
        calls.join_all().await.into_iter().filter(|answered| *answered).count()
    });
    assert_eq!(answered, 100);
}

#[test]
fn an_admin_finds_a_place_when_others_take_all_of_theirs() {
    let uid = nix::unistd::getuid();
    let calls = std::sync::atomic::AtomicUsize::new(0);
    // The first clients are viewers, as many as may be and more; whoever comes then is an admin.
    let house = House::with(std::sync::Arc::new(move |peer, _| {
        assert_eq!(peer, uid);
        let before = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // One connection is made to see that the door is open.
        if before <= CLIENTS_NOT_ADMIN { Role::Viewer } else { Role::Admin }
    }));
    let viewers: Vec<UnixStream> = (0..CLIENTS_NOT_ADMIN).map(|_| greeted(&house)).collect();
    let admins: Vec<UnixStream> = (CLIENTS_NOT_ADMIN..CLIENTS).map(|_| greeted(&house)).collect();
    assert_eq!(viewers.len() + admins.len(), CLIENTS);
}

#[test]
fn one_client_has_a_bounded_number_of_requests_in_flight() {
    let house = House::open(Role::Viewer);
    let mut stream = greeted(&house);
    for id in 0..=IN_FLIGHT {
        let call = json!({ "jsonrpc": "2.0", "id": 100 + id, "method": "tools/call",
            "params": { "name": "follow", "arguments": { "wait_s": 30 } } });
        stream.write_all(format!("{call}\n").as_bytes()).unwrap();
    }
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.contains("16 requests of this client are being worked on already"), "{line}");
}

#[test]
fn the_socket_is_for_its_group_only_and_goes_with_the_door() {
    let mut house = House::open(Role::Viewer);
    let found = fs::symlink_metadata(&house.socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    house.close();
    assert!(!house.socket.exists());
}

#[test]
fn a_socket_that_somebody_else_put_there_is_not_removed_at_the_end() {
    let mut house = House::open(Role::Viewer);
    fs::remove_file(&house.socket).unwrap();
    let other = UnixListener::bind(&house.socket).unwrap();
    house.close();
    assert!(house.socket.exists());
    drop(other);
}

fn refused(path: &Path) -> String {
    let house = House::open(Role::Viewer);
    let settings = Settings { socket: path.to_owned(), ..Settings::default() };
    let error = house.runtime.block_on(serve(house.daemon.clone(), &settings, std::future::pending())).unwrap_err();
    error.to_string().replace(&path.parent().unwrap().display().to_string(), "DIR")
}

fn check_refused(path: &Path, expected: Expect) {
    expected.assert_eq(&refused(path));
}

#[test]
fn a_stale_socket_is_replaced_and_anything_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);

    fs::write(at("file"), "precious").unwrap();
    check_refused(
        &at("file"),
        expect!["DIR/file is a file, not a socket; it is left alone: remove it, or give another path by --socket"],
    );
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "precious");

    fs::create_dir(at("dir")).unwrap();
    check_refused(
        &at("dir"),
        expect!["DIR/dir is a directory, not a socket; it is left alone: remove it, or give another path by --socket"],
    );

    drop(UnixListener::bind(at("stale")).unwrap());
    symlink(at("stale"), at("link")).unwrap();
    check_refused(
        &at("link"),
        expect![
            "DIR/link is a symbolic link, not a socket; it is left alone: remove it, or give another path by --socket"
        ],
    );

    let live = UnixListener::bind(at("live")).unwrap();
    check_refused(&at("live"), expect!["another daemon answers on DIR/live; only one may run on one socket"]);
    drop(live);

    let house = House::open(Role::Viewer);
    let settings = Settings { socket: at("stale"), ..Settings::default() };
    let soon = tokio::time::Duration::from_millis(300);
    let served = house.runtime.block_on(serve(house.daemon.clone(), &settings, async {
        tokio::time::sleep(soon).await;
    }));
    served.unwrap();
    assert!(!at("stale").exists(), "it was taken over, and removed at the end");
}
