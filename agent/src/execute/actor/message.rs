//! What a daemon and an actor say to each other: one line of JSON each.

use std::{
    io::{self, BufRead, Read, Write},
    os::unix::net::UnixStream,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    execute::{command::Way, own_cgroup::Home, sandbox::Finished, undo::Setting},
    observe::ProcessId,
};

/// Longest line, bytes: an answer holds an executor's output.
const LINE_MAX: u64 = 256 << 10;

/// What is asked of an actor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ask {
    /// Whether it could do anything at all.
    Attest {},
    /// To get one executor ready.
    Act {
        /// The argument vector of the executor.
        command: Vec<String>,
        way: Way,
        /// The rule that allows it, by the daemon's policy.
        rule: String,
        /// The target as the daemon found it.
        process: Option<ProcessId>,
        /// The one file that the executor may write, as the daemon found it.
        file: Option<Setting>,
        /// The cgroup that processes go back to, as the daemon found it.
        #[serde(default)]
        home: Option<Box<Home>>,
        /// An executor that takes longer is ended.
        timeout_ms: u64,
    },
}

/// The daemon's second word: now. Closing the connection takes it back, whatever stage it is at.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Word {
    /// To its end.
    Run,
    /// Until the connection is shut on the daemon's side.
    Stand,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Answer {
    /// It waits for the word.
    Ready,
    Refused {
        reason: String,
    },
    /// The executor stands.
    Standing,
    /// The executor ended.
    Finished {
        finished: Finished,
    },
}

pub(super) fn send<T: Serialize>(to: &mut UnixStream, what: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// The next line; none when the other side has closed.
pub(super) fn receive<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    from.take(LINE_MAX).read_line(&mut line)?;
    if line.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
}
