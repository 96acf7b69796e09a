//! Lines of logs, read when somebody asks for them: the kernel's own messages and the journal's. Nothing of them is kept.

mod journal;
mod kmsg;
pub mod words;

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Text;

/// Lines looked at for one question, and how long that may take.
const LOOKED_AT: usize = 100_000;
const WITHIN: Duration = Duration::from_secs(2);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Unix time, ms.
    pub at_ms: i64,
    pub from: From,
    /// The systemd unit that wrote it.
    pub unit: Option<Text>,
    /// 0 (emergency) to 7 (debug).
    pub priority: u8,
    pub text: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum From {
    Kernel,
    Services,
}

/// Which lines.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// None: both.
    pub from: Option<From>,
    /// Of that unit alone.
    pub unit: Option<String>,
    /// Unix time, ms.
    pub from_ms: i64,
    pub to_ms: i64,
    /// Lines with one of these words in them, in lower case; none: all.
    pub words: Vec<String>,
    /// At most this priority's number.
    pub priority: u8,
    pub most: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Newest first.
    pub lines: Vec<Line>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

impl Wanted {
    /// Whether the line is one of them.
    #[must_use]
    pub fn has(&self, line: &Line) -> bool {
        let in_time = (self.from_ms..=self.to_ms).contains(&line.at_ms);
        let of_unit = self.unit.as_ref().is_none_or(|unit| line.unit.as_ref().is_some_and(|of| of.as_str() == unit));
        in_time && of_unit && line.priority <= self.priority && self.has_word(line.text.as_str())
    }

    fn has_word(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.words.is_empty() || self.words.iter().any(|word| text.contains(word.as_str()))
    }
}

/// Reads what is wanted. Blocks.
#[must_use]
pub fn read(wanted: &Wanted) -> Found {
    let mut found = Found::default();
    let mut look = Look { until: Instant::now() + WITHIN, left: LOOKED_AT };
    let is_wanted = |from| wanted.from.is_none_or(|of| of == from);
    let journal = journal::read(wanted, &mut look, &mut found.lines);
    let had_kernel = found.lines.iter().any(|line| line.from == From::Kernel);
    if let Err(why) = journal
        && is_wanted(From::Services)
    {
        found.unread.push(format!("the journal: {why}"));
    }
    // Where the journal has the kernel's messages, they are not told twice.
    if is_wanted(From::Kernel)
        && wanted.unit.is_none()
        && !had_kernel
        && let Err(why) = kmsg::read(wanted, &mut look, &mut found.lines)
    {
        found.unread.push(format!("the kernel's messages: {why}"));
    }
    if look.is_over() {
        found.unread.push("older lines: there are too many to look at all; ask for fewer minutes".to_owned());
    }
    found.lines.sort_by_key(|line| std::cmp::Reverse(line.at_ms));
    found.lines.truncate(wanted.most);
    found
}

/// How much more may be looked at.
#[derive(Debug)]
struct Look {
    until: Instant,
    left: usize,
}

impl Look {
    /// One more line is looked at; false when that was the last.
    fn one(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        // The clock is looked at now and then.
        if self.left.is_multiple_of(256) && Instant::now() >= self.until {
            self.left = 0;
        }
        self.left > 0
    }

    const fn is_over(&self) -> bool {
        self.left == 0
    }
}
