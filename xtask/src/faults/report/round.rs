//! One round of a fault: its verdicts, its times, why it failed, its timeline, and the same in words.

use maud::{Markup, html};

use super::timeline;
use crate::{
    faults::{
        rounds::{Course, Round},
        score::{Mark, Score},
    },
    page::short,
};

/// Folded up where others of the same fault tell more.
pub(super) fn round(course: &Course, number: usize, unfolded: bool) -> Markup {
    let round = &course.rounds[number];
    let verdict = if round.score.passed { "passed" } else { "failed" };
    html! {
        details class="round" open[unfolded] {
            summary { "Round " (number + 1) ": " strong class=(verdict) { (verdict) } }
            @if !round.score.reasons.is_empty() { ul class="reasons" { @for reason in &round.score.reasons { li { (reason) } } } }
            (verdicts(&round.score))
            @if let Some(percent) = round.score.cpu_wait_before_percent {
                p { b { "Before: " } "some task waited for a CPU for " (format!("{percent:.0}")) " % of the ten seconds before the onset" }
            }
            p { b { "Done: " } (round.score.done) }
            @if !round.score.actions.is_empty() { ul class="actions" { @for action in &round.score.actions { li { (action) } } } }
            figure { div class="scroll" { (timeline::timeline(&round.story, &in_a_sentence(course, number))) } }
            (in_words(round))
            p class="faint" { "What the agent and the load said: " code { (round.evidence.display()) } }
        }
    }
}

/// The marks and the times of a round.
fn verdicts(score: &Score) -> Markup {
    html! {
        table class="marks" {
            thead { tr {
                @for (name, _) in score.marks() { th scope="col" { (name) } }
                @for (name, _) in score.times.named() { th scope="col" { (name) ", s" } }
            } }
            tbody { tr {
                @for (_, mark) in score.marks() { (marked(mark)) }
                @for (_, at_s) in score.times.named() {
                    td class="number" { @if let Some(at_s) = at_s { (format!("{at_s:.1}")) } @else { "–" } }
                }
            } }
        }
    }
}

fn marked(mark: Mark) -> Markup {
    match mark {
        Mark::Yes => html! { td class="passed" { "yes" } },
        Mark::No => html! { td class="failed" { "NO" } },
        Mark::None => html! { td class="faint" { "not asked" } },
    }
}

/// What the picture shows, for who cannot see it.
fn in_a_sentence(course: &Course, number: usize) -> String {
    let story = &course.rounds[number].story;
    format!(
        "Timeline of {} in round {}, {:.0} seconds: {} signals, {} incidents, {} decisions, actions and verdicts, and {} over time. \
         The table after it has all of it in words.",
        course.fault.name,
        number + 1,
        story.until_s,
        story.signals.len(),
        story.incidents.len(),
        story.moments.len(),
        if story.curve.measure.is_empty() { "no measure" } else { &story.curve.measure },
    )
}

fn in_words(round: &Round) -> Markup {
    let (lines, curve) = (round.story.lines(), &round.story.curve);
    html! {
        details {
            summary { "In words: " (lines.len()) " lines, and " (curve.points.len()) " values" }
            div class="scroll" {
                table class="words" {
                    caption { "What came, in seconds from the onset" }
                    thead { tr { th scope="col" { "s" } th scope="col" { "what" } th scope="col" { "in words" } } }
                    tbody { @for (at_s, what, text) in &lines {
                        tr { td class="number" { (format!("{at_s:.1}")) } td { (what) } td class="text" { (text) } }
                    } }
                }
            }
            @if !curve.points.is_empty() {
                p { b { (curve.measure) " by second: " } (values(&curve.points)) }
            }
        }
    }
}

fn values(points: &[(f64, Option<f64>)]) -> String {
    let value = |(at_s, value): &(f64, Option<f64>)| {
        let value = value.map_or("unknown".to_owned(), short);
        format!("{at_s:.0} s {value}")
    };
    points.iter().map(value).collect::<Vec<_>>().join(", ")
}
