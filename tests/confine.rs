//! What the daemon keeps itself from: tried by a process that confined itself as the daemon does.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::Command,
};

use expect_test::{Expect, expect};
use kernelsight::{agent::confine, config::Settings};
use nix::{
    errno::Errno,
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{ptrace, signal::kill},
    unistd::getppid,
};

use serde_json::json;

use crate::{
    daemon::Daemon,
    execute_door::{rule_of, where_a_call_is_answered},
    execute_support::{Target, is_root},
};

/// The test that is started again to confine itself: its directory, and whether actors act for it.
const CONFINED: &str = "KERNELSIGHT_TEST_CONFINED";

fn settings(dir: &Path, by_actors: bool) -> Settings {
    Settings {
        state_dir: dir.join("state"),
        socket: dir.join("run/k.sock"),
        actors: by_actors.then(|| PathBuf::from("/run/kernelsight-act")),
        ..Settings::default()
    }
}

/// What a daemon that a stranger took over might try.
fn tried(dir: &Path) -> String {
    fn said<T>(done: std::io::Result<T>) -> String {
        done.map_or_else(
            |error| error.raw_os_error().map_or_else(|| error.to_string(), |raw| format!("{:?}", Errno::from_raw(raw))),
            |_| "done".to_owned(),
        )
    }
    let call = |done: nix::Result<()>| said(done.map_err(std::io::Error::from));
    let parent = getppid();
    [
        ("read the node", said(fs::read("/proc/meminfo"))),
        ("write its database", said(fs::write(dir.join("state/x"), "x"))),
        ("open its door", said(UnixListener::bind(dir.join("run/k.sock")))),
        ("write beside", said(fs::write(dir.join("x"), "x"))),
        ("write a sysctl", said(fs::OpenOptions::new().write(true).open("/proc/sys/vm/swappiness"))),
        ("unlink beside", said(fs::remove_file(dir.join("there")))),
        ("listen on TCP", said(TcpListener::bind("127.0.0.1:0"))),
        ("connect by TCP", said(TcpStream::connect("127.0.0.1:9"))),
        ("signal a stranger", call(kill(parent, None))),
        ("trace a stranger", call(ptrace::seize(parent, ptrace::Options::empty()))),
        ("mount", call(mount(None::<&str>, dir, Some("tmpfs"), MsFlags::empty(), None::<&str>))),
        ("unshare", call(unshare(CloneFlags::CLONE_NEWNS))),
        ("run a program", said(Command::new("/bin/true").status())),
        ("keep the power to signal, to act as user 0, to load programs", powers()),
    ]
    .iter()
    .map(|(what, how)| format!("{what}: {how}\n"))
    .collect()
}

fn powers() -> String {
    let now = capctl::CapState::get_current().unwrap();
    let kept = [capctl::Cap::KILL, capctl::Cap::DAC_OVERRIDE, capctl::Cap::BPF].map(|cap| now.permitted.has(cap));
    kept.map(|kept| if kept { "yes" } else { "no" }).join(", ")
}

fn check(test: &str, by_actors: bool, expected: &Expect) {
    if let Some(dir) = std::env::var_os(CONFINED) {
        let dir = Path::new(&dir);
        confine(&settings(dir, by_actors)).unwrap();
        // Told by what it may write, so that nothing else of the harness gets between.
        fs::write(dir.join("state/tried"), tried(dir)).unwrap();
        return;
    }
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for made in ["state", "run"] {
        fs::create_dir(dir.path().join(made)).unwrap();
    }
    fs::write(dir.path().join("there"), "x").unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args([test, "--exact", "--nocapture"]).env(CONFINED, dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    expected.assert_eq(&fs::read_to_string(dir.path().join("state/tried")).unwrap());
}

#[test]
fn a_daemon_for_whom_actors_act_watches_and_can_do_nothing_else() {
    check(
        "confine::a_daemon_for_whom_actors_act_watches_and_can_do_nothing_else",
        true,
        &expect![[r#"
        read the node: done
        write its database: done
        open its door: done
        write beside: EACCES
        write a sysctl: EACCES
        unlink beside: EACCES
        listen on TCP: EPERM
        connect by TCP: EPERM
        signal a stranger: EPERM
        trace a stranger: EPERM
        mount: EPERM
        unshare: EPERM
        run a program: done
        keep the power to signal, to act as user 0, to load programs: no, no, yes
    "#]],
    );
}

#[test]
fn a_daemon_that_acts_itself_keeps_its_powers_and_no_way_out() {
    check(
        "confine::a_daemon_that_acts_itself_keeps_its_powers_and_no_way_out",
        false,
        &expect![[r#"
        read the node: done
        write its database: done
        open its door: done
        write beside: done
        write a sysctl: done
        unlink beside: done
        listen on TCP: EPERM
        connect by TCP: EPERM
        signal a stranger: done
        trace a stranger: EPERM
        mount: EPERM
        unshare: EPERM
        run a program: done
        keep the power to signal, to act as user 0, to load programs: yes, yes, yes
    "#]],
    );
}

#[test]
fn a_daemon_that_cannot_be_confined_only_watches() {
    if !is_root() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let target = Target::idle();
    // The kernel refuses; or it says that it did it, and did not.
    for (error, why) in [(libc::EACCES, "the filter of system calls: "), (0, "the system call filter is not there")] {
        let sets = rule_of(0, libc::SECCOMP_SET_MODE_FILTER.into());
        let start = || Daemon::start(state.path(), "agent");
        let daemon = where_a_call_is_answered(libc::SYS_seccomp, vec![sets], error, start);
        let held = || daemon.ask(&["status"])["holds"].clone();
        assert_eq!(held()[0]["kind"], "unconfined", "{}", held());
        let refused = daemon.order("lower_process_priority", json!({ "pid": target.pid() })).unwrap_err();
        assert!(refused.contains("not confined") && refused.contains(why), "{refused}");
        daemon.ask(&["resume"]);
        assert_eq!(held()[0]["kind"], "unconfined", "nobody talks it into acting");
        daemon.stop();
    }
    // Another start is another daemon.
    let daemon = Daemon::start(state.path(), "agent");
    assert_eq!(daemon.ask(&["status"])["holds"], json!([]));
    daemon.stop();
}
