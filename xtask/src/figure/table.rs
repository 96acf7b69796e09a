//! Figures for eyes and for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::{Figure, Side, Spread, Standing, Taken, Words};
use crate::{page::short, say};

/// All that was taken, as one object.
pub(crate) fn json(taken: &Taken) -> Value {
    let figures: Vec<Value> = taken.figures.iter().map(Figure::json).collect();
    json!({
        "missed": taken.count(Standing::Missed), "not_taken": taken.count(Standing::NotTaken),
        "met": taken.count(Standing::Met), "broken": taken.broken().collect::<Vec<_>>(), "figures": figures,
        "measurements": taken.courses,
    })
}

pub(crate) fn print(taken: &Taken, words: &Words) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "goal", "figure", "wanted", "least–most", "what", "how"]);
    for figure in &taken.figures {
        table.add_row(row(figure, words));
    }
    println!("{table}");
    for why in taken.broken() {
        say::note(&format!("broken: {why}"));
    }
    let not_taken = match taken.count(Standing::NotTaken) {
        0 => String::new(),
        count => format!(", {count} not taken"),
    };
    let (met, missed) = (taken.count(Standing::Met), taken.count(Standing::Missed));
    println!("{met} goals {}, {missed} {}{not_taken}", words.met, words.missed);
}

fn row(figure: &Figure, words: &Words) -> [String; 7] {
    let standing = match figure.standing() {
        Standing::Met => words.met,
        Standing::Missed => words.missed,
        Standing::NotTaken => "not taken",
    };
    let sides = figure.sides.iter().map(Side::words);
    let how: Vec<String> = sides.chain([figure.note.clone()]).filter(|words| !words.is_empty()).collect();
    [
        standing.to_owned(),
        figure.id.to_owned(),
        figure.figure.map_or_else(|| "–".to_owned(), |value| in_unit(short(value), figure.unit)),
        in_unit(figure.goal.to_string(), figure.unit),
        Spread::of(&figure.rounds).filter(|spread| spread.rounds > 1).map_or_else(String::new, |spread| spread.range()),
        figure.what.clone(),
        how.join("; "),
    ]
}

fn in_unit(value: String, unit: &str) -> String {
    if unit.is_empty() { value } else { format!("{value} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Goal;

    const WORDS: Words = Words { one: "measurement", met: "met", missed: "MISSED" };

    #[test]
    fn a_row_tells_the_spread_and_what_it_is_compared_with() {
        let figure = Figure::median("P1", "a call", Goal::AtMost(1.1), "x", vec![1.0, 1.02, 1.5])
            .beside("ours", "ns", vec![214.0, 210.0, 221.0])
            .noting("in turns");
        assert_eq!(
            row(&figure, &WORDS),
            ["met", "P1", "1.02 x", "at most 1.1 x", "1–1.5", "a call", "ours 214 ns (210–221); in turns"]
        );
    }

    #[test]
    fn a_row_of_a_figure_that_was_not_taken_says_why() {
        let figure = Figure::not_taken("P10", "the loop", Goal::AtMost(250.0), "ms", "no model yet");
        assert_eq!(row(&figure, &WORDS), ["not taken", "P10", "–", "at most 250 ms", "", "the loop", "no model yet"]);
    }

    #[test]
    fn the_object_counts_what_stands_how() {
        let mut taken = Taken::default();
        taken.add(vec![Figure::once("P1", "x", Goal::AtMost(1.0), "x", 2.0)]);
        let json = json(&taken);
        assert_eq!(
            (json["missed"].as_u64(), json["met"].as_u64(), json["not_taken"].as_u64()),
            (Some(1), Some(0), Some(0))
        );
        assert_eq!(json["figures"][0]["id"], "P1");
    }
}
