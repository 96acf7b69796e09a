//! `summarize_trends`: how each measure of one type moves, and what its signals did of late.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{
    clock::now_ms,
    explain::{Baseline, Direction, Trend, trend::trend},
    live::{Daemon, Live},
    observe::{Severity, Signal, SignalType, history::Point},
    store::{Listed, Reader, SignalFilter, StoreError},
};

/// Most series in one answer: those that rise come first.
const SERIES: usize = 40;
/// What memory holds; a longer window is read from the minutes that the database keeps.
const IN_MEMORY_MIN: i64 = 5;
/// Most signals that the pattern is told from.
const SIGNALS: usize = 5000;

#[derive(Debug)]
pub struct SummarizeTrends;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub signal_type: SignalType,
    /// How far back, in minutes.
    #[serde(default = "five")]
    pub analysis_window: Bounded<1, 10_080>,
}

fn five() -> Bounded<1, 10_080> {
    Bounded::clamped(IN_MEMORY_MIN)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub signal_type: SignalType,
    pub window_minutes: i64,
    pub series: Vec<Series>,
    pub pattern: Pattern,
    /// Why signals that the pattern should have in it cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// One measure of one entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub measure: String,
    /// The entity's key, such as `process:812@53412`.
    pub entity: String,
    /// The same for eyes: `python3 (pid 812)`.
    pub who: String,
    pub trend: Option<Trend>,
    /// Why there is no trend.
    pub unknown: Option<String>,
    /// What was usual for the measure in the window, over all entities.
    pub usual: Option<Baseline>,
}

/// What the signals of the type did in the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pattern {
    pub signals: usize,
    pub open: usize,
    pub worst: Severity,
    /// Who they were about, most often first, three at most.
    pub about: Vec<(String, usize)>,
    /// Total time that some signal stood, s.
    pub stood_s: f64,
}

impl Tool for SummarizeTrends {
    const NAME: &'static str = "summarize_trends";
    const DESCRIPTION: &'static str = "How the measures of one signal type move over a window of minutes: slope per \
        minute, r², direction, what is usual; and how often its signals came, about whom, how bad.";
    const TIER: Tier = Tier::Analyse;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let (signal_type, minutes) = (params.signal_type, params.analysis_window.get());
        let now_ms = now_ms();
        let since_ms = now_ms - minutes * 60_000;
        let known = known(&daemon.look(), signal_type, since_ms);
        let (series, Listed { rows, unread }) = ask::read(daemon, move |reader| {
            let mut usual = HashMap::new();
            let mut series = Vec::new();
            for Known { measure, entity, who, mut points } in known {
                if minutes > IN_MEMORY_MIN {
                    points = older(reader, signal_type, measure, &entity, since_ms, points)?;
                }
                let usual = match usual.get(measure) {
                    Some(usual) => Option::clone(usual),
                    None => {
                        let found = reader.percentiles(signal_type, measure, since_ms, now_ms)?;
                        usual.insert(measure, found.clone());
                        found
                    }
                };
                series.push(one(measure, (entity, who), &points, usual));
            }
            let filter = SignalFilter {
                since_ms: Some(since_ms),
                types: vec![signal_type],
                limit: Some(SIGNALS),
                ..SignalFilter::default()
            };
            Ok((series, reader.signals(&filter)?))
        })
        .await?;
        let pattern = pattern(&rows, since_ms, now_ms);
        Ok(Answer { signal_type, window_minutes: minutes, series: first(series), pattern, unread })
    }
}

/// What memory holds of one measure of one entity.
struct Known {
    measure: &'static str,
    entity: String,
    who: String,
    points: Vec<Point>,
}

fn known(live: &Live, signal_type: SignalType, since_ms: i64) -> Vec<Known> {
    live.history
        .of_type(signal_type)
        .map(|(measure, entity, points)| Known {
            measure,
            entity: entity.to_owned(),
            who: ask::who(live, entity),
            points: points.iter().filter(|point| point.at_ms >= since_ms).copied().collect(),
        })
        .collect()
}

/// The minutes that the database keeps, up to the first point in memory.
fn older(
    reader: &Reader,
    signal_type: SignalType,
    measure: &str,
    entity: &str,
    since_ms: i64,
    recent: Vec<Point>,
) -> Result<Vec<Point>, StoreError> {
    let from = recent.first().map_or(i64::MAX, |point| point.at_ms);
    let mut points = reader.points(signal_type, measure, entity, since_ms)?;
    points.retain(|point| point.at_ms < from);
    points.extend(recent);
    Ok(points)
}

fn one(measure: &str, (entity, who): (String, String), points: &[Point], usual: Option<Baseline>) -> Series {
    let found = trend(measure, points.iter().map(|point| (point.at_ms as f64 / 1e3, point.value)));
    let (trend, unknown) = match found {
        Ok(trend) => (Some(trend), None),
        Err(too_little) => (None, Some(too_little.to_string())),
    };
    Series { measure: measure.to_owned(), entity, who, trend, unknown, usual }
}

/// What rises first, the surest of it first; then what falls, what is flat, and what is not known.
fn first(mut series: Vec<Series>) -> Vec<Series> {
    let rank = |series: &Series| match series.trend.as_ref().map(|trend| trend.direction) {
        Some(Direction::Rising) => 0,
        Some(Direction::Falling) => 1,
        Some(Direction::Flat) => 2,
        None => 3,
    };
    let sure = |series: &Series| series.trend.as_ref().map_or(0.0, |trend| trend.r_squared);
    series.sort_by(|a, b| {
        let names = || (&a.measure, &a.entity).cmp(&(&b.measure, &b.entity));
        rank(a).cmp(&rank(b)).then_with(|| sure(b).total_cmp(&sure(a))).then_with(names)
    });
    series.truncate(SERIES);
    series
}

fn pattern(signals: &[Signal], since_ms: i64, now_ms: i64) -> Pattern {
    let mut about: HashMap<String, usize> = HashMap::new();
    for signal in signals {
        *about.entry(signal.entity.class()).or_default() += 1;
    }
    let mut about: Vec<(String, usize)> = about.into_iter().collect();
    about.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    about.truncate(3);
    Pattern {
        signals: signals.len(),
        open: signals.iter().filter(|signal| signal.closed_ms.is_none()).count(),
        worst: signals.iter().map(|signal| signal.peak_severity).max().unwrap_or_default(),
        about,
        stood_s: stood_ms(signals, since_ms, now_ms) as f64 / 1e3,
    }
}

/// The time in which at least one of them stood.
fn stood_ms(signals: &[Signal], since_ms: i64, now_ms: i64) -> i64 {
    let mut spans: Vec<(i64, i64)> = signals
        .iter()
        .map(|signal| (signal.first_seen_ms.max(since_ms), signal.closed_ms.unwrap_or(signal.last_seen_ms).min(now_ms)))
        .collect();
    spans.sort_unstable();
    let mut covered_to = i64::MIN;
    spans.into_iter().fold(0, |stood, (from, to)| {
        let from = from.max(covered_to);
        covered_to = covered_to.max(to);
        stood + (to - from).max(0)
    })
}
