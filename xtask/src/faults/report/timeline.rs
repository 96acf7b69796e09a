//! A round on one axis of seconds from the onset: what was decided and done, signals and incidents, and the measure that it
//! is all about, below each other.

use maud::{Markup, html};

use super::{
    labels::{self, Label},
    plot,
    story::{Kind, Moment, Span, Story},
};
use crate::{
    page::{Scale, px},
    say,
};

pub(super) const WIDTH: f64 = 1000.0;
/// What stands left of the axis: names.
const GUTTER: f64 = 262.0;
const RIGHT: f64 = WIDTH - 24.0;
/// Letters of a name that the gutter has room for.
const NAME_LETTERS: usize = 34;
const WHO_LETTERS: usize = 37;
/// Most lanes and marks that are drawn; the table has all of them.
const LANES_MAX: usize = 10;
const MARKS_MAX: usize = 24;
const MARK_HEIGHT: f64 = 19.0;
const SIGNAL_HEIGHT: f64 = 34.0;
const GAP: f64 = 12.0;
const AXIS_HEIGHT: f64 = 36.0;
/// What is done to several at once is one mark.
const TOGETHER_S: f64 = 1.0;

/// The picture, whose words for who cannot see it are `label`.
pub(super) fn timeline(story: &Story, label: &str) -> Markup {
    let marks = together(&story.moments);
    let shown = &marks[..marks.len().min(MARKS_MAX)];
    let scale = Scale::new((0.0, until(story)), (GUTTER, RIGHT));
    let spots: Vec<(f64, usize)> = shown.iter().map(|mark| (scale.at(mark.at_s), mark.word.chars().count())).collect();
    let labels = labels::place(&spots, WIDTH);
    let (signals, incidents) = (lanes(&story.signals), lanes(&story.incidents));
    let marks_end = 8.0 + labels.iter().map(|label| label.row + 1).max().unwrap_or(0) as f64 * MARK_HEIGHT;
    let signals_at = marks_end + GAP;
    let incidents_at = signals_at + signals.len() as f64 * SIGNAL_HEIGHT;
    let plot_at = incidents_at + incidents.len() as f64 * SIGNAL_HEIGHT + GAP;
    let end = plot_at + plot::height(&story.curve);
    let hidden = marks.len() - shown.len() + story.signals.len() + story.incidents.len()
        - signals.iter().chain(&incidents).map(|lane| lane.spans.len()).sum::<usize>();
    html! {
        svg class="timeline" role="img" aria-label=(label) viewBox=(format!("0 0 {} {}", WIDTH, px(end + AXIS_HEIGHT))) {
            (axis(&scale, end))
            @for (mark, label) in shown.iter().zip(&labels) { (drawn(mark, *label, &scale, end)) }
            @for (at, lane) in signals.iter().enumerate() {
                (lane_drawn(lane, "", signals_at + at as f64 * SIGNAL_HEIGHT, &scale))
            }
            @for (at, lane) in incidents.iter().enumerate() {
                (lane_drawn(lane, "incident ", incidents_at + at as f64 * SIGNAL_HEIGHT, &scale))
            }
            (plot::plot(&story.curve, &scale, plot_at))
        }
        @if hidden > 0 { p class="faint" { (hidden) " more did not fit into the picture; the table has all." } }
    }
}

/// Until when there is anything to draw.
fn until(story: &Story) -> f64 {
    let moments = story.moments.iter().map(|moment| moment.at_s);
    moments.fold(story.until_s.max(1.0), f64::max)
}

fn axis(scale: &Scale, end: f64) -> Markup {
    html! {
        @for tick in scale.ticks(12) {
            line class="grid" x1=(px(scale.at(tick))) x2=(px(scale.at(tick))) y1="0" y2=(px(end)) {}
            text class="tick" x=(px(scale.at(tick))) y=(px(end + 15.0)) text-anchor="middle" { (tick) }
        }
        line class="axis" x1=(px(GUTTER)) x2=(px(RIGHT)) y1=(px(end)) y2=(px(end)) {}
        text class="tick" x=(px(f64::midpoint(GUTTER, RIGHT))) y=(px(end + 31.0)) text-anchor="middle" {
            "seconds from the onset"
        }
    }
}

fn drawn(mark: &Moment, label: Label, scale: &Scale, end: f64) -> Markup {
    let (x, y) = (scale.at(mark.at_s), 8.0 + label.row as f64 * MARK_HEIGHT + MARK_HEIGHT / 2.0);
    let (words_at, anchor) = if label.left { (x - 9.0, "end") } else { (x + 9.0, "start") };
    let class = format!("mark {}", class(mark.kind));
    // What was done is drawn through the picture, so that one sees what came of it.
    let through = matches!(mark.kind, Kind::Action | Kind::Undoing | Kind::Relief);
    html! {
        g class=(class) {
            title { (format!("{:.1} s: {}", mark.at_s, mark.text)) }
            @if through { line class="through" x1=(px(x)) x2=(px(x)) y1=(px(y)) y2=(px(end)) {} }
            path d=(shape(mark.kind)) transform=(format!("translate({} {})", px(x), px(y))) {}
            text x=(px(words_at)) y=(px(y + 4.0)) text-anchor=(anchor) { (mark.word) }
        }
    }
}

/// One lane: all spans of the same name.
struct Lane<'a> {
    spans: Vec<&'a Span>,
}

/// The worst lanes, as many as are drawn, in the order of time.
fn lanes(spans: &[Span]) -> Vec<Lane<'_>> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for span in spans {
        match lanes.iter_mut().find(|lane| lane.is_of(span)) {
            Some(lane) => lane.spans.push(span),
            None => lanes.push(Lane { spans: vec![span] }),
        }
    }
    lanes.sort_by_key(|lane| std::cmp::Reverse(lane.spans.iter().map(|span| span.severity).max()));
    lanes.truncate(LANES_MAX);
    lanes.sort_by(|a, b| a.spans[0].from_s.total_cmp(&b.spans[0].from_s));
    lanes
}

impl Lane<'_> {
    fn is_of(&self, span: &Span) -> bool {
        self.spans[0].what == span.what && self.spans[0].who == span.who
    }
}

fn lane_drawn(lane: &Lane<'_>, kind: &str, y: f64, scale: &Scale) -> Markup {
    let first = lane.spans[0];
    html! {
        text class="name" x=(px(GUTTER - 10.0)) y=(px(y + 13.0)) text-anchor="end" {
            (say::shortened(&format!("{kind}{}", first.what), NAME_LETTERS))
        }
        text class="who" x=(px(GUTTER - 10.0)) y=(px(y + 26.0)) text-anchor="end" {
            (end_of(&first.who, WHO_LETTERS))
        }
        @for span in &lane.spans { (bar(span, kind, y, scale)) }
    }
}

fn bar(span: &Span, kind: &str, y: f64, scale: &Scale) -> Markup {
    let (from, to) = (scale.at(span.from_s), scale.at(span.to_s));
    let width = (to - from).max(3.0);
    let severity = span.severity.name();
    // Where the bar is too short for it, its severity stands beside it.
    let inside = width > 60.0;
    let (words_at, class) = if inside { (from + 6.0, "within") } else { (from + width + 5.0, "beside") };
    html! {
        g class=(format!("bar {kind}{severity}")) {
            title { (format!("{:.1} to {:.1} s, {severity}: {}", span.from_s, span.to_s, span.text)) }
            rect x=(px(from)) y=(px(y + 5.0)) width=(px(width)) height="20" rx="3" {}
            text class=(class) x=(px(words_at)) y=(px(y + 19.0)) { (severity) @if span.open && inside { ", open" } }
        }
    }
}

/// The end of a name tells it from others: the last part of a path, the pid.
fn end_of(name: &str, letters: usize) -> String {
    let count = name.chars().count();
    if count <= letters {
        name.to_owned()
    } else {
        ['…'].into_iter().chain(name.chars().skip(count - letters + 1)).collect()
    }
}

/// What is of one kind and one word, and at about the same time, as one.
fn together(moments: &[Moment]) -> Vec<Moment> {
    let mut marks: Vec<(Moment, usize)> = Vec::new();
    for moment in moments {
        let same = |(known, _): &&mut (Moment, usize)| {
            known.kind == moment.kind && known.word == moment.word && moment.at_s - known.at_s < TOGETHER_S
        };
        match marks.iter_mut().find(same) {
            Some((_, times)) => *times += 1,
            None => marks.push((moment.clone(), 1)),
        }
    }
    let counted = |(mark, times): (Moment, usize)| match times {
        1 => mark,
        _ => Moment { word: format!("{} ×{times}", mark.word), ..mark },
    };
    marks.into_iter().map(counted).collect()
}

const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Decision => "decision",
        Kind::Action => "action",
        Kind::Undoing => "undo",
        Kind::Helped | Kind::Relief => "good",
        Kind::NotHelped | Kind::Denial | Kind::Attempt => "bad",
    }
}

/// The outline of a mark, about its middle: a colour alone tells not everybody what it is.
const fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Decision => "M0-6L6 0L0 6L-6 0Z",
        Kind::Action => "M0-6L6 5H-6Z",
        Kind::Undoing => "M0 6L6-5H-6Z",
        Kind::Helped | Kind::Relief => "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
        Kind::NotHelped | Kind::Denial | Kind::Attempt => "M-5-3L-3-5L0-2L3-5L5-3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn a_bar_begins_and_ends_where_its_seconds_are() {
        // 0 to 40 s are drawn from 262 to 976: 17.85 a second.
        let picture = timeline(&sample::story(), "x").into_string();
        assert!(picture.contains(r#"<rect x="297.7" y="63.0" width="535.5" height="20" rx="3">"#), "{picture}");
    }

    #[test]
    fn what_is_done_to_three_at_once_is_one_mark() {
        let at = |at_s| Moment { at_s, kind: Kind::Action, word: "freeze_cgroup".into(), text: String::new() };
        let marks = together(&[at(3.0), at(3.1), at(3.2), at(9.0)]);
        assert_eq!(
            marks.iter().map(|mark| mark.word.as_str()).collect::<Vec<_>>(),
            ["freeze_cgroup ×3", "freeze_cgroup"]
        );
    }

    #[test]
    fn of_a_long_name_the_end_is_kept() {
        assert_eq!(end_of("cgroup /kernelsight-xtask/größe/load", 12), "…/größe/load");
        assert_eq!(end_of("load", 4), "load");
    }

    #[test]
    fn of_too_many_lanes_the_worst_are_drawn_and_the_rest_is_counted() {
        let mut story = sample::story();
        let mild = Span { severity: crate::client::Severity::Low, ..story.signals[0].clone() };
        story.signals.extend((0..LANES_MAX).map(|n| Span { who: format!("process {n}"), ..mild.clone() }));
        let picture = timeline(&story, "x").into_string();
        assert!(picture.contains("cpu_hog (pid 812)") && picture.contains("1 more did not fit"), "{picture}");
        assert!(!picture.contains("process 9"), "{picture}");
    }
}
