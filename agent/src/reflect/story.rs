//! A trace as an auditor reads it: Markdown, top to bottom, every number with its unit.

use std::fmt::Write;

use jiff::Timestamp;

use super::{Phase, Trace};

/// The whole story of one pass of the loop.
#[must_use]
pub fn story(trace: &Trace) -> String {
    let mut text = String::new();
    let _cannot_fail = write_story(&mut text, trace);
    text
}

fn write_story(out: &mut String, trace: &Trace) -> std::fmt::Result {
    writeln!(out, "# Trace {} of incident {}", trace.trace_id, trace.incident)?;
    writeln!(out, "\n{}, autonomy {}", time(trace.timestamp), trace.autonomy)?;
    writeln!(out, "\n| | |\n|---|---|")?;
    let accuracy = trace.accuracy.map(|accuracy| format!("{:.0} %", accuracy * 100.0));
    let held = trace.prediction_accurate.map(|accurate| if accurate { "within tolerance" } else { "out of tolerance" });
    let prediction = accuracy.zip(held).map(|(accuracy, held)| format!("{accuracy}, {held}"));
    let confidence = format!("{:.2}", trace.confidence);
    let rows = [
        ("observation", Some(&trace.observation)),
        ("hypothesis", Some(&trace.hypothesis)),
        ("evidence", Some(&trace.evidence)),
        ("predicted outcome", Some(&trace.predicted_outcome)),
        ("recommended action", Some(&trace.recommended_action)),
        ("confidence", Some(&confidence)),
        ("actual outcome", trace.actual_outcome.as_ref()),
        ("accuracy of the prediction", prediction.as_ref()),
        ("lesson", trace.lessons_learned.as_ref()),
    ];
    for (name, value) in rows {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            writeln!(out, "| {name} | {} |", in_cell(value))?;
        }
    }
    writeln!(out, "\n## Steps\n")?;
    for (number, step) in trace.steps.iter().enumerate() {
        let after_s = (step.at_ms - trace.timestamp) as f64 / 1e3;
        writeln!(out, "{}. **{}** (+{after_s:.1} s) {}", number + 1, name(step.phase), in_line(&step.text))?;
    }
    write_forecast(out, trace)?;
    write_hypotheses(out, trace)?;
    if let Some(closed_ms) = trace.closed_ms {
        writeln!(out, "\nClosed {}.", time(closed_ms))?;
    }
    Ok(())
}

fn write_forecast(out: &mut String, trace: &Trace) -> std::fmt::Result {
    let Some(forecast) = trace.forecast.as_ref().filter(|forecast| !forecast.effects.is_empty()) else { return Ok(()) };
    writeln!(out, "\n## What each action would change\n")?;
    for effect in &forecast.effects {
        let verdict = if effect.suffices { "suffices" } else { "does not suffice" };
        writeln!(
            out,
            "- `{}` {verdict}: {}. Cost: {}.",
            in_line(&effect.actions.to_string()),
            in_line(&effect.formula),
            effect.cost
        )?;
    }
    Ok(())
}

fn write_hypotheses(out: &mut String, trace: &Trace) -> std::fmt::Result {
    let Some(proposal) = &trace.proposal else { return Ok(()) };
    if proposal.hypotheses.len() > 1 {
        writeln!(out, "\n## Other hypotheses\n")?;
        for other in proposal.hypotheses.iter().skip(1) {
            writeln!(out, "- {} ({:.2}): {}", other.failure_mode.name(), other.confidence, in_line(&other.statement))?;
        }
    }
    Ok(())
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Observe => "observe",
        Phase::Explain => "explain",
        Phase::Simulate => "simulate",
        Phase::Decide => "decide",
        Phase::Execute => "execute",
        Phase::Verify => "verify",
        Phase::Reflect => "reflect",
    }
}

fn time(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).map_or_else(|_| format!("{unix_ms} ms"), |time| time.to_string())
}

/// Names that strangers chose cannot break a line.
pub(crate) fn in_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Nor a table.
fn in_cell(text: &str) -> String {
    in_line(text).replace('|', "\\|")
}
