//! `kernelsight`: the verbs of [`kernelsight::cli`], and the hidden roles that act for the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: these are no clients, and are not helped by what a command line needs.
    match std::env::args_os().nth(1) {
        Some(role) if role == "executor" => kernelsight::execute::sandbox::executor_main(),
        Some(role) if role == "actor" => kernelsight::execute::actor::actor_main(),
        _ => kernelsight::cli::main(),
    }
}
