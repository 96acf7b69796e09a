//! `cargo xtask run`: set up, build, and become the agent.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context, Result};
use clap::Args;

use crate::{place, say, setup};

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Passed to `kernelsight run` as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Returns only when the agent could not be started.
pub(crate) fn run(run: Run) -> Result<bool> {
    setup::ensure(setup::For::Building)?;
    build()?;
    let agent = place::agent()?;
    let error = Command::new(&agent).arg("run").args(run.arguments).exec();
    Err(error).with_context(|| format!("{} cannot be started", agent.display()))
}

/// Builds the agent in release.
pub(crate) fn build() -> Result<()> {
    let log = place::target()?.join("build.log");
    // A build that fails shows the errors of this build, not of one before.
    let _ = std::fs::remove_file(&log);
    let mut cargo = place::cargo(&["build", "--release", "--package", "kernelsight"]);
    say::logged("build the agent (release)", &mut cargo, &log)
}
