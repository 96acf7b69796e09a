//! What strangers wrote may hold what is nobody's business: passwords in arguments, keys in logs, who people are. What
//! is shown of it is chosen by what is surely harmless, not by what looks like a secret.

use std::{fmt::Write as _, sync::LazyLock};

use regex::Regex;

/// Most arguments that are shown.
const ARGUMENTS: usize = 40;
/// A name of more characters is no name.
const NAME_CHARS: usize = 24;
/// A number of more digits may be a code.
const DIGITS: usize = 6;
/// Beside these, no value is shown.
const SENSITIVE: [&str; 9] = ["pass", "pwd", "secret", "token", "key", "auth", "cred", "pin", "sign"];

/// What a process was started with, for others to see: its program's name, the names of long options, the letters of
/// short ones, and small numbers. Of everything else only how long it is.
#[must_use]
pub fn arguments(given: &[Vec<u8>]) -> String {
    let mut shown = String::new();
    let mut sensitive = false;
    for (at, argument) in given.iter().take(ARGUMENTS).enumerate() {
        let space = if at == 0 { "" } else { " " };
        shown += space;
        if at == 0 {
            let program = argument.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            shown += &word(program).unwrap_or_else(|| length(program));
            continue;
        }
        match option(argument) {
            Some(Opt { name, value }) => {
                shown += &name;
                let is_of_secret = SENSITIVE.iter().any(|part| name.contains(part));
                if let Some(value) = value {
                    shown += &self::value(value, is_of_secret);
                }
                sensitive = is_of_secret && value.is_none();
            }
            None => {
                shown += &value(argument, sensitive);
                sensitive = false;
            }
        }
    }
    if given.len() > ARGUMENTS {
        // Writing to a string cannot fail.
        _ = write!(shown, " (and {} more)", given.len() - ARGUMENTS);
    }
    shown
}

struct Opt<'a> {
    name: String,
    value: Option<&'a [u8]>,
}

/// `--name`, `--name=value`, `-n`; of `-nVALUE` the letter.
fn option(argument: &[u8]) -> Option<Opt<'_>> {
    if let Some(long) = argument.strip_prefix(b"--") {
        let mut parts = long.splitn(2, |byte| *byte == b'=');
        let name = word(parts.next()?).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))?;
        let value = parts.next();
        let equals = if value.is_some() { "=" } else { "" };
        return Some(Opt { name: format!("--{name}{equals}"), value });
    }
    let [b'-', letter, rest @ ..] = argument else { return None };
    let name = format!("-{}", char::from(*letter));
    letter.is_ascii_alphabetic().then_some(Opt { name, value: Some(rest).filter(|rest| !rest.is_empty()) })
}

fn value(value: &[u8], sensitive: bool) -> String {
    let is_small = !value.is_empty() && value.len() <= DIGITS && value.iter().all(u8::is_ascii_digit);
    match str::from_utf8(value) {
        Ok(number) if is_small && !sensitive => number.to_owned(),
        _ => length(value),
    }
}

fn length(value: &[u8]) -> String {
    format!("<{} bytes>", value.len())
}

/// Lower-case letters, digits and what joins them, short, and more letters than digits. In a name digits come after
/// letters, in a key anywhere.
fn word(bytes: &[u8]) -> Option<String> {
    let plain =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let mixed = bytes.windows(2).any(|two| two[0].is_ascii_digit() && two[1].is_ascii_alphabetic());
    let short = !bytes.is_empty() && bytes.len() <= NAME_CHARS;
    let good = short && bytes.iter().all(plain) && digits * 2 <= bytes.len() && !mixed;
    good.then(|| String::from_utf8_lossy(bytes).into_owned())
}

/// A sentence without what may be a secret or tells who somebody is: credentials, keys, addresses of people and of
/// machines. What it hides it names by its kind.
#[must_use]
pub fn text(text: &str) -> String {
    let mut shown = std::borrow::Cow::Borrowed(text);
    for (pattern, cover) in HIDDEN.iter() {
        if pattern.is_match(&shown) {
            shown = pattern.replace_all(&shown, *cover).into_owned().into();
        }
    }
    shown.into_owned()
}

/// Patterns of what is hidden, in the order in which they are looked for, and what is shown in their place.
static HIDDEN: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let patterns = [
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", "<private key>"),
        (r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/:@]+:[^\s/@]+@", "$1<credentials>@"),
        (r"(?i)\b(authorization|proxy-authorization|cookie|set-cookie)\b(\s*[:=]\s*).*", "$1$2<secret>"),
        (r"(?i)\b(bearer|basic)\s+[a-z0-9+/=._~-]{8,}", "$1 <secret>"),
        (
            r#"(?i)([\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|credential)[\w.-]*["']?\s*(?:[:=]|\s)\s*["']?)[^\s"',;]+"#,
            "$1<secret>",
        ),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", "<token>"),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", "<key>"),
        (r"\b(?:gh[pousr]_|glpat-|sk-|xox[abprs]-|AIza|ya29\.|hf_)[A-Za-z0-9_-]{10,}", "<key>"),
        (r"(?i)\b[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+\b", "<e-mail>"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}\b", "<address>"),
        (r"(?i)\b(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})+\b", "<address>"),
        (r"/home/[^\s/]+", "/home/<user>"),
        (r"\b(?:\d[ -]?){13,19}\b", "<number>"),
        // What is long and mixes letters and digits is a key, a hash or an identity of something.
        (r"\b[A-Za-z0-9+/_-]*(?:[A-Za-z][0-9]|[0-9][A-Za-z])[A-Za-z0-9+/_-]*[A-Za-z0-9+/_=-]{15,}", "<identity>"),
    ];
    let compiled = patterns.into_iter().map(|(pattern, cover)| Regex::new(pattern).map(|regex| (regex, cover)));
    compiled.collect::<Result<_, _>>().unwrap_or_else(|error| unreachable!("a pattern of redact.rs: {error}"))
});
