//! Long forms that are tests of the agent's own binary, for they reach into its rooms: run by name, their line of figures
//! read.

use std::{fs, process::Stdio, thread, time::Duration};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Figure, Goal};
use crate::{place, say::Step};

#[derive(Deserialize)]
struct Bytes {
    bytes: u64,
    tried: u64,
    set_aside: u64,
    stopped: u64,
    slowest_ms: f64,
}

#[derive(Deserialize)]
struct Flood {
    produced: u64,
    told: u64,
    lost: u64,
    urgent: u64,
    urgent_p99_ms: f64,
    rss_growth_mb: f64,
}

pub(super) fn bytes() -> Result<Vec<Figure>> {
    let answer: Bytes = run("failure_bytes::no_byte_of_all_stops_the_start_when_it_is_flipped", "every byte")?;
    let how = format!(
        "{} bytes, the header's three ways: {} starts, {} set the database aside",
        answer.bytes, answer.tried, answer.set_aside
    );
    let figure = |what: &str, figure, most, unit, note: String| {
        Figure::once("proof", what, Goal::AtMost(most), unit, figure).noting(note)
    };
    Ok(vec![
        figure("starts that a flipped byte stopped", answer.stopped as f64, 0.0, "", how),
        figure("the slowest start on a flipped byte", answer.slowest_ms, 2000.0, "ms", String::new()),
    ])
}

pub(super) fn flood() -> Result<Vec<Figure>> {
    let answer: Flood =
        run("failure_ring::of_a_flood_of_a_minute_every_record_is_told_or_counted", "a minute of flood")?;
    let figure =
        |what: &str, figure, goal, unit, note: String| Figure::once("proof", what, goal, unit, figure).noting(note);
    let unaccounted = answer.produced.abs_diff(answer.told + answer.lost);
    let counts = format!("{} produced = {} told + {} counted", answer.produced, answer.told, answer.lost);
    Ok(vec![
        figure("records neither told nor counted", unaccounted as f64, Goal::AtMost(0.0), "", counts),
        figure(
            "what is produced, over what is taken",
            answer.produced as f64 / answer.told.max(1) as f64,
            Goal::AtLeast(10.0),
            "x",
            String::new(),
        ),
        figure(
            "urgent records, kernel to agent, p99",
            answer.urgent_p99_ms,
            Goal::AtMost(50.0),
            "ms",
            format!("{} steps of a leak meanwhile", answer.urgent),
        ),
        figure("memory of who takes them, growth", answer.rss_growth_mb, Goal::AtMost(16.0), "MB", String::new()),
    ])
}

/// Runs that test and reads the figures that it prints, which it does whatever it thinks of them.
fn run<T: DeserializeOwned>(name: &str, what: &str) -> Result<T> {
    let mut step = Step::begin(what);
    let path = place::target()?.join("bench/failure.out");
    let output = fs::File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    let arguments =
        ["test", "--release", "--package", "kernelsight", "--", "--ignored", "--exact", "--nocapture", name];
    let mut test = place::cargo(&arguments);
    let mut child = test.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
    while child.try_wait()?.is_none() {
        if let Some(far) = how_far(&String::from_utf8_lossy(&fs::read(&path)?)) {
            step.relabel(format!("{what}: {far}"));
        }
        step.tick();
        thread::sleep(Duration::from_millis(100));
    }
    let said = fs::read_to_string(&path)?;
    let Some(figures) = said.lines().find_map(|line| serde_json::from_str(line.trim_start_matches("test ")).ok())
    else {
        step.failed(what);
        bail!("the test {name} gave no figures; what it said is in {}", path.display());
    };
    step.done(what);
    Ok(figures)
}

/// How far a test says it is, in the last line that does.
fn how_far(said: &str) -> Option<&str> {
    said.lines().rev().find_map(|line| line.split_once("→ ")).map(|(_, far)| far)
}

#[cfg(test)]
mod tests {
    use super::how_far;

    #[test]
    fn of_what_a_test_says_the_last_line_that_tells_how_far_it_is_counts() {
        let said = "running 1 test\ntest every_byte ... → 0 of 9 bytes\n→ 3 of 9 bytes\nsomething else\n";
        assert_eq!(how_far(said), Some("3 of 9 bytes"));
        assert_eq!(how_far("running 1 test\n"), None);
    }
}
