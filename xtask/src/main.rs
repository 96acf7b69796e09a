//! `cargo xtask`: what a developer and a newcomer runs. Every verb sets up what it needs first.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod agent;
mod bench;
mod cgroup;
mod client;
mod clock;
mod demo;
mod eval;
mod failure;
mod faults;
mod figure;
mod fuzz;
mod load;
mod loaded;
mod model;
mod page;
mod place;
mod run;
mod say;
mod setup;
mod test;
mod vm;

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
    /// Show the loop take a memory leak and a CPU hog, from the kernel's event to the verdict
    Demo(demo::Demo),
    /// Measure what the agent costs and how soon it sees, beside the goals
    Bench(bench::Bench),
    /// A fixed piece of work, for bench
    #[command(hide = true)]
    Work(bench::Work),
    /// Inject each fault of the catalogue for real, and score what the agent saw and did
    Faults(faults::Faults),
    /// Compare rules alone, a model alone and both, over each fault of the catalogue
    Eval(eval::Eval),
    /// Kill, starve, flood and corrupt the agent for real, and say which of its claims hold
    Failure(failure::Failure),
    /// Look by libFuzzer for inputs of which the agent makes something else than its oracles do
    Fuzz(fuzz::Fuzz),
    /// Test in virtual machines of other kernels, with control groups v2
    Vm(vm::Vm),
    /// One bounded load of the fault catalogue, by hand
    #[command(hide = true)]
    Load(load::Order),
}

fn main() -> ExitCode {
    let done = match Command::parse().verb {
        Verb::Setup => setup::ensure(setup::For::Development).map(|()| true),
        Verb::Run(run) => run::run(run),
        Verb::Test(test) => test::test(&test),
        Verb::Demo(demo) => demo::demo(&demo),
        Verb::Bench(bench) => bench::bench(&bench),
        Verb::Work(work) => work.run().map(|()| true),
        Verb::Faults(faults) => faults::faults(&faults),
        Verb::Eval(order) => eval::eval(&order),
        Verb::Failure(order) => failure::failure(&order),
        Verb::Fuzz(order) => fuzz::fuzz(&order),
        Verb::Vm(order) => vm::vm(&order),
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
