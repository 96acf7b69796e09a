//! What the runner measures of the node and of the agent, once a second.

use std::{collections::HashMap, time::Instant};

use super::inject::{self, Cost};

/// Each by its name, as a check names it.
#[derive(Debug)]
pub(super) struct NodeMeasures {
    agent: u32,
    cost: Option<Cost>,
    swapped_in: Option<(Instant, f64)>,
    measures: HashMap<&'static str, f64>,
}

impl NodeMeasures {
    pub(super) fn of(agent: u32) -> Self {
        Self { agent, cost: None, swapped_in: None, measures: HashMap::new() }
    }

    pub(super) fn sample(&mut self) {
        let now = Cost::of(&[self.agent]);
        self.measures.insert("agent.rss_mb", now.rss_bytes / 1048576.0);
        if let Some(before) = self.cost.replace(now) {
            self.measures.insert("agent.cpu_percent", now.cpu_percent(&before));
        }
        let swapped_in = inject::swapped_in_pages().map(|pages| (Instant::now(), pages));
        if let (Some((now, pages)), Some((then, before))) = (swapped_in, self.swapped_in) {
            let seconds = now.duration_since(then).as_secs_f64().max(0.001);
            self.measures.insert("node.swap_in_pages_per_s", (pages - before) / seconds);
        }
        self.swapped_in = swapped_in;
        self.measures.extend(inject::psi_percent("memory").map(|percent| ("node.memory_psi_percent", percent)));
    }

    pub(super) fn measure(&self, name: &str) -> Option<f64> {
        self.measures.get(name).copied()
    }
}
