//! `kernelsight`: the verbs of [`kernelsight::cli`], and the hidden role that acts for the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: an executor is not a client, and is not helped by what a command line needs.
    if std::env::args_os().nth(1).is_some_and(|role| role == "executor") {
        return kernelsight::execute::sandbox::executor_main();
    }
    kernelsight::cli::main()
}
