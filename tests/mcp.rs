//! `kernelsight mcp`: any MCP client by standard input and output, here one that knows nothing but lines of JSON.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use kernelsight::tools::{Role, TOOLS};
use serde_json::{Value, json};

use crate::door_support::House;

/// The program at work, and both ends of it.
struct Bridge {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<std::process::ChildStdout>,
}

impl Bridge {
    fn begin(socket: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kernelsight"))
            .arg("--socket")
            .arg(socket)
            .arg("mcp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (questions, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers }
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.questions.as_mut().unwrap(), "{message}").unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn ask(&mut self, id: u32, method: &str, params: &Value) -> Value {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let answer = self.hear();
        assert_eq!(answer["id"], id, "{answer}");
        answer["result"].clone()
    }

    fn hello(&mut self) -> Value {
        let info = json!({ "name": "somebody", "version": "1" });
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info });
        let answer = self.ask(0, "initialize", &hello);
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer
    }
}

#[test]
fn a_client_of_lines_lists_and_calls_the_tools() {
    let house = House::open(Role::Viewer);
    let mut bridge = Bridge::begin(&house.socket);
    assert_eq!(bridge.hello()["serverInfo"]["name"], "kernelsight");
    let listed = bridge.ask(1, "tools/list", &json!({}));
    let names: Vec<&str> =
        listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let his: Vec<&str> = TOOLS.iter().filter(|tool| tool.audience.has(Role::Viewer)).map(|tool| tool.name).collect();
    assert_eq!(names, his);
    let status = bridge.ask(2, "tools/call", &json!({ "name": "get_status", "arguments": {} }));
    assert_eq!(status["structuredContent"]["pid"], 4242);
    let refused = bridge.ask(3, "tools/call", &json!({ "name": "set_autonomy", "arguments": { "level": "agent" } }));
    assert_eq!((&refused["isError"], &refused["structuredContent"]["error"]), (&json!(true), &json!("role")));
    bridge.questions = None;
    assert!(bridge.child.wait().unwrap().success());
}

#[test]
fn the_bridge_ends_with_the_daemon_and_says_so() {
    let mut house = House::open(Role::Viewer);
    let mut bridge = Bridge::begin(&house.socket);
    bridge.hello();
    house.close();
    let ended = bridge.child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("the daemon closed the connection"));
}

#[test]
fn what_is_asked_before_the_end_of_the_input_is_answered() {
    let house = House::open(Role::Viewer);
    let mut bridge = Bridge::begin(&house.socket);
    bridge.hello();
    for id in 1..=8 {
        let call = json!({ "name": "get_status", "arguments": {} });
        bridge.say(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call }));
    }
    bridge.questions = None;
    let mut answered: Vec<u64> = (1..=8).map(|_| bridge.hear()["id"].as_u64().unwrap()).collect();
    answered.sort_unstable();
    assert_eq!(answered, (1..=8).collect::<Vec<_>>());
    assert!(bridge.child.wait().unwrap().success());
}

#[test]
fn without_a_daemon_the_bridge_exits_3_and_says_how_to_start_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::begin(&dir.path().join("none.sock"));
    bridge.questions = None;
    let ended = bridge.child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("no daemon answers on"));
}
