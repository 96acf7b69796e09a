//! What rows of all tables have in common: bounds of text, JSON parts, and numbers as SQLite has them.

use std::fmt::Write;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::StoreError;

/// Most characters of one text.
const TEXT_CHARS: usize = 4096;
/// Most items of one list.
const LIST_ITEMS: usize = 512;
/// Most bytes of one JSON part, after its texts and lists were cut.
const JSON_BYTES: usize = 1 << 20;

/// The text, cut if it is too long, with the cut shown.
pub(super) fn bounded(text: &str) -> String {
    cut(text, TEXT_CHARS)
}

pub(super) fn cut(text: &str, chars: usize) -> String {
    if text.len() <= chars {
        return text.to_owned();
    }
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// JSON with every text and list bounded, and certain to read back as a `T`.
pub(super) fn json<T: Serialize + DeserializeOwned>(table: &'static str, part: &T) -> Result<String, StoreError> {
    let unstorable = |error: serde_json::Error| StoreError::Unstorable { table, why: error.to_string() };
    let mut value = serde_json::to_value(part).map_err(unstorable)?;
    bound(&mut value);
    let text = value.to_string();
    if text.len() > JSON_BYTES {
        let why = format!("it has {} bytes as JSON; {JSON_BYTES} at most are kept", text.len());
        return Err(StoreError::Unstorable { table, why });
    }
    serde_json::from_value::<T>(value).map_err(unstorable)?;
    Ok(text)
}

fn bound(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > TEXT_CHARS => *text = bounded(text),
        Value::Array(items) => {
            items.truncate(LIST_ITEMS);
            items.iter_mut().for_each(bound);
        }
        Value::Object(members) => members.values_mut().for_each(bound),
        _ => {}
    }
}

/// Reads a JSON part back.
pub(super) fn parse<T: DeserializeOwned>(
    table: &'static str,
    id: impl std::fmt::Display,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged {
        table,
        id: id.to_string(),
        why: error.to_string(),
    })
}

/// A name of a closed set, as serde writes it (`awaiting_approval`).
pub(super) fn name_of<T: Serialize>(table: &'static str, value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => Ok(name),
        other => Err(StoreError::Unstorable { table, why: format!("{other:?} is no name") }),
    }
}

/// Reads such a name back.
pub(super) fn named<T: DeserializeOwned>(
    table: &'static str,
    id: impl std::fmt::Display,
    name: &str,
) -> Result<T, StoreError> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|error| StoreError::Damaged {
        table,
        id: id.to_string(),
        why: error.to_string(),
    })
}

/// A JSON array of numbers, whole ones without a fraction; what is no number is null.
pub(super) fn json_numbers(values: impl Iterator<Item = f64>) -> String {
    let mut text = "[".to_owned();
    for value in values {
        if text.len() > 1 {
            text.push(',');
        }
        // Whole numbers below 10^15 are exact as integers.
        let written = if value.fract() == 0.0 && value.abs() < 1e15 {
            write!(text, "{}", value as i64)
        } else if (1e-5..1e15).contains(&value.abs()) {
            write!(text, "{value}")
        } else if value.is_finite() {
            write!(text, "{value:e}")
        } else {
            write!(text, "null")
        };
        debug_assert!(written.is_ok(), "a string takes all that is written to it");
    }
    text.push(']');
    text
}

/// SQLite's integers are signed; a count beyond them stands at their end.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// The most rows that a query answers, whatever is asked.
pub(super) const ROWS_MAX: usize = 100_000;

/// `LIMIT` of a query: none asks for 1,000.
pub(super) fn limit(asked: Option<usize>) -> i64 {
    asked.unwrap_or(1000).min(ROWS_MAX) as i64
}
