//! What one looks at first: what is missed, what was not taken, and all goals in a table.

use maud::{Markup, html};

use crate::{
    figure::{Figure, Spread, Standing, Taken},
    page::{self, short},
};

pub(super) fn missed(taken: &Taken) -> Markup {
    let missed = of(taken, Standing::Missed);
    html! {
        section {
            h2 { "What is missed" }
            @if missed.is_empty() { p { "Nothing." } }
            ul class="reasons" { @for (at, figure) in missed { li {
                (link(figure, at)) ": " (value(figure)) ", wanted " (wanted(figure))
                @if !figure.note.is_empty() { "; " (figure.note) }
            } } }
        }
    }
}

pub(super) fn not_taken(taken: &Taken) -> Markup {
    let not_taken = of(taken, Standing::NotTaken);
    html! {
        @if !not_taken.is_empty() { section {
            h2 { "What was not taken" }
            ul { @for (at, figure) in not_taken { li { (link(figure, at)) ": " (figure.note) } } }
        } }
    }
}

pub(super) fn all(taken: &Taken) -> Markup {
    html! {
        section {
            h2 { "All goals" }
            div class="scroll" { table {
                thead { tr {
                    th scope="col" { "goal" } th scope="col" { "what" } th scope="col" { "figure" }
                    th scope="col" { "least–most" } th scope="col" { "wanted" } th scope="col" { "" }
                    th scope="col" { "ours and what it is compared with" }
                } }
                tbody { @for (at, figure) in taken.figures.iter().enumerate() { (row(figure, at)) } }
            } }
        }
    }
}

fn row(figure: &Figure, at: usize) -> Markup {
    let spread = Spread::of(&figure.rounds).filter(|spread| spread.rounds > 1);
    html! {
        tr {
            td { (figure.id) }
            th scope="row" { a href=(format!("#figure-{at}")) { (figure.what) } }
            td class="number" { (value(figure)) }
            td class="number" { @if let Some(spread) = spread { (spread.range()) } @else { "–" } }
            td class="number" { (wanted(figure)) }
            (page::met(met(figure), "not taken"))
            td { @for side in &figure.sides { div { (side.words()) } } }
        }
    }
}

/// How long each measurement took, and how busy the node was before it.
pub(super) fn courses(taken: &Taken) -> Markup {
    html! {
        section {
            h2 { "The measurements" }
            div class="scroll" { table {
                thead { tr {
                    th scope="col" { "" } th scope="col" { "of" } th scope="col" { "took, s" }
                    th scope="col" { "some task waited for a CPU before, of ten seconds" }
                } }
                tbody { @for course in &taken.courses { tr {
                    th scope="row" { (course.name) }
                    td { (course.about) }
                    td class="number" { (format!("{:.0}", course.seconds)) }
                    td class="number" {
                        @match course.cpu_wait_before_percent {
                            Some(percent) => { (format!("{percent:.0} %")) }
                            None => { "not known" }
                        }
                    }
                } } }
            } }
        }
    }
}

/// None where it was not taken.
pub(super) fn met(figure: &Figure) -> Option<bool> {
    match figure.standing() {
        Standing::Met => Some(true),
        Standing::Missed => Some(false),
        Standing::NotTaken => None,
    }
}

pub(super) fn value(figure: &Figure) -> String {
    figure.figure.map_or_else(|| "–".to_owned(), |value| format!("{} {}", short(value), figure.unit))
}

pub(super) fn wanted(figure: &Figure) -> String {
    format!("{} {}", figure.goal, figure.unit)
}

fn of(taken: &Taken, standing: Standing) -> Vec<(usize, &Figure)> {
    taken.figures.iter().enumerate().filter(|(_, figure)| figure.standing() == standing).collect()
}

fn link(figure: &Figure, at: usize) -> Markup {
    html! { a href=(format!("#figure-{at}")) { (figure.id) " " (figure.what) } }
}
