//! `thresholds.toml`: from which value on a measure is how bad, and for how long it must be.

use std::{collections::HashMap, io, path::Path};

use serde::Deserialize;

use super::{CLASSIFIERS, Measure, measure};
use crate::{
    observe::{Severity, SignalType},
    policies,
};

/// The embedded file.
const EMBEDDED: &str = include_str!("../../../../policies/thresholds.toml");
const FILE: &str = "thresholds.toml";

/// Longest duration that is believed to be meant, s.
const DURATION_MAX_S: f64 = 3600.0;

/// The rules of one measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// From where on it is low, medium, high and critical; a severity that is none is never reached.
    pub levels: [Option<f64>; 4],
    /// Whether less is worse.
    pub falling: bool,
    /// A value must stay this long before it is a signal, s.
    pub sustain_s: f64,
    /// A signal is over only below this share of its threshold (falling: above the threshold divided by it), 0 to 1.
    pub clear_ratio: f64,
    /// And only after this long, s.
    pub clear_s: f64,
    /// From here on a value far above its baseline is at least high; none: the measure has no relative rule.
    pub relative_floor: Option<f64>,
}

impl Threshold {
    /// How bad the value is by the absolute thresholds alone, at once.
    #[must_use]
    pub fn severity(&self, value: f64) -> Severity {
        let over = self.levels.iter().take_while(|level| level.is_some_and(|level| self.reaches(value, level))).count();
        Severity::ALL[over]
    }

    /// Where the value stands among its thresholds: 0.25 at low, 0.5 at medium, 0.75 at high, 1 at critical, linear
    /// between. Rising from 0; falling from twice the low threshold.
    #[must_use]
    pub fn pressure(&self, value: f64) -> f64 {
        let twice = |low: f64| (2.0 * low).min(f64::MAX);
        let calm = if self.falling { twice(self.levels[0].unwrap_or_default()) } else { 0.0 };
        let mut from = (calm, 0.0);
        for (step, level) in self.levels.iter().flatten().enumerate() {
            let to = (*level, 0.25 * (step + 1) as f64);
            if !self.reaches(value, to.0) {
                let width = to.0 - from.0;
                let share = if width == 0.0 { 0.0 } else { ((value - from.0) / width).clamp(0.0, 1.0) };
                return from.1 + share * (to.1 - from.1);
            }
            from = to;
        }
        from.1
    }

    /// Whether the value is at the threshold or worse.
    pub(super) fn reaches(&self, value: f64, level: f64) -> bool {
        if self.falling { value <= level } else { value >= level }
    }

    /// Whether the value is clear of the threshold by the hysteresis.
    pub(super) fn clears(&self, value: f64, level: f64) -> bool {
        if self.falling { value > level / self.clear_ratio } else { value < level * self.clear_ratio }
    }
}

/// The rules of every measure of every classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    of: HashMap<(SignalType, &'static str), Threshold>,
}

impl Thresholds {
    /// The embedded rules, or those of `thresholds.toml` in this directory in their place.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, has a key or a measure that does not exist, misses one that does, or
    /// holds values that contradict each other.
    pub fn load(directory: Option<&Path>) -> Result<Self, ThresholdsError> {
        let text = policies::text(directory, FILE, EMBEDDED)
            .map_err(|(path, source)| ThresholdsError::Read { file: path.display().to_string(), source })?;
        Self::parse(&text, FILE)
    }

    /// Reads the text of a file; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Thresholds::load`].
    pub fn parse(text: &str, file: &str) -> Result<Self, ThresholdsError> {
        let syntax = |source| ThresholdsError::Syntax { file: file.to_owned(), source: Box::new(source) };
        let signals: toml::Table = toml::from_str(text).map_err(syntax)?;
        let mut of = HashMap::new();
        for (signal_name, measures) in signals {
            let signal: SignalType = signal_name.parse().map_err(|unknown: crate::observe::signal::UnknownName| {
                wrong(file, &signal_name, format!("is no signal type; one of {} is", unknown.expected))
            })?;
            let toml::Value::Table(measures) = measures else {
                return Err(wrong(file, &signal_name, "must be a table of measures".to_owned()));
            };
            for (name, value) in measures {
                let key = format!("{signal_name}.{name}");
                let Some(measure) = measure(signal, &name) else {
                    return Err(wrong(file, &key, format!("is no measure; {signal} measures {}", names(signal))));
                };
                let row: Row = value.try_into().map_err(|source: toml::de::Error| {
                    wrong(file, &key, format!("is not right: {}", source.message()))
                })?;
                of.insert((signal, measure.name), row.checked(measure).map_err(|what| wrong(file, &key, what))?);
            }
        }
        for classifier in &CLASSIFIERS {
            for measure in classifier.measures {
                if !of.contains_key(&(classifier.signal, measure.name)) {
                    let key = format!("{}.{}", classifier.signal, measure.name);
                    let what = format!("is missing; give it at least low, sustain_s and clear_s ({})", measure.about);
                    return Err(wrong(file, &key, what));
                }
            }
        }
        Ok(Self { of })
    }

    /// The rules of a measure.
    #[must_use]
    pub fn get(&self, signal: SignalType, measure: &'static str) -> Option<&Threshold> {
        self.of.get(&(signal, measure))
    }
}

/// Why thresholds cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ThresholdsError {
    #[error("cannot read {file}: {source}")]
    Read { file: String, source: io::Error },
    #[error("{file} is no TOML: {source}")]
    Syntax { file: String, source: Box<toml::de::Error> },
    #[error("{file}: `{key}` {what}")]
    Wrong { file: String, key: String, what: String },
}

/// A measure as the file writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    low: f64,
    medium: Option<f64>,
    high: Option<f64>,
    critical: Option<f64>,
    sustain_s: f64,
    #[serde(default = "usual_clear_ratio")]
    clear_ratio: f64,
    clear_s: f64,
    #[serde(default)]
    relative: bool,
    relative_floor: Option<f64>,
}

impl Row {
    fn checked(self, measure: &Measure) -> Result<Threshold, String> {
        let named =
            [("low", Some(self.low)), ("medium", self.medium), ("high", self.high), ("critical", self.critical)];
        let mut before: Option<(&str, f64)> = None;
        let mut ended: Option<&str> = None;
        for (name, level) in named {
            let Some(level) = level else {
                ended.get_or_insert(name);
                continue;
            };
            if let Some(ended) = ended {
                return Err(format!("has {name} without {ended}; give {ended} too, or leave {name} out"));
            }
            if !(level.is_finite() && level > 0.0) {
                return Err(format!("has {name} = {level}; it must be above 0"));
            }
            if let Some((easier, other)) = before {
                let in_order = if measure.falling { level <= other } else { level >= other };
                if !in_order {
                    let order = if measure.falling { "at most (less is worse)" } else { "at least" };
                    return Err(format!(
                        "has {easier} = {other} and {name} = {level}; {name} must be {order} {easier}"
                    ));
                }
            }
            before = Some((name, level));
        }
        for (name, seconds) in [("sustain_s", self.sustain_s), ("clear_s", self.clear_s)] {
            if !(0.0..=DURATION_MAX_S).contains(&seconds) {
                return Err(format!("has {name} = {seconds}; it must be 0 to {DURATION_MAX_S}"));
            }
        }
        if !(0.1..=1.0).contains(&self.clear_ratio) {
            return Err(format!("has clear_ratio = {}; it must be 0.1 to 1", self.clear_ratio));
        }
        let relative_floor = match (self.relative, self.relative_floor) {
            (false, None) => None,
            (false, Some(_)) => return Err("has relative_floor without relative = true; set it or leave both".into()),
            (true, None) => {
                return Err("has relative = true; it needs relative_floor, below which noise is no signal".into());
            }
            (true, Some(_)) if measure.falling => {
                return Err("has relative = true; a measure whose less is worse has no relative rule".into());
            }
            (true, Some(_)) if self.high.is_none() => {
                return Err("has relative = true, which raises to high; give high too".into());
            }
            (true, Some(floor)) if !(floor.is_finite() && floor > 0.0) => {
                return Err(format!("has relative_floor = {floor}; it must be above 0"));
            }
            (true, floor) => floor,
        };
        Ok(Threshold {
            levels: named.map(|(_, level)| level),
            falling: measure.falling,
            sustain_s: self.sustain_s,
            clear_ratio: self.clear_ratio,
            clear_s: self.clear_s,
            relative_floor,
        })
    }
}

fn usual_clear_ratio() -> f64 {
    0.8
}

fn wrong(file: &str, key: &str, what: String) -> ThresholdsError {
    ThresholdsError::Wrong { file: file.to_owned(), key: key.to_owned(), what }
}

fn names(signal: SignalType) -> String {
    let of = CLASSIFIERS.iter().filter(|classifier| classifier.signal == signal);
    of.flat_map(|classifier| classifier.measures).map(|measure| measure.name).collect::<Vec<_>>().join(", ")
}
