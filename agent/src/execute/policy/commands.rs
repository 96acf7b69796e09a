//! The allowlist of command lines: rules as data, each proved at start by the lines it must take and refuse.

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::PolicyError;
use crate::execute::command::{Command, Way};

/// Largest compiled pattern, bytes.
const PATTERN_SIZE_MAX: usize = 1 << 18;

/// `commands.toml`, compiled.
#[derive(Debug)]
pub struct Commands {
    max_line_bytes: usize,
    allow: Vec<Allow>,
    forbid: Vec<Forbid>,
}

#[derive(Debug)]
struct Allow {
    name: String,
    way: Way,
    pattern: Regex,
}

#[derive(Debug)]
struct Forbid {
    name: String,
    pattern: Regex,
}

/// Why a line may not run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    #[error("the line has {bytes} bytes; at most {max} are judged")]
    TooLong { bytes: usize, max: usize },
    #[error("the line has a byte that is no printable ASCII, at {at}")]
    NotPlain { at: usize },
    #[error("Forbidden: {name}")]
    Forbidden { name: String },
    #[error("Not in allowlist")]
    Unlisted,
    #[error("{reason}")]
    Grammar { name: String, reason: String },
}

impl NotAllowed {
    /// The rule's name for the record.
    #[must_use]
    pub fn rule(&self) -> String {
        match self {
            Self::TooLong { .. } => "commands.length".to_owned(),
            Self::NotPlain { .. } => "commands.ascii".to_owned(),
            Self::Forbidden { name } => format!("forbidden.{name}"),
            Self::Unlisted => "commands".to_owned(),
            Self::Grammar { name, .. } => format!("commands.{name}"),
        }
    }
}

impl Commands {
    /// Reads, compiles and proves the rules: all that forbid, and of those that allow all, or the one of this name. To
    /// compile all of them takes some 40 ms.
    pub(super) fn parse(text: &str, only: Option<&str>) -> Result<Self, PolicyError> {
        let mut file: CommandsFile =
            toml::from_str(text).map_err(|error| PolicyError::syntax("commands.toml", &error))?;
        file.allow.retain(|rule| only.is_none_or(|only| only == rule.name));
        let allow: Vec<Allow> = file.allow.iter().map(compile_allow).collect::<Result<_, _>>()?;
        let forbid = file.forbid.iter().map(compile_forbid).collect::<Result<_, _>>()?;
        let commands = Self { max_line_bytes: file.max_line_bytes, allow, forbid };
        commands.prove(&file)?;
        Ok(commands)
    }

    /// Whether the whole line may run that way: the command it is, and the rule that allows it.
    pub fn judge(&self, line: &str, way: Way) -> Result<(Command, &str), NotAllowed> {
        if line.len() > self.max_line_bytes {
            return Err(NotAllowed::TooLong { bytes: line.len(), max: self.max_line_bytes });
        }
        if let Some(at) = line.bytes().position(|byte| !matches!(byte, b' '..=b'~')) {
            return Err(NotAllowed::NotPlain { at });
        }
        if let Some(rule) = self.forbid.iter().find(|rule| rule.pattern.is_match(line.as_bytes())) {
            return Err(NotAllowed::Forbidden { name: rule.name.clone() });
        }
        let rule = self
            .allow
            .iter()
            .find(|rule| rule.way == way && rule.pattern.is_match(line.as_bytes()))
            .ok_or(NotAllowed::Unlisted)?;
        let grammar = |error: crate::execute::command::CommandError| NotAllowed::Grammar {
            name: rule.name.clone(),
            reason: error.to_string(),
        };
        let command = Command::parse(&line.split(' ').collect::<Vec<_>>()).map_err(grammar)?;
        command.check(way).map_err(grammar)?;
        Ok((command, &rule.name))
    }

    /// Number of allow and of forbid patterns.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.allow.len(), self.forbid.len())
    }

    /// Every line that a rule names must be judged as the rule says, by that rule alone and by all together.
    fn prove(&self, file: &CommandsFile) -> Result<(), PolicyError> {
        let unproved =
            |name: &str, line: &str, what| PolicyError::Unproved { rule: name.to_owned(), line: line.to_owned(), what };
        let mut names: Vec<&str> = file.allow.iter().map(|rule| rule.name.as_str()).collect();
        names.extend(file.forbid.iter().map(|rule| rule.name.as_str()));
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(PolicyError::Twice { rule: twice[0].to_owned() });
        }
        for (rule, compiled) in file.allow.iter().zip(&self.allow) {
            for line in need(&rule.name, "allows", &rule.allows)? {
                if !compiled.pattern.is_match(line.as_bytes()) {
                    return Err(unproved(&rule.name, line, "allow"));
                }
                if let Err(denied) = self.judge(line, rule.way) {
                    return Err(PolicyError::Contradiction {
                        rule: rule.name.clone(),
                        line: line.clone(),
                        reason: denied.to_string(),
                    });
                }
            }
            for line in need(&rule.name, "denies", &rule.denies)? {
                if compiled.pattern.is_match(line.as_bytes()) {
                    return Err(unproved(&rule.name, line, "deny"));
                }
            }
        }
        for (rule, compiled) in file.forbid.iter().zip(&self.forbid) {
            for line in need(&rule.name, "matches", &rule.matches)? {
                if !compiled.pattern.is_match(line.as_bytes()) {
                    return Err(unproved(&rule.name, line, "match"));
                }
            }
            for line in need(&rule.name, "misses", &rule.misses)? {
                if compiled.pattern.is_match(line.as_bytes()) {
                    return Err(unproved(&rule.name, line, "miss"));
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandsFile {
    max_line_bytes: usize,
    allow: Vec<AllowRule>,
    forbid: Vec<ForbidRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowRule {
    name: String,
    way: Way,
    pattern: String,
    allows: Vec<String>,
    denies: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForbidRule {
    name: String,
    pattern: String,
    matches: Vec<String>,
    misses: Vec<String>,
}

fn compile_allow(rule: &AllowRule) -> Result<Allow, PolicyError> {
    // Alone first: an unbalanced parenthesis must not close the anchor's own group.
    compile(&rule.name, &rule.pattern)?;
    let pattern = compile(&rule.name, &format!(r"\A(?:{})\z", rule.pattern))?;
    Ok(Allow { name: rule.name.clone(), way: rule.way, pattern })
}

fn compile_forbid(rule: &ForbidRule) -> Result<Forbid, PolicyError> {
    Ok(Forbid { name: rule.name.clone(), pattern: compile(&rule.name, &rule.pattern)? })
}

fn compile(name: &str, pattern: &str) -> Result<Regex, PolicyError> {
    let refused = |reason: String| PolicyError::Pattern { rule: name.to_owned(), reason };
    if let Some(at) = pattern.bytes().position(|byte| !matches!(byte, b' '..=b'~')) {
        return Err(refused(format!("it has a byte that is no printable ASCII, at {at}")));
    }
    if turns_a_mode_on(pattern) {
        return Err(refused("it turns on a mode that would change what it seems to say".to_owned()));
    }
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(PATTERN_SIZE_MAX)
        .build()
        .map_err(|error| refused(error.to_string()))
}

/// Whether spaces and comments, or letters beyond ASCII, mean something in it: `(?x)`, `(?ix:…)`, `(?u)`, ….
fn turns_a_mode_on(pattern: &str) -> bool {
    pattern.split("(?").skip(1).filter(|group| !group.starts_with("P<")).any(|group| {
        let flags = group.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        flags.contains(['x', 'u'])
    })
}

fn need<'a>(rule: &str, what: &'static str, lines: &'a [String]) -> Result<&'a [String], PolicyError> {
    if lines.is_empty() {
        return Err(PolicyError::NoProof { rule: rule.to_owned(), what });
    }
    Ok(lines)
}
