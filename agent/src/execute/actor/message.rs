//! What a daemon and an actor say to each other: one line of JSON each.

use std::{
    io::{self, BufRead, Write},
    os::unix::net::UnixStream,
};

use serde::{Deserialize, Serialize};

use crate::{
    execute::{command::Way, line, own_cgroup::Home, sandbox::Finished, undo::Setting},
    observe::ProcessId,
};

/// Longest question, bytes: all of its texts are bounded well below.
pub const ASK_MAX: usize = 32 << 10;
/// Longest word, bytes.
pub const WORD_MAX: usize = 64;
/// Longest answer, bytes: it holds an executor's output, of which a byte may take six to be written.
pub const ANSWER_MAX: usize = 256 << 10;

/// What is asked of an actor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
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
pub enum Word {
    /// To its end.
    Run,
    /// Until the connection is shut on the daemon's side.
    Stand,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
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

impl Ask {
    /// The next one; none when the daemon has closed.
    pub(super) fn receive(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        line::read(from, ASK_MAX)
    }
}

impl Word {
    pub(super) fn send(&self, to: &mut UnixStream) -> io::Result<()> {
        to.write_all(&line::write(self, WORD_MAX)?)
    }

    /// The next one; none when the daemon has closed, which takes its question back.
    pub(super) fn receive(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        line::read(from, WORD_MAX)
    }
}

impl Answer {
    pub(super) fn send(&self, to: &mut UnixStream) -> io::Result<()> {
        to.write_all(&line::write(self, ANSWER_MAX)?)
    }

    /// The next one; none when the actor has closed.
    pub(super) fn receive(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        line::read(from, ANSWER_MAX)
    }
}
