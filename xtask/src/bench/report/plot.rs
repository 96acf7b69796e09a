//! Rounds as points, those that are compared one over the other.

use maud::{Markup, html};

use crate::{
    figure::Goal,
    page::{Scale, px, short},
};

const WIDTH: f64 = 480.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = TOP + 120.0;
const LEGEND_HEIGHT: f64 = 17.0;
/// Outlines of the points, about their middle: a colour alone tells not everybody whose they are.
const SHAPES: [&str; 4] = ["M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0Z", "M-3-3H3V3H-3Z", "M0-4L4 3H-4Z", "M0-4L4 0L0 4L-4 0Z"];
/// Values that lie so near each other are not drawn from nought: one would see a line.
const NEAR: f64 = 0.6;

/// What one of those that are compared took.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) rounds: &'a [f64],
}

/// One picture, of one unit.
pub(super) fn panel(unit: &str, lines: &[Line<'_>], goal: Option<Goal>) -> Markup {
    let rounds = lines.iter().map(|line| line.rounds.len()).max().unwrap_or(0);
    let across = Scale::new((1.0, rounds.max(2) as f64), (LEFT + 6.0, RIGHT - 6.0));
    let up = Scale::new(range(lines, goal), (BOTTOM, TOP));
    let height = BOTTOM + 34.0 + lines.len() as f64 * LEGEND_HEIGHT;
    html! {
        svg class="panel" role="img" aria-label=(in_words(unit, lines, goal)) viewBox=(format!("0 0 {WIDTH} {}", px(height))) {
            text class="tick" x=(px(LEFT)) y="13" { (unit) }
            @for tick in up.ticks(4) {
                line class="grid" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(up.at(tick))) y2=(px(up.at(tick))) {}
                text class="tick" x=(px(LEFT - 7.0)) y=(px(up.at(tick) + 4.0)) text-anchor="end" { (short(tick)) }
            }
            text class="tick" x=(px(across.at(1.0))) y=(px(BOTTOM + 16.0)) text-anchor="middle" { "1" }
            text class="tick" x=(px(across.at(rounds as f64))) y=(px(BOTTOM + 16.0)) text-anchor="end" {
                (rounds) " rounds"
            }
            @if let Some(goal) = goal {
                line class="bound" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(up.at(goal.bound()))) y2=(px(up.at(goal.bound()))) {}
                text class="bound" x=(px(RIGHT)) y="13" text-anchor="end" { "dashed: " (goal) }
            }
            @for (at, line) in lines.iter().enumerate() { (drawn(at, line, &across, &up)) }
        }
    }
}

fn drawn(at: usize, line: &Line<'_>, across: &Scale, up: &Scale) -> Markup {
    let points: Vec<(f64, f64, f64)> = line
        .rounds
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_finite())
        .map(|(round, value)| (across.at(round as f64 + 1.0), up.at(*value), *value))
        .collect();
    let path = points.iter().map(|(x, y, _)| format!("{},{}", px(*x), px(*y))).collect::<Vec<_>>().join(" ");
    let (shape, legend) = (SHAPES[at % SHAPES.len()], BOTTOM + 36.0 + at as f64 * LEGEND_HEIGHT);
    html! {
        g class=(format!("line{}", at % SHAPES.len())) {
            polyline points=(path) {}
            @for (x, y, value) in points {
                path d=(shape) transform=(format!("translate({} {})", px(x), px(y))) { title { (short(value)) } }
            }
            path d=(shape) transform=(format!("translate({} {})", px(LEFT + 4.0), px(legend - 4.0))) {}
            text x=(px(LEFT + 14.0)) y=(px(legend)) { (line.name) }
        }
    }
}

/// From the least to the most, with the goal in it; from nought where that lies not far below.
fn range(lines: &[Line<'_>], goal: Option<Goal>) -> (f64, f64) {
    let values = lines.iter().flat_map(|line| line.rounds.iter().copied()).filter(|value| value.is_finite());
    let goal = goal.map(Goal::bound);
    let (low, high) = values
        .chain(goal)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if !low.is_finite() {
        return (0.0, 1.0);
    }
    let room = 0.08 * (high - low).max(0.02 * high.abs());
    let from = if low > NEAR * high { low - room } else { low.min(0.0) };
    (from, high + room)
}

fn in_words(unit: &str, lines: &[Line<'_>], goal: Option<Goal>) -> String {
    let lines: Vec<String> =
        lines.iter().map(|line| format!("{} in {} rounds", line.name, line.rounds.len())).collect();
    let goal = goal.map_or_else(String::new, |goal| format!(", and the goal, {goal}"));
    format!("{}, {unit}{goal}; the numbers are below", lines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rounds: &[f64]) -> Line<'_> {
        Line { name: "ours", rounds }
    }

    #[test]
    fn each_round_of_each_side_is_a_point_and_the_goal_is_a_line() {
        let picture = panel("x", &[line(&[1.0, 1.1]), line(&[1.0, 1.2])], Some(Goal::AtMost(1.05))).into_string();
        // Two points a side, and the one of its legend.
        assert_eq!(picture.matches("<path").count(), 6);
        assert_eq!((picture.matches("<polyline").count(), picture.matches("class=\"bound\"").count()), (2, 2));
    }

    #[test]
    fn a_goal_outside_of_the_rounds_is_in_the_picture() {
        let (from, to) = range(&[line(&[10.0, 11.0])], Some(Goal::AtMost(40.0)));
        assert!(from == 0.0 && to > 40.0);
        let (from, to) = range(&[line(&[1.0, 1.02])], Some(Goal::AtMost(1.05)));
        assert!(from > 0.9 && from < 1.0 && to > 1.05);
    }

    #[test]
    fn what_is_no_number_is_not_drawn() {
        let picture = panel("x", &[line(&[f64::NAN, f64::INFINITY])], None).into_string();
        assert_eq!(picture.matches("<path").count(), 1);
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        assert_eq!(range(&[line(&[])], None), (0.0, 1.0));
    }
}
