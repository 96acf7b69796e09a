//! One figure: its numbers, its rounds as pictures, and the same in numbers.

use maud::{Markup, html};

use super::{
    plot::{self, Line},
    summary::{met, value, wanted},
};
use crate::{
    figure::{Figure, Side, Spread},
    page::{self, short},
};

pub(super) fn figure(figure: &Figure, at: usize) -> Markup {
    html! {
        section class="course" id=(format!("figure-{at}")) {
            h3 { (figure.id) " " (figure.what) }
            table {
                thead { tr {
                    th scope="col" { "figure" } th scope="col" { "wanted" } th scope="col" { "" }
                } }
                tbody { tr {
                    td class="number" { (value(figure)) }
                    td class="number" { (wanted(figure)) }
                    (page::met(met(figure), "not taken"))
                } }
            }
            @if !figure.note.is_empty() { p { (figure.note) } }
            (pictures(figure))
            (numbers(figure))
        }
    }
}

/// The figure's own rounds with the goal, and beside them what they were made of, one picture a unit.
fn pictures(figure: &Figure) -> Markup {
    let own = [Line { name: "the figure", rounds: &figure.rounds }];
    let mut units: Vec<&str> = figure.sides.iter().map(|side| side.unit).collect();
    units.dedup();
    html! {
        div class="panels" {
            @if figure.rounds.len() > 1 { (plot::panel(figure.unit, &own, Some(figure.goal))) }
            @for unit in units {
                @let lines = figure.sides.iter().filter(|side| side.unit == unit && !side.rounds.is_empty()).map(line).collect::<Vec<_>>();
                @if !lines.is_empty() { (plot::panel(unit, &lines, None)) }
            }
        }
    }
}

fn line(side: &Side) -> Line<'_> {
    Line { name: &side.name, rounds: &side.rounds }
}

fn numbers(figure: &Figure) -> Markup {
    let own = Side { name: "the figure".to_owned(), unit: figure.unit, rounds: figure.rounds.clone() };
    let sides: Vec<&Side> = [&own].into_iter().chain(&figure.sides).filter(|side| !side.rounds.is_empty()).collect();
    html! {
        @if !sides.is_empty() {
            details {
                summary { "Rounds in numbers" }
                div class="scroll" { table {
                    thead { tr {
                        th scope="col" { "" } th scope="col" { "unit" }
                        @for name in ["median", "least", "lower quartile", "upper quartile", "most", "rounds"] {
                            th scope="col" { (name) }
                        }
                        th scope="col" { "in order" }
                    } }
                    tbody { @for side in sides { (in_numbers(side)) } }
                } }
            }
        }
    }
}

fn in_numbers(side: &Side) -> Markup {
    let each = side.rounds.iter().map(|value| short(*value)).collect::<Vec<_>>().join(", ");
    let spread = Spread::of(&side.rounds)
        .map(|spread| [spread.median, spread.least, spread.lower_quartile, spread.upper_quartile, spread.most]);
    html! {
        tr {
            th scope="row" { (side.name) }
            td { (side.unit) }
            @for value in spread.unwrap_or([f64::NAN; 5]) { td class="number" { (short(value)) } }
            td class="number" { (side.rounds.len()) }
            td class="text" { (each) }
        }
    }
}
