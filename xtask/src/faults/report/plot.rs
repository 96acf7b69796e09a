//! The measure of a round as a line, with what is asked of it.

use maud::{Markup, html};

use crate::{
    faults::{
        catalogue::{Bound, Check},
        curve::Curve,
    },
    page::{Scale, px, short, unit},
    say,
};

const HEIGHT: f64 = 130.0;
const TITLE_HEIGHT: f64 = 22.0;
/// The same as of names of lanes.
const NAME_LETTERS: usize = 30;

pub(super) fn height(curve: &Curve) -> f64 {
    if is_drawn(curve) { TITLE_HEIGHT + HEIGHT } else { 0.0 }
}

/// The line, below `y`; nothing where nothing was measured.
pub(super) fn plot(curve: &Curve, time: &Scale, y: f64) -> Markup {
    if !is_drawn(curve) {
        return html! {};
    }
    let (left, right) = (time.at(f64::NEG_INFINITY), time.at(f64::INFINITY));
    let scale = Scale::new(range(curve), (y + TITLE_HEIGHT + HEIGHT, y + TITLE_HEIGHT));
    let bound = bound(curve);
    html! {
        text class="name" x=(px(left)) y=(px(y + 14.0)) {
            (curve.measure) ", " (unit(&curve.measure))
        }
        @for tick in scale.ticks(3) {
            line class="grid" x1=(px(left)) x2=(px(right)) y1=(px(scale.at(tick))) y2=(px(scale.at(tick))) {}
            text class="tick" x=(px(left - 8.0)) y=(px(scale.at(tick) + 4.0)) text-anchor="end" { (short(tick)) }
        }
        @if let (Some(bound), Some(check)) = (bound, &curve.check) {
            line class="bound" x1=(px(left)) x2=(px(right)) y1=(px(scale.at(bound.value()))) y2=(px(scale.at(bound.value()))) {}
            text class="bound" x=(px(right)) y=(px(y + 14.0)) text-anchor="end" {
                "dashed: " (say::shortened(&asked(check), NAME_LETTERS)) " is asked"
            }
        }
        @for run in runs(curve) {
            polyline class="curve" points=(run.iter().map(|(at_s, value)| format!("{},{}", px(time.at(*at_s)), px(scale.at(*value)))).collect::<Vec<_>>().join(" ")) {}
            @for (at_s, value) in run {
                circle class="curve" cx=(px(time.at(at_s))) cy=(px(scale.at(value))) r="2" {
                    title { (format!("{at_s:.1} s: {}", short(value))) }
                }
            }
        }
    }
}

/// What a check asks, without whose measure.
pub(super) fn asked(check: &Check) -> String {
    let bound = check
        .below_of_peak
        .map_or_else(|| check.bound(0.0).to_string(), |share| format!("below {:.0} % of its highest", share * 100.0));
    format!("{bound} for {} s", check.for_s)
}

/// What is asked of the curve, of its peak where that is what counts.
fn bound(curve: &Curve) -> Option<Bound> {
    let peak = curve.points.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
    curve.check.as_ref().map(|check| check.bound(peak))
}

fn is_drawn(curve: &Curve) -> bool {
    curve.points.iter().any(|(_, value)| value.is_some())
}

/// From nought, or below it, to the highest value, with the bound in it.
fn range(curve: &Curve) -> (f64, f64) {
    let values = curve.points.iter().filter_map(|(_, value)| *value);
    let bounds = bound(curve).map(Bound::value);
    let (low, high) =
        values.chain(bounds).fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    (low * 1.08, if high > 0.0 { high * 1.08 } else { 1.0 })
}

/// The stretches in which it was known: where it was not, the line has a gap.
fn runs(curve: &Curve) -> Vec<Vec<(f64, f64)>> {
    let known = curve.points.split(|(_, value)| value.is_none()).filter(|run| !run.is_empty());
    known.map(|run| run.iter().filter_map(|(at_s, value)| Some((*at_s, (*value)?))).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[Option<f64>]) -> Curve {
        let points = values.iter().enumerate().map(|(second, value)| (second as f64, *value)).collect();
        Curve { measure: "victim.done_p50_ms".into(), check: None, points }
    }

    #[test]
    fn a_gap_in_what_is_known_is_a_gap_in_the_line() {
        let gapped = curve(&[Some(4.0), Some(5.0), None, Some(6.0)]);
        assert_eq!(runs(&gapped), [vec![(0.0, 4.0), (1.0, 5.0)], vec![(3.0, 6.0)]]);
        let drawn = plot(&gapped, &Scale::new((0.0, 10.0), (0.0, 100.0)), 0.0).into_string();
        assert_eq!(drawn.matches("<polyline").count(), 2);
    }

    #[test]
    fn what_was_never_known_is_not_drawn() {
        assert_eq!(height(&curve(&[None, None])), 0.0);
    }

    #[test]
    fn a_bound_above_all_values_is_in_the_picture() {
        let check = Check { measure: "x".into(), below: Some(100.0), above: None, below_of_peak: None, for_s: 3 };
        let bounded = Curve { check: Some(check), ..curve(&[Some(1.0)]) };
        assert_eq!(range(&bounded), (0.0, 108.0));
        assert_eq!(range(&curve(&[Some(-2.0)])), (-2.16, 1.0));
    }

    #[test]
    fn a_bound_that_is_a_share_is_drawn_at_its_share_of_the_peak() {
        let check = Check { measure: "x".into(), below: None, above: None, below_of_peak: Some(0.5), for_s: 3 };
        assert_eq!(asked(&check), "below 50 % of its highest for 3 s");
        let bounded = Curve { check: Some(check), ..curve(&[Some(1.0), None, Some(8.0), Some(2.0)]) };
        assert_eq!(bound(&bounded), Some(Bound::Below(4.0)));
    }
}
