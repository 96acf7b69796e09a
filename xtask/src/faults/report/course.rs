//! One fault: what it is, what was expected of the agent, how its rounds went.

use maud::{Markup, html};

use super::{expected::expected, round};
use crate::faults::{
    rounds::{Course, Run},
    tally::Tally,
};

pub(super) fn course(run: &Run, course: &Course) -> Markup {
    let fault = &course.fault;
    html! {
        section class="course" id=(fault.name) {
            h3 { (fault.name) " " small { (course.kind()) } }
            p { (fault.about) }
            @if let Some(why) = &fault.open { p { b { "Open: " } "it is known that the agent does not pass it yet: " (why) } }
            dl {
                @for (name, words) in expected(fault) { dt { (name) } dd { (words) } }
                dt { "under" }
                dd {
                    "the load " code { (fault.load.name) }
                    @if let Some(victim) = &fault.victim { ", beside it " code { (victim.name) } }
                    @if let Some(guest) = fault.guest { ", in " (guest.words()) }
                    "; autonomy " (fault.autonomy) "; watched for at most " (fault.bound_s) " s after " (fault.warm_up_s) " s of warm-up"
                }
                dt { "again" } dd { code { "cargo xtask faults --only " (fault.name) } }
            }
            @if run.planned > 1 { (over_rounds(&run.tally(course), run.planned)) }
            @for number in 0..course.rounds.len() { (round::round(course, number, is_unfolded(course, number))) }
            @if course.rounds.is_empty() { p { "It was not run yet." } }
        }
    }
}

/// The first round, and those that failed.
fn is_unfolded(course: &Course, number: usize) -> bool {
    number == 0 || !course.rounds[number].score.passed
}

fn over_rounds(tally: &Tally, planned: usize) -> Markup {
    let every = match tally.pass_every_round {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known before the last round",
    };
    html! {
        p {
            b { "pass@1: " } (format!("{:.0} %", 100.0 * tally.pass_at_1)) " (" (tally.passed) " of " (tally.rounds) " rounds); "
            b { "pass^" (planned) ": " } (every)
        }
    }
}
