//! The veil: what strangers called their things reaches a model as placeholders, and a placeholder that it gives back is
//! resolved here alone. A model needs to tell things apart and to know their kind and numbers; what they are called is
//! where somebody could speak to it.

mod keys;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::redact;
use keys::{KNOWN, NUMBERS, OURS, SPOKEN, VEILED};

/// What stands for a text that is left out.
const LEFT_OUT: &str = "…";
/// The longest word of this program's.
const OUR_WORD_BYTES: usize = 64;
/// A name that is longer may stand cut short in a sentence.
const CUT_SHORT_CHARS: usize = 20;
/// Shorter names are veiled where they stand alone, and not in the middle of a sentence, where they are words.
const SHORTEST_IN_TEXT: usize = 3;

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// What is just now.
    Now,
    /// What was, and is kept.
    Past,
}

/// What stands for what, for as long as one case is open. As JSON: what each placeholder stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Veil {
    cover: HashMap<String, String>,
    /// Ordered, so that two walks over the same answer say the same.
    real: BTreeMap<String, String>,
}

impl From<BTreeMap<String, String>> for Veil {
    fn from(real: BTreeMap<String, String>) -> Self {
        let cover = real.iter().map(|(cover, real)| (real.clone(), cover.clone())).collect();
        Self { cover, real }
    }
}

impl From<Veil> for BTreeMap<String, String> {
    fn from(veil: Veil) -> Self {
        veil.real
    }
}

impl Veil {
    /// Whether nothing was learned yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.real.is_empty()
    }

    /// The placeholder of something of that kind; a new one when it was not seen before.
    pub fn learn(&mut self, kind: &'static str, real: &str) -> String {
        if real.is_empty() || real == "/" || KNOWN.contains(&real) {
            return real.to_owned();
        }
        if let Some(cover) = self.cover.get(real) {
            return cover.clone();
        }
        let of_kind = |cover: &&String| cover.strip_prefix(kind).is_some_and(|rest| rest.starts_with('-'));
        let cover = format!("{kind}-{}", self.real.keys().filter(of_kind).count() + 1);
        self.cover.insert(real.to_owned(), cover.clone());
        self.real.insert(cover.clone(), real.to_owned());
        cover
    }

    /// An answer as a model may see it. `around` are names that are there, with their kinds: they are covered where they
    /// stand in a sentence.
    pub fn cover(&mut self, answer: &Value, around: &[(&'static str, &str)], age: Age) -> Value {
        self.learn_from(answer, None);
        let mut said = String::new();
        gather(answer, &mut said);
        for (kind, name) in around {
            if name.len() >= SHORTEST_IN_TEXT && said.contains(name) {
                self.learn(kind, name);
            }
        }
        let names = self.names();
        walk("", answer, age, &|key, text, age| covered(key, text, age, &names))
    }

    /// The same for a sentence of what is just now.
    #[must_use]
    pub fn cover_text(&mut self, text: &str, around: &[(&'static str, &str)]) -> String {
        let spoken = Value::Object(Map::from_iter([("said".to_owned(), Value::String(text.to_owned()))]));
        match self.cover(&spoken, around, Age::Now) {
            Value::Object(covered) => covered["said"].as_str().unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    }

    /// What is called how; the longest first: a path is not to be broken up by a name within it.
    fn names(&self) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> =
            self.cover.iter().map(|(real, cover)| (real.clone(), cover.clone())).collect();
        names.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        names
    }

    /// Parameters as a tool takes them: each string that is a placeholder is what it stands for.
    #[must_use]
    pub fn uncover(&self, params: &Map<String, Value>) -> Map<String, Value> {
        let resolve = |_: &str, text: &str, _| self.real.get(text).cloned().unwrap_or_else(|| text.to_owned());
        params.iter().map(|(key, value)| (key.clone(), walk(key, value, Age::Now, &resolve))).collect()
    }

    /// What a model said, for people: each placeholder within it is what it stands for.
    #[must_use]
    pub fn uncover_text(&self, text: &str) -> String {
        let mut names: Vec<(&str, &str)> =
            self.real.iter().map(|(cover, real)| (cover.as_str(), real.as_str())).collect();
        // `program-12` before `program-1`.
        names.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        names.retain(|(cover, _)| text.contains(cover));
        replaced(text, &names)
    }

    /// Learns what stands under the keys that name things.
    fn learn_from(&mut self, value: &Value, under: Option<&'static str>) {
        match value {
            Value::String(real) => match under {
                // A unit of measurement is none of systemd's, which end with their kind.
                Some("unit") if !real.contains('.') => {}
                Some(kind) => _ = self.learn(kind, real),
                None => {}
            },
            Value::Array(all) => all.iter().for_each(|one| self.learn_from(one, under)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let kind = VEILED.iter().find(|(name, _)| name == key).map(|(_, kind)| *kind);
                    self.learn_from(value, kind);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The placeholders that stand in a text, in their order.
pub fn placeholders(text: &str) -> Vec<&str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '/' || c == '_';
    let is_one = |word: &&str| {
        let numbered = |(_, kind): &(&str, &str)| {
            let number = word.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        VEILED.iter().any(numbered)
    };
    text.split(|c| !is_of_name(c)).filter(is_one).collect()
}

/// The same value with each string as `say` says it, by the key that it stands under and whether it is of what was.
fn walk(key: &str, value: &Value, age: Age, say: &impl Fn(&str, &str, Age) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(say(key, text, age)),
        Value::Array(all) => match all.as_slice() {
            [Value::String(_), Value::Number(_)] if NUMBERS.contains(&key) => value.clone(),
            all => all.iter().map(|one| walk(key, one, age, say)).collect(),
        },
        Value::Object(fields) => {
            // What was done is told of targets that may be gone.
            let is_over = key == "actions" || fields.get("closed_ms").is_some_and(Value::is_number);
            let age = if is_over { Age::Past } else { age };
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), walk(key, value, age, say))).collect())
        }
        other => other.clone(),
    }
}

/// All texts of a value, a line each.
fn gather(value: &Value, said: &mut String) {
    match value {
        Value::String(text) => {
            said.push_str(text);
            said.push('\n');
        }
        Value::Array(all) => all.iter().for_each(|one| gather(one, said)),
        Value::Object(fields) => fields.values().for_each(|value| gather(value, said)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn covered(key: &str, text: &str, age: Age, names: &[(String, String)]) -> String {
    if OURS.contains(&key) && is_word(text) {
        return text.to_owned();
    }
    if let Some((_, cover)) = names.iter().find(|(real, _)| real == text) {
        return cover.clone();
    }
    if KNOWN.contains(&text) || text == "/" || text.is_empty() {
        return text.to_owned();
    }
    if age == Age::Past || !SPOKEN.contains(&key) {
        return LEFT_OUT.to_owned();
    }
    let within: Vec<(&str, &str)> = names
        .iter()
        .filter(|(real, _)| real.len() >= SHORTEST_IN_TEXT && text.contains(beginning(real)))
        .map(|(real, cover)| (real.as_str(), cover.as_str()))
        .collect();
    let covered = replaced(text, &within);
    redact::text(&covered)
}

/// Whether it may be a word of this program's: none has a space, or is long.
fn is_word(text: &str) -> bool {
    let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.%".contains(&byte);
    text.len() <= OUR_WORD_BYTES && text.bytes().all(is_of_word)
}

/// Each of `names` that stands in a text and is no part of a longer word, replaced by what is beside it; in one pass, so
/// that nothing that was put in is taken for a name. The first that fits is taken: they come longest first.
fn replaced(text: &str, names: &[(&str, &str)]) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    let mut left: Option<char> = None;
    while let Some(next) = rest.chars().next() {
        let fits = |(name, _): &&(&str, &str)| {
            rest.strip_prefix(name).is_some_and(|after| {
                let joined_before = name.starts_with(is_of_word) && left.is_some_and(is_of_word);
                let joined_after = name.ends_with(is_of_word) && after.starts_with(is_of_word);
                !(joined_before || joined_after)
            })
        };
        let whole = names.iter().find(fits).map(|(name, instead)| (name.len(), *instead));
        let found = whole.or_else(|| names.iter().find_map(|(name, instead)| Some((cut_short(name, rest)?, *instead))));
        match found {
            Some((length, instead)) => {
                done.push_str(instead);
                left = rest[..length].chars().next_back();
                rest = &rest[length..];
            }
            None => {
                done.push(next);
                left = Some(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    done
}

/// What is left of a name at least where a text cuts it short.
fn beginning(name: &str) -> &str {
    let end = name.char_indices().nth(CUT_SHORT_CHARS).map_or(name.len(), |(end, _)| end);
    &name[..end]
}

/// Bytes of a name that stand at the beginning of a text which cut it short and closed its quotes there.
fn cut_short(name: &str, text: &str) -> Option<usize> {
    let same = name.chars().zip(text.chars()).take_while(|(a, b)| a == b);
    let (chars, bytes) = same.fold((0, 0), |(chars, bytes), (c, _)| (chars + 1, bytes + c.len_utf8()));
    let is_closed = text[bytes..].starts_with(['`', '"', '\'', '\u{2026}']) || text[bytes..].starts_with("...");
    (chars >= CUT_SHORT_CHARS && is_closed).then_some(bytes)
}
