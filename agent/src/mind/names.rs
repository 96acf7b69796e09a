//! The names that are there: of processes, cgroups, units, devices, interfaces and mounts, as the last tick saw them.

use std::collections::BTreeSet;

use crate::{explain::unit::unit_of, observe::window::Window};

/// Each once, with its kind as the veil has it.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeSet<(&'static str, String)>);

impl Names {
    #[must_use]
    pub fn of(window: &Window) -> Self {
        let Some(tick) = window.now() else { return Self::default() };
        let mut names = BTreeSet::new();
        for process in &tick.processes {
            names.insert(("program", process.sample.comm.to_string()));
            names.insert(("/cgroup", process.sample.cgroup.to_string()));
        }
        for cgroup in &tick.cgroups {
            names.insert(("/cgroup", cgroup.sample.path.to_string()));
            names.extend(unit_of(&cgroup.sample.path).map(|unit| ("unit", unit.to_string())));
        }
        names.extend(tick.node.disks.iter().map(|disk| ("device", disk.name.to_string())));
        names.extend(tick.node.interfaces.iter().map(|interface| ("interface", interface.name.to_string())));
        names.extend(tick.node.filesystems.iter().map(|filesystem| ("/path", filesystem.path.to_string())));
        Self(names)
    }

    pub(super) fn pairs(&self) -> Vec<(&'static str, &str)> {
        self.0.iter().map(|(kind, name)| (*kind, name.as_str())).collect()
    }
}
