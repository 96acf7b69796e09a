//! `kernelsight`: the verbs of [`kernelsight::cli`], and no more.

use std::process::ExitCode;

fn main() -> ExitCode {
    kernelsight::cli::main()
}
