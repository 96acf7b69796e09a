//! Parameters, read strictly: an unknown key, a wrong type or a value out of range is refused before anything runs.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use super::{Tool, ToolError};
use crate::{observe::Severity, text::Text};

/// Most characters of a caller's name or value that an error repeats.
const SHOWN_CHARS: usize = 60;
/// Most characters of an error's own words, about: the names of all actions are within that.
const SAID_CHARS: usize = 1500;
/// Most names of a closed set that an error lists beside all other parameters.
const NAMES_SHOWN: usize = 12;

/// The parameters of `T`, or what is wrong with which of them and what would be right.
///
/// # Errors
/// [`ToolError::Params`].
pub fn read<T: Tool>(given: Map<String, Value>) -> Result<T::Params, ToolError> {
    serde_json::from_value(Value::Object(given.clone())).map_err(|error| {
        let problem = match culprit::<T>(&given, &error.to_string()) {
            Some((key, value)) => {
                format!(
                    "`{key}` is {value}: {error}",
                    key = shown(key),
                    value = shown(&value.to_string()),
                    error = said(&error)
                )
            }
            None => said(&error),
        };
        ToolError::Params { tool: T::NAME, problem: format!("{problem}; {takes}", takes = takes::<T>()) }
    })
}

/// An integer from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bounded<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Bounded<MIN, MAX> {
    /// `value`, brought into the range.
    #[must_use]
    pub const fn clamped(value: i64) -> Self {
        Self(if value < MIN {
            MIN
        } else if value > MAX {
            MAX
        } else {
            value
        })
    }

    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// As a length or a count.
    #[must_use]
    pub fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }
}

impl<const MIN: i64, const MAX: i64> std::str::FromStr for Bounded<MIN, MAX> {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        match given.parse::<i64>() {
            Ok(value) if (MIN..=MAX).contains(&value) => Ok(Self(value)),
            _ => Err(format!("it must be a whole number from {MIN} to {MAX}")),
        }
    }
}

impl<const MIN: i64, const MAX: i64> fmt::Display for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = i64::deserialize(deserializer)?;
        if (MIN..=MAX).contains(&value) {
            Ok(Self(value))
        } else {
            Err(de::Error::custom(format_args!("it must be from {MIN} to {MAX}")))
        }
    }
}

impl<const MIN: i64, const MAX: i64> JsonSchema for Bounded<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Integer{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// What somebody wrote to be read by people: 1 to `MAX` characters. The newline is the only one of them that moves the
/// cursor, ends a line, or has others shown in another order than they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Prose<const MAX: usize>(String);

impl<const MAX: usize> Prose<MAX> {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> std::str::FromStr for Prose<MAX> {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let chars = given.chars().count();
        if given.trim().is_empty() {
            return Err("it must not be empty".to_owned());
        }
        if chars > MAX {
            return Err(format!("it must be at most {MAX} characters; this is {chars}"));
        }
        let reorders = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if given.chars().any(|c| reorders(c) || c.is_control() && c != '\n') {
            return Err("it must have no control characters".to_owned());
        }
        Ok(Self(given.to_owned()))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Prose<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<const MAX: usize> JsonSchema for Prose<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Prose{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }
}

/// A share, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Share(f64);

impl Share {
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(de::Error::custom("it must be from 0 to 1")) }
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// A severity that a signal can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SeverityMin {
    #[default]
    Low,
    Medium,
    High,
    Critical,
}

impl From<SeverityMin> for Severity {
    fn from(least: SeverityMin) -> Self {
        match least {
            SeverityMin::Low => Self::Low,
            SeverityMin::Medium => Self::Medium,
            SeverityMin::High => Self::High,
            SeverityMin::Critical => Self::Critical,
        }
    }
}

/// No parameters at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The parameter that the error is about: the one without which the error would be another.
fn culprit<'a, T: Tool>(given: &'a Map<String, Value>, error: &str) -> Option<(&'a str, &'a Value)> {
    let names_it_itself = error.starts_with("missing field") || error.starts_with("unknown field");
    given.iter().filter(|_| !names_it_itself).find_map(|(key, value)| {
        let mut without = given.clone();
        without.remove(key);
        let other = serde_json::from_value::<T::Params>(Value::Object(without)).err().map(|error| error.to_string());
        (other.as_deref() != Some(error)).then_some((key.as_str(), value))
    })
}

/// What serde says, escaped and bounded: it quotes the caller's names and values as they are.
fn said(error: &serde_json::Error) -> String {
    let error = error.to_string();
    let mut said = String::with_capacity(error.len().min(SAID_CHARS));
    for c in error.chars() {
        if said.len() >= SAID_CHARS {
            said.push('…');
            break;
        }
        match c {
            ' '..='~' => said.push(c),
            _ => said.extend(c.escape_unicode()),
        }
    }
    said
}

fn shown(given: &str) -> String {
    let text = Text::from(given).to_string();
    if text.chars().count() <= SHOWN_CHARS {
        return text;
    }
    text.chars().take(SHOWN_CHARS).chain(['…']).collect()
}

/// All parameters with their types: "it takes severity_min (low, medium, high or critical; optional), …".
fn takes<T: Tool>() -> String {
    let schema = super::schema::<T>();
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let all: Vec<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let optional = if required.contains(&name.as_str()) { "" } else { ", optional" };
            format!("{name} ({kind}{optional})", kind = kind(schema))
        })
        .collect();
    if all.is_empty() { "it takes no parameters".to_owned() } else { format!("it takes {}", all.join(", ")) }
}

fn kind(schema: &Value) -> String {
    let names = |values: &[Value]| match values.len() {
        many if many > NAMES_SHOWN => format!("one of {many} names"),
        _ => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
    };
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return names(values);
    }
    if let Some(choices) = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array) {
        let consts: Vec<Value> = choices.iter().filter_map(|choice| choice.get("const")).cloned().collect();
        let kinds =
            choices.iter().filter(|choice| choice.get("type").and_then(Value::as_str) != Some("null")).map(kind);
        return if consts.is_empty() { kinds.collect::<Vec<_>>().join(" or ") } else { names(&consts) };
    }
    let kind_name = match schema.get("type") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_owned(),
    };
    match (schema.get("minimum"), schema.get("maximum"), schema.get("items")) {
        (Some(least), Some(most), _) => format!("{kind_name} {least} to {most}"),
        (_, _, Some(items)) => format!("list of {}", kind(items)),
        _ => kind_name,
    }
}
