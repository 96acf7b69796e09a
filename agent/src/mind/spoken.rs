//! Whether an answer in plain words says what was read: each of its numbers, and each name that it uses. What nobody read
//! is a guess, however well it sounds.
//!
//! A number is known by its unit: a percentage is looked for among percentages, a size among bytes, a time among times.

use serde_json::Value;

use super::veil;

/// A measurement that is off by less than this part is the same, rounded. What counts or identifies is not measured.
const ROUNDING: f64 = 0.01;
/// From here on zeros at the end are taken for rounding.
const ROUND_FROM: f64 = 100.0;
/// Smaller whole numbers count things, and are in every language's sentences.
const COUNTS: f64 = 10.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Percent,
    /// In bytes.
    Size,
    /// In seconds.
    Time,
    Plain,
}

/// A number as it is said.
#[derive(Clone, Debug, PartialEq)]
struct Number {
    kind: Kind,
    /// What it may mean, in its base unit.
    values: Vec<f64>,
    /// Half of its last digit, of the first of these.
    precision: f64,
    text: String,
}

/// What it was found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// Numbers and names that were looked for.
    pub said: u32,
    /// Those of them that are in nothing that was read, as they are said.
    pub unread: Vec<String>,
}

impl Spoken {
    /// What is to be said to who said it; none: all was read.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let said = self.unread.join(", ");
        (!self.unread.is_empty()).then(|| {
            format!("these are in nothing that you read: {said}. Say what you read, or leave it out; numbers of your own reckoning, too")
        })
    }
}

/// Looks up an answer in what was read before it.
#[must_use]
pub fn look_up(answer: &str, read: &[Value]) -> Spoken {
    let mut known = Vec::new();
    let mut names = Vec::new();
    for value in read {
        gather(value, None, &mut known, &mut names);
    }
    let mut spoken = Spoken::default();
    let words = without_commands(answer);
    for number in numbers(&words) {
        let is_count = number.kind == Kind::Plain && number.values.iter().all(|n| n.fract() == 0.0 && *n <= COUNTS);
        if is_count {
            continue;
        }
        spoken.said += 1;
        if !known.iter().any(|source| is_same(&number, source)) {
            spoken.unread.push(number.text);
        }
    }
    for name in veil::placeholders(&words) {
        spoken.said += 1;
        if !names.contains(&name) {
            spoken.unread.push(name.to_owned());
        }
    }
    spoken
}

fn is_same(said: &Number, read: &Number) -> bool {
    let comparable = said.kind == read.kind || said.kind == Kind::Plain || read.kind == Kind::Plain;
    let rounding = if said.kind == Kind::Plain { 0.0 } else { ROUNDING };
    let is_near =
        |said_value: f64, value: f64| (said_value - value).abs() <= said.precision.max(value.abs() * rounding);
    comparable && said.values.iter().any(|said_value| read.values.iter().any(|value| is_near(*said_value, *value)))
}

/// All numbers and placeholders of what was read; a number's key tells its unit.
fn gather<'a>(value: &'a Value, key: Option<&str>, known: &mut Vec<Number>, names: &mut Vec<&'a str>) {
    match value {
        Value::Number(number) => {
            if let Some(value) = number.as_f64() {
                known.extend(named(key.unwrap_or_default(), value));
            }
        }
        Value::String(text) => {
            known.extend(numbers(text));
            names.extend(veil::placeholders(text));
        }
        Value::Array(all) => match all.as_slice() {
            [Value::String(name), number @ Value::Number(_)] => gather(number, Some(name), known, names),
            all => all.iter().for_each(|one| gather(one, key, known, names)),
        },
        Value::Object(fields) => fields.iter().for_each(|(key, value)| gather(value, Some(key), known, names)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// A number under a name such as `rss_bytes`, in whatever it may be said as.
fn named(key: &str, value: f64) -> Vec<Number> {
    let of = |kind, value| Number { kind, values: vec![value], precision: 0.0, text: String::new() };
    let time = |seconds: f64| vec![of(Kind::Time, value * seconds), of(Kind::Plain, value)];
    match key {
        key if key.contains("percent") => vec![of(Kind::Percent, value)],
        key if key.contains("share") || key == "confidence" => {
            vec![of(Kind::Percent, value * 100.0), of(Kind::Plain, value)]
        }
        key if key.contains("bytes") => vec![of(Kind::Size, value)],
        key if key.ends_with("_ns") => time(1e-9),
        key if key.ends_with("_us") => time(1e-6),
        key if key.ends_with("_ms") => time(1e-3),
        key if key.ends_with("_s") && !key.ends_with("per_s") => time(1.0),
        key if key.ends_with("minutes") => time(60.0),
        key if key.ends_with("hours") => time(3600.0),
        _ => vec![of(Kind::Plain, value)],
    }
}

/// Without what stands in backquotes: a command is no claim.
fn without_commands(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// The numbers of a text with their units. What is part of a word, a name or a time of day is none.
fn numbers(text: &str) -> Vec<Number> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begins) = text[at..].find(|c: char| c.is_ascii_digit()).map(|from| at + from) {
        let digits = &text[begins..];
        let mut length = digits.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(digits.len());
        length = digits[..length].trim_end_matches(['.', ',']).len();
        at = begins + length;
        let before = text[..begins].chars().next_back();
        let after = text[at..].chars().next();
        let is_of_word = before.is_some_and(|c| c.is_alphanumeric() || "-_/:.=".contains(c)) || after == Some(':');
        if is_of_word {
            // The rest of such a word is none either.
            at += text[at..].find(char::is_whitespace).unwrap_or(text.len() - at);
            continue;
        }
        let said = &text[begins..at];
        if let Some((value, half)) = parsed(said) {
            let (kind, factors) = unit(&text[at..]);
            found.push(Number {
                kind,
                values: factors.iter().map(|factor| value * factor).collect(),
                precision: half * factors[0],
                text: said_with_unit(said, &text[at..], kind),
            });
        }
    }
    found
}

fn said_with_unit(said: &str, rest: &str, kind: Kind) -> String {
    let unit = rest.split_whitespace().next().unwrap_or_default().trim_end_matches(['.', ',', ';', ')']);
    if kind == Kind::Plain { said.to_owned() } else { format!("{said} {unit}") }
}

/// The value, and half of its last digit that is not a zero at the end of a large number. Commas part thousands.
fn parsed(said: &str) -> Option<(f64, f64)> {
    let bare = said.replace(',', "");
    let value: f64 = bare.parse().ok()?;
    let digits = match bare.split_once('.') {
        Some((_, decimals)) => -i32::try_from(decimals.len()).ok()?,
        None if value >= ROUND_FROM => i32::try_from(bare.len() - bare.trim_end_matches('0').len()).ok()?,
        None => 0,
    };
    Some((value, 0.5 * 10_f64.powi(digits)))
}

/// The unit that stands first, as its factors to the base unit: of a size it may be meant by 1024 or by a thousand.
fn unit(rest: &str) -> (Kind, &'static [f64]) {
    let rest = rest.trim_start();
    if rest.starts_with("per cent") {
        return (Kind::Percent, &[1.0]);
    }
    let word: String = rest.chars().take_while(|c| c.is_alphabetic() || *c == '%').collect();
    match word.to_lowercase().as_str() {
        "%" | "percent" => (Kind::Percent, &[1.0]),
        "b" | "byte" | "bytes" => (Kind::Size, &[1.0]),
        "kib" | "kb" => (Kind::Size, &[1024.0, 1e3]),
        "mib" | "mb" => (Kind::Size, &[1_048_576.0, 1e6]),
        "gib" | "gb" => (Kind::Size, &[1_073_741_824.0, 1e9]),
        "ns" | "nanoseconds" => (Kind::Time, &[1e-9]),
        "us" | "µs" | "μs" | "microseconds" => (Kind::Time, &[1e-6]),
        "ms" | "milliseconds" => (Kind::Time, &[1e-3]),
        "s" | "second" | "seconds" => (Kind::Time, &[1.0]),
        "min" | "minute" | "minutes" => (Kind::Time, &[60.0]),
        "h" | "hour" | "hours" => (Kind::Time, &[3600.0]),
        _ => (Kind::Plain, &[1.0]),
    }
}
