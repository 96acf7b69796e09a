//! An operator at the agent's door: the tools by name, one line of MCP a question, on a thread that may be left waiting.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Longer than any answer takes of an agent that lives.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct Door {
    stream: BufReader<UnixStream>,
}

impl Door {
    pub(super) fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| format!("nobody answers on {}", socket.display()))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let mut door = Self { stream: BufReader::new(stream) };
        let client = json!({ "name": "xtask", "version": "1" });
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        door.ask("initialize", &params)?;
        door.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
        Ok(door)
    }

    /// What a tool answers; an error too when it refuses.
    pub(super) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        let answer = self.ask("tools/call", &json!({ "name": tool, "arguments": arguments }))?;
        if answer["isError"] == true {
            bail!("{tool}: {}", answer["content"][0]["text"].as_str().unwrap_or("refused without a word"));
        }
        Ok(answer["structuredContent"].clone())
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))?;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the agent hung up");
            }
            let mut answer: Value = serde_json::from_str(&line).with_context(|| format!("the agent says {line}"))?;
            if answer["id"] == 1 {
                return Ok(answer["result"].take());
            }
        }
    }

    fn send(&mut self, message: &Value) -> Result<()> {
        Ok(self.stream.get_mut().write_all(format!("{message}\n").as_bytes())?)
    }
}

/// Gives an order on a thread of its own, for whoever kills the agent meanwhile.
pub(super) fn order(socket: PathBuf, tool: &'static str, arguments: Value) -> JoinHandle<Result<Value>> {
    thread::spawn(move || Door::open(&socket)?.call(tool, &arguments))
}
