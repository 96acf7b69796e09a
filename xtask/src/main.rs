//! `cargo xtask`: what a developer and a newcomer runs. Every verb sets up what it needs first.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod cgroup;
mod load;
mod place;
mod run;
mod say;
mod setup;
mod test;

/// Set up, run, test and show KernelSight.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Install what this machine lacks to build KernelSight; quick when there is nothing to do
    Setup,
    /// Build the agent and run it in the foreground
    Run(run::Run),
    /// Format, lint, test, then the fault catalogue
    Test(test::Test),
    /// One bounded load of the fault catalogue, by hand
    #[command(hide = true)]
    Load(load::Order),
}

fn main() -> ExitCode {
    let done = match Command::parse().verb {
        Verb::Setup => setup::ensure(setup::For::Development).map(|()| true),
        Verb::Run(run) => run::run(run),
        Verb::Test(test) => test::test(&test),
        Verb::Load(order) => load::carry_out(&order).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::error(&error);
            ExitCode::FAILURE
        }
    }
}
