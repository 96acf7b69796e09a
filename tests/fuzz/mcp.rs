//! Lines of MCP at the door, from clients of each role at each level. Whatever comes, each answer is one of JSON-RPC, and
//! no order reaches the spine that this client may not give now.
//!
//! The first line says who asks and at which level the agent is: `admin copilot`. The others are the client's.

use kernelsight::{
    execute::catalogue,
    live::Autonomy,
    tools::{Role, TOOLS},
};
use serde_json::{Value, json};

use super::{
    door::{Given, HELLO_ID, HOUSE, operator},
    is_escaped,
};

/// Most characters of a refusal: the names of all actions, and what each parameter takes.
const REFUSAL_MAX: usize = 4096;

pub(crate) fn check(bytes: &[u8]) -> bool {
    let (role, level, lines) = heading(bytes);
    let (answers, orders) = HOUSE.with_borrow_mut(|house| house.attend(role, level, lines));
    for order in orders {
        check_order(order, role, level);
    }
    let asked: Vec<Asked> = lines.split(|byte| *byte == b'\n').filter_map(Asked::read).collect();
    let answers = answers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answers: Vec<Value> = answers.map(|line| check_answer(line, lines)).collect();
    // Who takes a request back is not answered.
    if !lines.windows(9).any(|word| word == b"cancelled") {
        for request in asked.iter().filter(|request| request.is_plain()) {
            check_answered(request, &asked, &answers, role, level);
        }
    }
    answers
        .iter()
        .any(|answer| answer["id"] != HELLO_ID && answer["result"].is_object() && answer["result"]["isError"] != true)
}

fn heading(bytes: &[u8]) -> (Role, Autonomy, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let words: Vec<&[u8]> = bytes[..end].split(|byte| *byte == b' ').collect();
    let role = match words[0] {
        b"nobody" => Role::Nobody,
        b"model" => Role::Model,
        b"admin" => Role::Admin,
        _ => Role::Viewer,
    };
    let levels = [Autonomy::Advisor, Autonomy::Copilot, Autonomy::Guardian];
    let level = levels.into_iter().find(|level| words.last() == Some(&level.name().as_bytes()));
    (role, level.unwrap_or(Autonomy::Agent), bytes.get(end + 1..).unwrap_or_default())
}

fn check_order(order: Given, role: Role, level: Autonomy) {
    assert!(role != Role::Nobody, "a stranger ordered something");
    assert!(role == Role::Admin || !order.changes, "a {} changed something", role.name());
    assert!(level >= Autonomy::Copilot || !order.carries_out, "an advisor carried something out");
    assert_eq!(order.by, operator());
    if let Some((request, justification, confidence)) = order.request {
        assert!(catalogue().iter().any(|action| action.name == request.action_type), "{request}");
        assert!((1..=4000).contains(&justification.chars().count()) && (0.0..=1.0).contains(&confidence));
    }
}

/// A line that has an id, whatever else it is.
struct Asked {
    request: Value,
    /// It is written as anybody would write it: no key twice, nothing around it.
    exact: bool,
}

impl Asked {
    fn read(line: &[u8]) -> Option<Self> {
        // A byte order mark before a line is passed over.
        let request: Value = serde_json::from_slice(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)).ok()?;
        request.get("id")?;
        Some(Self { exact: request.to_string().as_bytes() == line, request })
    }

    /// One that every server answers, of one of three methods.
    fn is_plain(&self) -> bool {
        let request = &self.request;
        let keys: Vec<&str> = request.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let simple_id = match &request["id"] {
            Value::String(_) => true,
            id => id.as_u64().is_some_and(|id| id < 1 << 31),
        };
        let is_known = match request["method"].as_str() {
            Some("tools/call") => keys == ["jsonrpc", "id", "method", "params"] && is_call(&request["params"]),
            Some("tools/list" | "ping") => keys == ["jsonrpc", "id", "method"],
            _ => false,
        };
        self.exact && request["jsonrpc"] == "2.0" && simple_id && is_known
    }
}

fn is_call(params: &Value) -> bool {
    let plain = params.as_object().is_some_and(|params| params.keys().all(|key| key == "name" || key == "arguments"));
    plain && params["name"].is_string() && params.get("arguments").is_none_or(Value::is_object)
}

/// A message of JSON-RPC: the answer to something that was asked, or that something was no request.
fn check_answer(line: &[u8], lines: &[u8]) -> Value {
    let said = || String::from_utf8_lossy(line).into_owned();
    let answer: Value = serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {}", said()));
    assert_eq!(answer["jsonrpc"], "2.0", "{}", said());
    if answer.get("method").is_some() {
        assert!(answer.get("id").is_none(), "a client is asked for nothing: {}", said());
        return answer;
    }
    let id = answer.get("id").unwrap_or(&Value::Null);
    // Of one that is there twice, either; of a text, which can be written in several ways, any.
    let written = id.to_string();
    let is_asked = || lines.windows(written.len()).any(|part| part == written.as_bytes());
    assert!(id.is_null() || id == HELLO_ID || id.is_string() || is_asked(), "nobody asked {id}");
    match (answer.get("result"), answer.get("error")) {
        (Some(result), None) => {
            assert!(!id.is_null(), "{}", said());
            check_refusal(result);
        }
        (None, Some(error)) => assert!(error["code"].is_i64() && error["message"].is_string(), "{}", said()),
        _ => panic!("neither a result nor an error, or both: {}", said()),
    }
    answer
}

/// What a tool refuses it says in words that fit into a line of a log or a terminal.
fn check_refusal(result: &Value) {
    if result["isError"] != true {
        return;
    }
    for words in [&result["structuredContent"]["message"], &result["content"][0]["text"]] {
        let words = words.as_str().expect("it says why");
        assert!(is_escaped(words) && words.chars().count() <= REFUSAL_MAX, "{words:?}");
    }
}

fn check_answered(Asked { request, .. }: &Asked, asked: &[Asked], answers: &[Value], role: Role, level: Autonomy) {
    let id = &request["id"];
    if id == HELLO_ID || asked.iter().filter(|other| other.request["id"] == *id).count() > 1 {
        return;
    }
    let mut its = answers.iter().filter(|answer| answer["id"] == *id);
    let answer = its.next().unwrap_or_else(|| panic!("{request} is not answered"));
    assert!(its.next().is_none(), "{request} is answered twice");
    let Some(name) = request["params"]["name"].as_str() else { return };
    let result = answer.get("result").unwrap_or_else(|| panic!("{request} is answered by {answer}"));
    let error = &result["structuredContent"]["error"];
    let refused = match TOOLS.iter().find(|tool| tool.name == name) {
        None => "unknown_tool",
        Some(tool) if !tool.audience.has(role) => "role",
        Some(tool) if level < tool.level => "level",
        Some(_) => {
            assert!(!["unknown_tool", "role", "level"].map(|kind| json!(kind)).contains(error), "{request}: {answer}");
            return;
        }
    };
    assert!(result["isError"] == true && (error == refused || error == "crowded"), "{request}: {answer}");
}
