//! What is shown: one line a step with its mark and time, and signs of life while a step lasts.

use std::{
    fs::{self, File, OpenOptions},
    io::{IsTerminal as _, Write as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// When piped, a long step says that it lives this often.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Lines of a failed step's output that are shown.
const TAIL_LINES: usize = 25;

/// A step that lasts: a spinner on a terminal, a line every 20 s otherwise.
#[derive(Debug)]
pub(crate) struct Step {
    label: String,
    begun: Instant,
    said: Instant,
    terminal: bool,
    /// Of another thread than the first: it would be drawn into the steps of that one, so only its end is told.
    is_beside: bool,
    frame: usize,
}

impl Step {
    pub(crate) fn begin(label: impl Into<String>) -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        let is_beside = thread::current().name() != Some("main");
        let mut step = Self { label: label.into(), begun: now, said: now, terminal, is_beside, frame: 0 };
        if terminal && !is_beside {
            step.draw();
        }
        step
    }

    /// To be called every 100 ms or so while the step lasts.
    pub(crate) fn tick(&mut self) {
        if self.is_beside {
            return;
        }
        if self.terminal {
            self.draw();
        } else if self.said.elapsed() >= HEARTBEAT {
            self.said = Instant::now();
            lines([format!("→ {} … {:.0} s", self.label, self.begun.elapsed().as_secs_f64())]);
        }
    }

    /// What it is about from now on.
    pub(crate) fn relabel(&mut self, label: String) {
        self.label = label;
    }

    pub(crate) fn done(self, outcome: &str) {
        let label = if outcome.is_empty() { self.label.clone() } else { outcome.to_owned() };
        self.finish(GOOD, "✓", &label);
    }

    pub(crate) fn failed(self, outcome: &str) {
        let label = if outcome.is_empty() { self.label.clone() } else { outcome.to_owned() };
        self.finish(BAD, "✗", &label);
    }

    fn draw(&mut self) {
        self.frame = (self.frame + 1) % FRAMES.len();
        let seconds = self.begun.elapsed().as_secs();
        let mut err = anstream::stderr().lock();
        let drawn = write!(err, "\r\x1b[K{} {} {FAINT}{seconds} s{FAINT:#}", FRAMES[self.frame], self.label);
        // A terminal that went away is no reason to stop the work.
        let _ = drawn.and_then(|()| err.flush());
    }

    fn finish(self, style: Style, mark: &str, label: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        lines([format!("{style}{mark}{style:#} {label} {FAINT}{seconds:.1} s{FAINT:#}")]);
    }
}

/// Runs a command as a step: its output goes to `log`, and the end of it is shown when it fails.
pub(crate) fn logged(label: &str, command: &mut Command, log: &Path) -> Result<()> {
    let step = Step::begin(label);
    match quiet(step, command, log)? {
        (step, status) if status.success() => {
            step.done("");
            Ok(())
        }
        (step, status) => {
            step.failed("");
            show_tail(log)?;
            bail!("{label} failed ({status}); all of it is in {}", log.display())
        }
    }
}

/// Runs a command with its output appended to `log`, ticking `step` until it ends.
pub(crate) fn quiet(mut step: Step, command: &mut Command, log: &Path) -> Result<(Step, ExitStatus)> {
    let mut file = append(log)?;
    writeln!(file, "\n$ {}", line_of(command))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("`{}` cannot be started", command.get_program().to_string_lossy()))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((step, status));
        }
        step.tick();
        thread::sleep(Duration::from_millis(100));
    }
}

/// The command as one would type it, for logs and for doing it by hand.
pub(crate) fn line_of(command: &Command) -> String {
    let environment = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)))
        .filter(|(name, _)| *name != "PATH")
        .map(|(name, value)| format!("{name}={value}"));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    environment.chain(words.map(|word| word.to_string_lossy().into_owned())).collect::<Vec<_>>().join(" ")
}

/// The last lines of a log, on standard error.
pub(crate) fn show_tail(log: &Path) -> Result<()> {
    let text = fs::read(log).with_context(|| format!("{} cannot be read", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    quote(&lines[lines.len().saturating_sub(TAIL_LINES)..]);
    Ok(())
}

/// What another program said, on standard error.
pub(crate) fn quote(said: &[&str]) {
    lines(said.iter().map(|line| format!("  {FAINT}│{FAINT:#} {line}")));
}

pub(crate) fn note(text: &str) {
    lines([format!("{FAINT}→{FAINT:#} {text}")]);
}

pub(crate) fn error(error: &anyhow::Error) {
    lines([format!("{BAD}error:{BAD:#} {error:#}")]);
}

/// Whole lines, together: another thread's step may be drawn on the last one just now, and gives way.
fn lines(said: impl IntoIterator<Item = String>) {
    let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    let mut err = anstream::stderr().lock();
    for line in said {
        // A terminal that went away is no reason to stop the work.
        let _ = writeln!(err, "{clear}{line}");
    }
}

/// The beginning of a text, with an ellipsis where it is longer.
pub(crate) fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

fn append(log: &Path) -> Result<File> {
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("{} cannot be written", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_by_letters_and_not_by_bytes() {
        assert_eq!(shortened("größer", 4), "grö…");
        assert_eq!(shortened("größer", 6), "größer");
    }
}
