//! `top`: who takes most of something, now.

use clap::Args;

use super::{
    CliError, Context,
    eyes::{self, Eyes},
};
use crate::tools::{
    params::Bounded,
    top_processes::{Answer, By, Params, Taking, TopProcesses},
};

#[derive(Debug, Args)]
pub struct Top {
    /// What they are ordered by.
    #[arg(value_enum, value_name = "WHAT", default_value = "cpu")]
    pub by: By,
    /// Most processes.
    #[arg(long, value_name = "N", default_value = "10")]
    pub most: Bounded<1, 50>,
}

impl Top {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        context.show::<TopProcesses>(&Params { by: self.by, most: self.most }, text)
    }
}

/// Who takes most, for eyes.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    if answer.processes.is_empty() {
        return format!("Nobody takes any of it ({} processes).", answer.count);
    }
    let measured = |value| eyes::measured(&answer.measure, value);
    let rows = answer.processes.iter().map(|Taking { value, process }| {
        let number = |name| process.numbers.get(name).map_or_else(String::new, |value| eyes::measured(name, value));
        [
            measured(*value),
            process.id.pid.to_string(),
            process.name.to_string(),
            number("cpu_percent"),
            number("rss_bytes"),
            number("io_bytes_per_s"),
            process.unit.as_ref().unwrap_or(&process.cgroup).to_string(),
        ]
    });
    let head = answer.measure.to_uppercase();
    let table = eyes.table([head.as_str(), "PID", "NAME", "CPU", "MEMORY", "I/O", "UNIT OR CGROUP"], rows);
    format!("{table}\n\nAll {} processes together: {}.", answer.count, measured(answer.all))
}
