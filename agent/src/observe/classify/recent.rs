//! The last events that reflexes compare with: the steps of growing processes.

use std::collections::VecDeque;

use crate::observe::{Event, ProcessId, event::What};

/// Steps kept, all processes together.
const STEPS_MAX: usize = 256;

/// One step of a process's resident memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// `CLOCK_MONOTONIC`, ns.
    pub at_ns: u64,
    pub rss_bytes: u64,
}

/// The newest steps of every growing process, bounded.
#[derive(Debug, Default)]
pub struct Recent {
    steps: VecDeque<(ProcessId, Step)>,
}

impl Recent {
    /// Keeps the event if a reflex will want to look back at it.
    pub fn keep(&mut self, event: &Event) {
        if let What::RssStep { rss_bytes } = event.what {
            if self.steps.len() == STEPS_MAX {
                self.steps.pop_front();
            }
            self.steps.push_back((event.process, Step { at_ns: event.at_ns, rss_bytes }));
        }
    }

    /// The steps of one process not older than `since_ns`, oldest first.
    pub fn steps(&self, process: ProcessId, since_ns: u64) -> impl Iterator<Item = Step> + '_ {
        self.steps.iter().filter(move |(of, step)| *of == process && step.at_ns >= since_ns).map(|(_, step)| *step)
    }
}

/// How straight the line through the steps is: the squared correlation of time and memory, 0 to 1.
#[must_use]
pub(super) fn r_squared(steps: &[Step]) -> f64 {
    let Some(first) = steps.first() else { return 0.0 };
    let points = steps.iter().map(|step| (step.at_ns.saturating_sub(first.at_ns) as f64, step.rss_bytes as f64));
    let (count, sums) = (steps.len() as f64, points.clone().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x, sum.1 + y)));
    let (mean_x, mean_y) = (sums.0 / count, sums.1 / count);
    let products = points.map(|(x, y)| (x - mean_x, y - mean_y)).map(|(x, y)| (x * x, x * y, y * y));
    let (xx, xy, yy) = products.fold((0.0, 0.0, 0.0), |sum, each| (sum.0 + each.0, sum.1 + each.1, sum.2 + each.2));
    if xx > 0.0 && yy > 0.0 { (xy * xy / (xx * yy)).clamp(0.0, 1.0) } else { 0.0 }
}
