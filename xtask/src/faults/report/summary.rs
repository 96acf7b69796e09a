//! The tables that one looks at first: what failed, the rates beside their goals, every fault in a line.

use maud::{Markup, html};

use crate::{
    faults::{
        rates::{Rate, Rates},
        rounds::{Course, Run},
        tally::Spread,
    },
    page,
};

const NOT_ASKED: &str = "not asked";

/// Each fault that failed with its reasons; a reason that several rounds have is said once.
pub(super) fn failures(run: &Run) -> Markup {
    let failed = |course: &&Course| course.rounds.iter().any(|round| !round.score.passed);
    let failed: Vec<&Course> = run.courses.iter().filter(failed).collect();
    html! {
        section {
            h2 id="failed" { "What failed" }
            @if failed.is_empty() { p { "Nothing" @if run.passed_and_failed() == (0, 0) { "; nothing was run yet" } "." } }
            @for course in failed {
                h3 { a href=(format!("#{}", course.fault.name)) { (course.fault.name) } " " small { (in_rounds(course)) } }
                @if let Some(why) = &course.fault.open { p { "Open: " (why) } }
                ul class="reasons" { @for (reason, rounds) in reasons(course) {
                    li { (reason) @if course.rounds.len() > 1 { " " small { "(round " (rounds) ")" } } }
                } }
            }
        }
    }
}

fn in_rounds(course: &Course) -> String {
    let failed = course.rounds.iter().filter(|round| !round.score.passed).count();
    match course.rounds.len() {
        1 => course.kind().to_owned(),
        rounds => format!("{}, in {failed} of {rounds} rounds", course.kind()),
    }
}

/// Each reason once, with the rounds that have it.
fn reasons(course: &Course) -> Vec<(&str, String)> {
    let mut reasons: Vec<(&str, String)> = Vec::new();
    for (number, round) in course.rounds.iter().enumerate() {
        for reason in &round.score.reasons {
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, rounds)) => rounds.push_str(&format!(", {}", number + 1)),
                None => reasons.push((reason, (number + 1).to_string())),
            }
        }
    }
    reasons
}

pub(super) fn rates(rates: &Rates) -> Markup {
    html! {
        section {
            h2 { "How often" }
            div class="scroll" { table {
                caption { "Over all rounds of faults; those of controls in the last line" }
                thead { tr {
                    th scope="col" { "" } th scope="col" { "rounds" } th scope="col" { "rate" }
                    th scope="col" { "95 % confidence" } th scope="col" { "goal" } th scope="col" { "" }
                } }
                tbody {
                    @for rate in &rates.faults { (rate_row(rate)) }
                    tr {
                        th scope="row" { "controls acted on" }
                        td class="number" { (rates.controls_acted_on) " of " (rates.control_rounds) }
                        td {} td {} td class="number" { "none" }
                        (page::met((rates.control_rounds > 0).then_some(rates.controls_acted_on == 0), NOT_ASKED))
                    }
                }
            } }
            @if rates.controls_failed > rates.controls_acted_on {
                p { (rates.controls_failed) " of " (rates.control_rounds) " rounds of controls failed, acted on or not." }
            }
        }
    }
}

fn rate_row(rate: &Rate) -> Markup {
    html! {
        tr {
            th scope="row" { (rate.what) }
            td class="number" { (rate.yes) " of " (rate.asked) }
            td class="number" { @if let Some(percent) = rate.percent { (format!("{percent:.1} %")) } @else { "–" } }
            td class="number" {
                @if let Some((low, high)) = rate.between_percent { (format!("{low:.0}–{high:.0} %")) } @else { "–" }
            }
            td class="number" { (rate.goal_percent) " %" }
            (page::met(rate.met, NOT_ASKED))
        }
    }
}

/// Every fault in a line; seconds are medians, with the least and the most.
pub(super) fn faults(run: &Run) -> Markup {
    html! {
        section {
            h2 { "Each fault" }
            div class="scroll" { table {
                caption { "Seconds from the onset" @if run.planned > 1 { ": the median, and the least and the most of all rounds" } }
                thead { tr {
                    th scope="col" { "fault" } th scope="col" { "pass@1" } th scope="col" { "pass^" (run.planned) }
                    th scope="col" { "detect" } th scope="col" { "decide" } th scope="col" { "act" } th scope="col" { "relief" }
                    th scope="col" { "done" }
                } }
                tbody { @for course in &run.courses { (fault_row(run, course)) } }
            } }
        }
    }
}

fn fault_row(run: &Run, course: &Course) -> Markup {
    let tally = run.tally(course);
    let seconds = |spread: Option<Spread>| spread.map_or("–".to_owned(), |spread| spread.words());
    let mut done: Vec<&str> = course.rounds.iter().map(|round| round.score.done.as_str()).collect();
    done.dedup();
    html! {
        tr {
            th scope="row" {
                a href=(format!("#{}", course.fault.name)) { (course.fault.name) }
                @if course.fault.control.is_some() { " " small { "control" } }
                @if course.fault.open.is_some() { " " small { "open" } }
            }
            td class="number" { (tally.passed) " of " (tally.rounds) }
            @match tally.pass_every_round {
                Some(true) => { td class="passed" { "yes" } }
                Some(false) => { td class="failed" { "NO" } }
                None => { td class="faint" { "not over" } }
            }
            @for spread in [tally.detect, tally.decide, tally.act, tally.relief] { td class="number" { (seconds(spread)) } }
            td { (done.join("; ")) }
        }
    }
}
