//! The built program as people and scripts run it: exit codes, JSON, and what goes where.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Output},
};

use expect_test::{Expect, expect};
use kernelsight::{execute::catalogue, tools::Role};
use serde_json::Value;

use crate::{
    door_support::{House, incident, note, signal},
    execute_support::is_root,
};

pub(crate) fn kernelsight(socket: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kernelsight"))
        .arg("--socket")
        .arg(socket)
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(text);
}

/// Every verb that asks the daemon, with arguments that are right.
const ASKING: [&[&str]; 15] = [
    &["status"],
    &["status", "--all"],
    &["signals"],
    &["signals", "--severity", "high", "--type", "scheduler", "--lookback", "5"],
    &["trends"],
    &["trends", "memory_pressure", "--window", "30", "--all"],
    &["predict"],
    &["predict", "memory_pressure", "--minutes", "5"],
    &["incidents"],
    &["trace"],
    &["proposals"],
    &["autonomy"],
    &["actions"],
    &["model"],
    &["model", "--metrics", "--hours", "720"],
];

#[test]
fn without_a_daemon_every_asking_verb_exits_3_and_says_how_to_start_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none.sock");
    let others: [&[&str]; 8] = [
        &["watch"],
        &["undo", "1"],
        &["approve", "1"],
        &["deny", "1"],
        &["top"],
        &["changes"],
        &["tools"],
        &["call", "get_status"],
    ];
    for verb in ASKING.into_iter().chain(others) {
        let said = kernelsight(&socket, verb);
        assert_eq!(code(&said), 3, "{verb:?}: {}", err(&said));
        assert_eq!(out(&said), "", "{verb:?}");
    }
    let said = err(&kernelsight(&socket, &["status"])).replace(&socket.display().to_string(), "SOCKET");
    check(
        &said,
        expect![[r#"
        kernelsight: no daemon answers on SOCKET: is it running? start it with `systemctl start kernelsight` or `kernelsight run`; `systemctl status kernelsight` tells why it ended
    "#]],
    );
    let json: Value = serde_json::from_str(&err(&kernelsight(&socket, &["status", "--json"]))).unwrap();
    assert_eq!(json["code"], 3);
}

#[test]
fn a_socket_on_which_nobody_speaks_mcp_is_no_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(code(&kernelsight(&socket, &["status"])), 3);
}

#[test]
fn bad_usage_exits_2_and_says_what_is_right() {
    let nowhere = Path::new("/nonexistent/kernelsight.sock");
    let wrong: [&[&str]; 21] = [
        &["actions", "frobnicate"],
        &["actions", "freeze_cgroup", "cgroup=/x"],
        &["actions", "freeze_cgroup", "--dry-run", "cgroup"],
        &["actions", "--dry-run"],
        &["frobnicate"],
        &[],
        &["signals", "--severity", "awful"],
        &["signals", "--lookback", "0"],
        &["signals", "--type", "weather"],
        &["predict", "--minutes", "100000"],
        &["approve"],
        &["approve", "seven"],
        &["deny", "1", "--reason", ""],
        &["autonomy", "root"],
        &["top", "fame"],
        &["changes", "--minutes", "61"],
        &["call"],
        &["call", "get_status", "now"],
        &["model", "--metrics", "--hours", "0"],
        &["model", "--hours", "5"],
        &["model", "gemini", "--metrics"],
    ];
    for arguments in wrong {
        let said = kernelsight(nowhere, arguments);
        assert_eq!(code(&said), 2, "{arguments:?}: {}", err(&said));
        assert_eq!(out(&said), "", "{arguments:?}");
        assert!(!err(&said).is_empty());
    }
    let said = err(&kernelsight(nowhere, &["signals", "--lookback", "0"]));
    assert!(said.contains("it must be a whole number from 1 to 525600"), "{said}");
    let said = err(&kernelsight(nowhere, &["signals", "--type", "weather"]));
    assert!(said.contains("`weather` is no signal type; one of memory_pressure, "), "{said}");
}

#[test]
fn what_an_action_is_needs_no_daemon_to_be_told() {
    let nowhere = Path::new("/nonexistent/kernelsight.sock");
    check(
        &out(&kernelsight(nowhere, &["actions", "limit_cgroup_io"])),
        expect![[r#"
            limit_cgroup_io  Lowers how many bytes or operations a second a cgroup may read or write on a device
              risk     medium
              writes   io.max (v2), blkio.throttle.* (v1)
              given    one open file of the cgroup
              predicts others wait less for that disk, as for a queue (M/M/1): S / (1 − ρ), where ρ is the part of the time that it is busy
              cost     its I/O on the device is slower even when nobody else asks
              never    the root of a hierarchy
              never    a cgroup that protected.toml lists
              never    a cgroup with pid 1, a kernel thread, the agent, what runs it, or a protected process in it or below it
              never    a partition, which no limit is for
              undo     the exact previous value, unless somebody else changed it since
              settles  in 10 s
              lease    taken back by itself after 10 min
              cgroup   ^(/[A-Za-z0-9_.:@+=\\-]+)+$
              device   The whole device, no partition, as in 8:0; ^[0-9]{1,4}:[0-9]{1,7}$
              what     What is limited; read_bps, write_bps, read_iops, write_iops
              rate     Bytes/s, 65536 at least, or operations/s; 10 to 1000000000000
        "#]],
    );
    check(
        &out(&kernelsight(nowhere, &["actions", "terminate_process"])),
        expect![[r#"
            terminate_process  Asks a process to end (SIGTERM); the last resort
              risk     high
              writes   pidfd_send_signal(2)
              given    CAP_KILL and a pidfd
              predicts it takes and holds nothing more
              cost     it ends, and what it had not saved is lost
              never    pid 1, kernel threads, the agent and what runs it
              never    a process whose name, cgroup, unit or user protected.toml lists
              never    another process that has the number by then
              undo     none: a process that ended cannot be brought back; its service manager may start it anew
              settles  in 10 s
              pid      1 to 4194304
        "#]],
    );
    let all = kernelsight(nowhere, &["actions", "--catalogue"]);
    assert_eq!(code(&all), 0);
    // A heading, and a blank line and a hint below.
    assert_eq!(out(&all).lines().count(), catalogue().len() + 3, "{}", out(&all));
    assert_eq!(code(&kernelsight(nowhere, &["actions", "freeze_cgroup", "--dry-run", "cgroup=/x"])), 3);
}

#[test]
fn help_and_version_are_no_failure() {
    let nowhere = Path::new("/nonexistent/kernelsight.sock");
    let help = kernelsight(nowhere, &["--help"]);
    assert_eq!(code(&help), 0);
    for verb in ["run", "status", "signals", "trends", "predict", "incidents", "trace", "proposals", "approve", "deny"]
    {
        assert!(out(&help).contains(&format!("\n  {verb} ")), "{verb}: {}", out(&help));
    }
    for verb in ["undo", "autonomy", "actions", "doctor", "watch"] {
        assert!(out(&help).contains(&format!("\n  {verb} ")), "{verb}: {}", out(&help));
    }
    assert!(!out(&help).contains("bench-"), "hidden verbs stay hidden");
    assert_eq!(code(&kernelsight(nowhere, &["--version"])), 0);
}

#[test]
fn every_verb_answers_for_eyes_without_colour_and_as_json() {
    let house = House::open(Role::Admin);
    house.daemon.change().signals = vec![signal()];
    house.daemon.change().incidents = vec![incident()];
    for verb in ASKING {
        let plain = kernelsight(&house.socket, verb);
        assert_eq!(code(&plain), 0, "{verb:?}: {}", err(&plain));
        assert!(!out(&plain).trim().is_empty(), "{verb:?}");
        assert!(!out(&plain).contains('\u{1b}'), "{verb:?} colours a pipe");
        let json = kernelsight(&house.socket, &[verb, &["--json"]].concat());
        assert_eq!(code(&json), 0, "{verb:?}: {}", err(&json));
        serde_json::from_str::<Value>(&out(&json)).unwrap();
    }
}

#[test]
fn json_has_the_shapes_that_scripts_rely_on() {
    let house = House::open(Role::Admin);
    house.daemon.change().signals = vec![signal()];
    house.daemon.change().incidents = vec![incident()];
    let ask = |verb: &[&str]| -> Value {
        serde_json::from_str(&out(&kernelsight(&house.socket, &[verb, &["--json"]].concat()))).unwrap()
    };
    let status = ask(&["status"]);
    assert_eq!(status["pid"], 4242);
    assert_eq!(status["parts"][1]["state"], "off");
    assert_eq!(ask(&["signals"])["signals"][0]["entity"]["pid"], 812);
    assert_eq!(ask(&["incidents"])["incidents"][0]["primary"]["signal_type"], "memory_pressure");
    assert_eq!(ask(&["trace", "019a9b1c"])["traces"], serde_json::json!([]));
    assert_eq!(ask(&["autonomy"])["now"], "advisor");
    assert_eq!(ask(&["autonomy", "guardian"])["before"], "advisor");
    assert_eq!(ask(&["approve", "7"])["outcomes"][0]["change"], "nice 0 -> 10");
    assert_eq!(ask(&["undo", "3"])["action_id"], 3);
    assert_eq!(ask(&["deny", "8", "--reason", "it is mine"])["denied"], 8);
}

#[test]
fn what_the_daemon_refuses_exits_1_in_its_words() {
    let house = House::open(Role::Admin);
    for (verb, says) in [
        (
            &["trace", "99"] as &[&str],
            "kernelsight: trace 99 is not there; see `kernelsight trace` (list_traces) for those that are\n",
        ),
        (
            &["trace", "ffff"],
            "kernelsight: incident ffff is not there; see `kernelsight incidents` (list_incidents) for those that are\n",
        ),
        (
            &["approve", "7"],
            "kernelsight: approve_proposal does nothing at level advisor: it needs copilot or above (`kernelsight autonomy copilot`)\n",
        ),
    ] {
        let said = kernelsight(&house.socket, verb);
        assert_eq!((code(&said), err(&said).as_str(), out(&said).as_str()), (1, says, ""), "{verb:?}");
    }
    let viewer = House::open(Role::Viewer);
    let said = kernelsight(&viewer.socket, &["autonomy", "agent", "--json"]);
    assert_eq!(code(&said), 1);
    let json: Value = serde_json::from_str(&err(&said)).unwrap();
    assert!(json["error"].as_str().unwrap().contains("only root and the group kernelsight-admin"), "{json}");
}

#[test]
fn watch_prints_a_line_for_each_thing_until_the_daemon_ends() {
    let mut house = House::open(Role::Viewer);
    let watch = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_kernelsight"))
            .arg("--socket")
            .arg(&house.socket)
            .arg("watch")
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (plain, json) = (watch(&[]), watch(&["--json"]));
    // Both listen once they have asked.
    while house.daemon.news.receiver_count() < 2 {
        std::thread::yield_now();
    }
    house.daemon.tell(note("settled one action of the run before"));
    // Nothing tells when a reader has printed; the end of the daemon does.
    let heard = |line: &str| line.contains("settled one action");
    std::thread::sleep(std::time::Duration::from_millis(300));
    house.close();
    let (plain, json) = (plain.wait_with_output().unwrap(), json.wait_with_output().unwrap());
    assert_eq!((code(&plain), code(&json)), (1, 1), "a daemon that goes away is told");
    assert_eq!(out(&plain).lines().filter(|line| heard(line)).count(), 1, "{}", out(&plain));
    let line: Value = serde_json::from_str(out(&json).lines().next().unwrap()).unwrap();
    assert_eq!(line, serde_json::json!({ "news": "note", "text": "settled one action of the run before" }));
}

#[test]
fn the_doctor_needs_no_daemon_and_exits_1_where_the_agent_cannot_run() {
    let dir = tempfile::tempdir().unwrap();
    let well = kernelsight(&dir.path().join("k.sock"), &["doctor", "--json"]);
    let report: Value = serde_json::from_str(&out(&well)).unwrap();
    assert_eq!(code(&well) == 0, report["can_run"] == true, "{report}");
    let names: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    check(
        &names.join(", "),
        expect![
            "settings, kernel, capabilities, BTF, tracepoints, ring buffer, lockdown, pressure (PSI), cgroups, sandbox, /proc, memory, state directory, socket, groups, clock, model"
        ],
    );
    // A directory below a file can never be made, not even by root.
    std::fs::write(dir.path().join("file"), "").unwrap();
    let ill = kernelsight(&dir.path().join("file/below/k.sock"), &["doctor"]);
    assert_eq!(code(&ill), 1);
    assert!(out(&ill).contains("✗ socket"), "{}", out(&ill));
    assert!(out(&ill).contains("to mend: "), "{}", out(&ill));
}

#[test]
fn policy_check_answers_a_row_each_and_needs_no_daemon() {
    let nowhere = Path::new("/nonexistent/kernelsight.sock");
    let rows = |arguments: &[&str]| -> Vec<Value> {
        let said = kernelsight(nowhere, &[&["policy", "check"], arguments].concat());
        assert_eq!(code(&said), 0, "{arguments:?}: {}", err(&said));
        out(&said).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let denied = rows(&["--command", "sync; halt"]);
    assert_eq!((denied.len(), &denied[0]["allowed"]), (1, &Value::Bool(false)));
    assert!(denied[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    assert!(denied[0]["rule"].is_string());
    let denied = rows(&["--action", r#"{"action_type":"terminate_process","params":{"pid":1}}"#]);
    assert_eq!(denied[0]["allowed"], false);
    let allowed = rows(&["--action", r#"{"action_type":"list_top_memory","params":{"count":5}}"#]);
    assert_eq!(allowed[0]["allowed"], true, "{allowed:?}");
    assert_eq!(rows(&["--action", "not json"])[0]["rule"], "schema");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rows.jsonl");
    std::fs::write(
        &file,
        b"{\"id\":\"A\",\"cmd\":\"halt\"}\n\n{\"id\":\"B\",\"action_type\":\"monitor_swap\"}\n\xff\n",
    )
    .unwrap();
    let answers = rows(&["--jsonl", file.to_str().unwrap()]);
    let told: Vec<(&Value, &Value)> = answers.iter().map(|row| (&row["id"], &row["allowed"])).collect();
    let (a, b) = (Value::from("A"), Value::from("B"));
    assert_eq!(
        told,
        [(&a, &Value::Bool(false)), (&b, &Value::Bool(true)), (&Value::Null, &Value::Bool(false))],
        "{answers:?}"
    );
}

#[test]
fn policy_check_without_something_to_check_is_bad_usage() {
    let nowhere = Path::new("/nonexistent/kernelsight.sock");
    assert_eq!(code(&kernelsight(nowhere, &["policy", "check"])), 2);
    assert_eq!(code(&kernelsight(nowhere, &["policy", "check", "--command", "sync", "--action", "{}"])), 2);
    let missing = kernelsight(nowhere, &["policy", "check", "--jsonl", "/nonexistent/rows"]);
    assert_eq!(code(&missing), 1);
    assert!(err(&missing).contains("/nonexistent/rows"), "{}", err(&missing));
}

#[test]
fn run_says_what_is_attached_and_leaves_well_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("k.sock");
    let state = dir.path().join("state");
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_kernelsight"))
        .arg("--socket")
        .arg(&socket)
        .args(["run", "--autonomy", "advisor", "--state-dir"])
        .arg(&state)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("Following")).collect();
    assert!(said.iter().any(|line| line.starts_with("parts     on: ")), "{said:?}");
    let status: Value = serde_json::from_str(&out(&kernelsight(&socket, &["status", "--json"]))).unwrap();
    assert_eq!(status["pid"], daemon.id());
    assert_eq!(status["autonomy"], "advisor");
    let again = Command::new(env!("CARGO_BIN_EXE_kernelsight"))
        .arg("--socket")
        .arg(&socket)
        .args(["run", "--state-dir"])
        .arg(&state)
        .output()
        .unwrap();
    assert_eq!(code(&again), 1, "a second daemon is refused: {}", err(&again));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(!socket.exists());
}

#[test]
fn run_without_root_says_what_is_missing_and_works_on() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
    // Where the binary lies, nobody may not be allowed to look.
    let binary = dir.path().join("kernelsight");
    std::fs::copy(env!("CARGO_BIN_EXE_kernelsight"), &binary).unwrap();
    let mut daemon = Command::new(&binary)
        .arg("--socket")
        .arg(dir.path().join("k.sock"))
        .args(["run", "--state-dir"])
        .arg(dir.path().join("state"))
        .uid(65534)
        .gid(65534)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(daemon.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said: Vec<String> = lines.take_while(|line| !line.starts_with("Following")).collect();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let probes: Vec<&String> = said.iter().filter(|line| line.starts_with("probe ")).collect();
    assert!(matches!(&probes[..], [all] if all.contains("off") && all.contains("CAP_BPF")), "{said:#?}");
    assert!(said.iter().any(|line| line.starts_with("parts     on: probe 0/21, source 1")), "{said:#?}");
}
