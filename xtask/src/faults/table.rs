//! What a run came to, for a terminal of 120 columns.

use comfy_table::{ContentArrangement, Table, presets};

use super::{
    rates::{Rate, Rates},
    rounds::{Course, Run},
    score::{Mark, Score},
    tally::Spread,
};
use crate::say;

/// Letters of what was done that have room; all of it is in the report.
const DONE_LETTERS: usize = 25;

pub(super) fn print(run: &Run) {
    println!("{}", if run.planned > 1 { of_rounds(run) } else { of_one_round(run) });
    for course in &run.courses {
        for (number, round) in course.rounds.iter().enumerate().filter(|(_, round)| !round.score.passed) {
            let which = if run.planned > 1 { format!(" in round {}", number + 1) } else { String::new() };
            println!("{} failed{which}:", course.fault.name);
            round.score.reasons.iter().for_each(|reason| println!("  {reason}"));
        }
    }
    print!("{}", goals(&run.rates()));
    if let Some(unrest) = run.unrest() {
        println!("busy node: {unrest}");
    }
    let (passed, failed) = run.passed_and_failed();
    if run.planned > 1 {
        let every = run.courses.iter().filter(|course| run.tally(course).pass_every_round == Some(true)).count();
        println!(
            "faults: {every} of {} passed every round; {passed} rounds passed, {failed} failed",
            run.courses.len()
        );
    } else {
        println!("faults: {passed} passed, {failed} failed");
    }
}

fn of_one_round(run: &Run) -> Table {
    let mut table = empty();
    table.set_header([
        "fault",
        "",
        "detect",
        "decide",
        "relief",
        "blamed",
        "explained",
        "resolved",
        "undone",
        "what was done",
    ]);
    for score in run.scores() {
        let seconds = |at_s: Option<f64>| at_s.map_or("-".to_owned(), |at_s| format!("{at_s:.1} s"));
        let detect = match (score.detected, score.times.detect_s) {
            (Mark::No, Some(at_s)) => format!("{at_s:.1} s LATE"),
            (mark, None) => shown(mark).to_owned(),
            (_, at_s) => seconds(at_s),
        };
        table.add_row([
            score.name.clone(),
            if score.passed { "pass" } else { "FAIL" }.to_owned(),
            detect,
            seconds(score.times.decide_s),
            seconds(score.times.relief_s),
            shown(score.blamed).to_owned(),
            shown(score.explained).to_owned(),
            shown(score.resolved).to_owned(),
            shown(score.undone).to_owned(),
            say::shortened(&score.done, DONE_LETTERS),
        ]);
    }
    table
}

/// Seconds are medians, with the least and the most.
fn of_rounds(run: &Run) -> Table {
    let mut table = empty();
    let every = format!("pass^{}", run.planned);
    table.set_header(["fault", "pass@1", &every, "detect, s", "decide, s", "relief, s", "not met"]);
    for course in &run.courses {
        let tally = run.tally(course);
        let seconds = |spread: Option<Spread>| spread.map_or("-".to_owned(), |spread| spread.words());
        table.add_row([
            course.fault.name.clone(),
            format!("{}/{}", tally.passed, tally.rounds),
            match tally.pass_every_round {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "-",
            }
            .to_owned(),
            seconds(tally.detect),
            seconds(tally.decide),
            seconds(tally.relief),
            not_met(course),
        ]);
    }
    table
}

/// The marks that were missed, each with how often; `-` for none.
fn not_met(course: &Course) -> String {
    let missed = |at: usize| {
        let marks: Vec<(&str, Mark)> = course.rounds.iter().map(|round| round.score.marks()[at]).collect();
        let times = marks.iter().filter(|(_, mark)| *mark == Mark::No).count();
        // Of a control nothing is to be resolved: it is left in peace, or not.
        let name = match marks.first()?.0 {
            "resolved" if course.fault.control.is_some() => "quiet",
            name => name,
        };
        (times > 0).then(|| format!("{name} ×{times}"))
    };
    let missed: Vec<String> = (0..Score::MARKS).filter_map(missed).collect();
    if missed.is_empty() { "-".to_owned() } else { missed.join(", ") }
}

/// The rates beside their goals, in lines.
fn goals(rates: &Rates) -> String {
    let missed = |missed: bool| if missed { " MISSED" } else { "" };
    let asked: Vec<&Rate> = rates.faults.iter().filter(|rate| rate.asked > 0).collect();
    let mut lines = String::new();
    if !asked.is_empty() {
        let rate =
            |rate: &&Rate| format!("{} {}/{}{}", rate.what, rate.yes, rate.asked, missed(rate.met == Some(false)));
        let rates = asked.iter().map(rate).collect::<Vec<_>>().join(", ");
        let goals = asked.iter().map(|rate| rate.goal_percent.to_string()).collect::<Vec<_>>().join(", ");
        lines.push_str(&format!("rates: {rates} (goals {goals} %)\n"));
    }
    if rates.control_rounds > 0 {
        let acted_on = rates.controls_acted_on;
        let missed = missed(acted_on > 0);
        lines.push_str(&format!("controls: {acted_on}/{} acted on{missed} (goal none)\n", rates.control_rounds));
    }
    lines
}

/// A table of columns, and nothing around them.
pub(crate) fn empty() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

const fn shown(mark: Mark) -> &'static str {
    match mark {
        Mark::Yes => "yes",
        Mark::No => "NO",
        Mark::None => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::report::sample;

    #[test]
    fn a_table_of_one_round_has_room_in_120_columns() {
        let mut run = sample::run_of("cpu_hog");
        run.planned = 1;
        run.courses[0].fault.name = "x".repeat(19);
        for round in &mut run.courses[0].rounds {
            round.score.name = "x".repeat(19);
            round.score.detected = Mark::No;
            round.score.done = "limit_cgroup_memory ×16, freeze_cgroup ×16, pause_process".into();
        }
        let table = of_one_round(&run).to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
        assert!(table.contains("3.0 s LATE") && table.contains("limit_cgroup_memory ×16,…"), "{table}");
    }

    #[test]
    fn a_table_of_many_rounds_has_room_in_120_columns() {
        let mut run = sample::run_of("cpu_hog");
        for (round, seconds) in run.courses[0].rounds.iter_mut().zip([10.1, 59.9]) {
            round.score.times.detect_s = Some(seconds);
            round.score.times.decide_s = Some(seconds);
            round.score.times.relief_s = Some(seconds);
        }
        let table = of_rounds(&run).to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
        assert!(
            table.contains("35.0 (10.1–59.9)") && table.contains("1/2") && table.contains("resolved ×1"),
            "{table}"
        );
    }

    #[test]
    fn what_missed_its_goal_says_so() {
        let told = goals(&sample::run_of("cpu_hog").rates());
        assert!(
            told.starts_with("rates: detected 2/2, blamed 2/2, explained 2/2, resolved 1/2 MISSED, undone 2/2"),
            "{told}"
        );
    }
}
