//! The recent values of every measure of every entity, calm or not: what trends, baselines and verdicts are made of.

use std::collections::{HashMap, VecDeque};

use super::{Entity, SignalType};

/// Values kept for one measure of one entity: five minutes at one a second.
pub const SERIES_POINTS: usize = 300;
/// Series kept; the one that was silent longest leaves first.
pub const SERIES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Unix time, ms.
    pub at_ms: i64,
    pub value: f64,
}

#[derive(Debug, Default)]
pub struct History {
    series: HashMap<(SignalType, &'static str, String), VecDeque<Point>>,
}

impl History {
    /// Keeps one value. A series that is full forgets its oldest; a history that is full forgets its stalest series.
    pub fn keep(&mut self, signal_type: SignalType, measure: &'static str, entity: &Entity, point: Point) {
        let key = (signal_type, measure, entity.key());
        if !self.series.contains_key(&key) && self.series.len() >= SERIES {
            let stalest = self
                .series
                .iter()
                .min_by_key(|(_, points)| points.back().map_or(i64::MIN, |point| point.at_ms))
                .map(|(key, _)| key.clone());
            if let Some(stalest) = stalest {
                self.series.remove(&stalest);
            }
        }
        let points = self.series.entry(key).or_default();
        if points.len() == SERIES_POINTS {
            points.pop_front();
        }
        points.push_back(point);
    }

    /// The kept values, oldest first; empty when that measure of that entity was never read.
    pub fn points(&self, signal_type: SignalType, measure: &str, entity: &Entity) -> impl Iterator<Item = Point> + '_ {
        let key = entity.key();
        let measure = measure.to_owned();
        self.series
            .iter()
            .find(move |((kind, name, of), _)| *kind == signal_type && *name == measure && *of == key)
            .into_iter()
            .flat_map(|(_, points)| points.iter().copied())
    }

    /// Every kept series of one type: its measure, the key of its entity, and its values, oldest first.
    pub fn of_type(&self, signal_type: SignalType) -> impl Iterator<Item = (&'static str, &str, &VecDeque<Point>)> {
        self.series
            .iter()
            .filter(move |((kind, ..), _)| *kind == signal_type)
            .map(|((_, measure, entity), points)| (*measure, entity.as_str(), points))
    }

    /// The newest value.
    #[must_use]
    pub fn latest(&self, signal_type: SignalType, measure: &str, entity: &Entity) -> Option<Point> {
        self.points(signal_type, measure, entity).last()
    }

    /// Whether the measure was read of any entity at or after that time (Unix ms).
    #[must_use]
    pub fn is_read_since(&self, signal_type: SignalType, measure: &str, since_ms: i64) -> bool {
        self.series.iter().any(|((kind, name, _), points)| {
            *kind == signal_type && *name == measure && points.back().is_some_and(|point| point.at_ms >= since_ms)
        })
    }

    /// Number of series kept now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}
