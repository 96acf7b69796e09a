//! `policy check`: what the policy says to a line, an action, or rows of either. It looks, does nothing, and needs no
//! daemon.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{CliError, Context};
use crate::{config::Settings, execute, live::Autonomy};

/// Most bytes of one row.
const ROW_BYTES: u64 = 1 << 20;

#[derive(Debug, Args)]
pub struct Policy {
    #[command(subcommand)]
    pub verb: PolicyVerb,
}

#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Answer a JSON row for each line or action: allowed, reason, rule. A denial is an answer, not a failure.
    Check(Check),
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub what: What,
    /// The autonomy level to judge actions at.
    #[arg(long, value_name = "LEVEL", default_value = "guardian")]
    pub autonomy: Autonomy,
    /// Directory of policies that replace the embedded ones, file by file; without one, that of the settings.
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// A command line, as it would run.
    #[arg(long, value_name = "TEXT")]
    pub command: Option<String>,
    /// An action: {"action_type": …, "params": {…}}.
    #[arg(long, value_name = "JSON")]
    pub action: Option<String>,
    /// A file of rows with `cmd`, or with `action_type` and `params`; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub jsonl: Option<PathBuf>,
}

impl Policy {
    pub(super) fn run(self, _: &Context) -> Result<(), CliError> {
        let PolicyVerb::Check(check) = self.verb;
        check.run()
    }
}

impl Check {
    fn run(self) -> Result<(), CliError> {
        let failed = |reason: String| CliError::Failed { reason };
        let dir = self.policies.or_else(|| Settings::load(None).ok()?.policies);
        let policy = execute::Policy::load(dir.as_deref()).map_err(|error| failed(error.to_string()))?;
        let What { command, action, jsonl } = self.what;
        if let Some(line) = command {
            return super::print(&super::json(&policy.check_command(&line), false)?);
        }
        if let Some(action) = action {
            return super::print(&super::json(&policy.check_action_json(&action, self.autonomy), false)?);
        }
        let Some(path) = jsonl else { return Ok(()) };
        let unreadable = |source: io::Error| failed(format!("cannot read the rows of {}: {source}", path.display()));
        let mut rows = open(&path).map_err(unreadable)?;
        loop {
            let mut row = Vec::new();
            let read = (&mut rows).take(ROW_BYTES + 1).read_until(b'\n', &mut row).map_err(unreadable)?;
            if read == 0 {
                return Ok(());
            }
            if read as u64 > ROW_BYTES {
                return Err(failed(format!("a row of {} is longer than {ROW_BYTES} bytes", path.display())));
            }
            // What is no UTF-8 is no JSON, and is judged as that.
            let row = String::from_utf8_lossy(&row);
            if !row.trim().is_empty() {
                super::print(&super::json(&policy.check_row(row.trim(), self.autonomy), false)?)?;
            }
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    Ok(Box::new(BufReader::new(File::open(path)?)))
}
