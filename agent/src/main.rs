use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|role| role == "executor") {
        return kernelsight::execute::sandbox::executor_main();
    }
    ExitCode::SUCCESS
}
