//! Where a classifier puts what it reads: the worst few entities of each measure, and those that are watched.

use super::Measure;
use crate::observe::{Entity, Numbers, Reading, SignalType};

/// Entities kept for one measure in one tick, those that are watched not counted.
pub const ENTITIES_MAX: usize = 8;

/// The readings of one classifier in one tick.
#[derive(Debug)]
pub struct Readings<'a> {
    signal: SignalType,
    watched: &'a [(SignalType, &'static str, Entity)],
    kept: Vec<Reading>,
}

impl<'a> Readings<'a> {
    /// `watched` are the entities that have a signal, open or on its way: they are read even when others are worse,
    /// for that is how a signal ends and how an action is verified.
    #[must_use]
    pub fn new(signal: SignalType, watched: &'a [(SignalType, &'static str, Entity)]) -> Self {
        Self { signal, watched, kept: Vec::new() }
    }

    /// A measure of the node. No value, no reading: the source is off or has not been seen twice.
    pub fn node(&mut self, measure: Measure, value: Option<f64>, say: impl FnOnce(f64) -> (String, Numbers)) {
        if let Some(value) = value {
            self.put(measure, Entity::Node, value, say);
        }
    }

    /// A measure of many entities: the worst [`ENTITIES_MAX`] of them that are not calm, and the watched ones.
    ///
    /// To be called only when the source is on: a watched entity that is no candidate reads as calm.
    pub fn worst<T>(
        &mut self,
        measure: Measure,
        candidates: impl IntoIterator<Item = (f64, T)>,
        entity: impl Fn(&T) -> Entity,
        say: impl Fn(f64, &T) -> (String, Numbers),
    ) {
        let watched = self.watched;
        let mut watched: Vec<&Entity> = watched
            .iter()
            .filter(|(signal, name, _)| *signal == self.signal && *name == measure.name)
            .map(|(_, _, entity)| entity)
            .collect();
        let mut candidates: Vec<(f64, T)> = candidates.into_iter().filter(|(value, _)| value.is_finite()).collect();
        candidates.sort_by(|(a, _), (b, _)| if measure.falling { a.total_cmp(b) } else { b.total_cmp(a) });
        let mut places = ENTITIES_MAX;
        for (value, candidate) in candidates {
            let is_calm = if measure.falling { value >= measure.calm } else { value <= measure.calm };
            if is_calm && watched.is_empty() {
                break;
            }
            let has_place = !is_calm && places > 0;
            if !has_place && watched.is_empty() {
                break;
            }
            let about = entity(&candidate);
            let was = watched.len();
            watched.retain(|one| **one != about);
            if watched.len() < was {
                self.put(measure, about, value, |value| say(value, &candidate));
            } else if has_place {
                places -= 1;
                self.put(measure, about, value, |value| say(value, &candidate));
            }
        }
        for entity in watched {
            let sentence = format!("{entity} is calm now ({})", measure.about);
            self.put(measure, entity.clone(), measure.calm, |_| (sentence, Numbers::default()));
        }
    }

    fn put(&mut self, measure: Measure, entity: Entity, value: f64, say: impl FnOnce(f64) -> (String, Numbers)) {
        if value.is_finite() {
            let (sentence, numbers) = say(value);
            self.kept.push(Reading { measure: measure.name, entity, value, numbers, sentence });
        }
    }
}

impl IntoIterator for Readings<'_> {
    type Item = Reading;
    type IntoIter = std::vec::IntoIter<Reading>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.into_iter()
    }
}
