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
