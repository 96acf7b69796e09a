//! Seconds and values as places in a picture, and as words.

/// A range of values along a stretch of the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    from: f64,
    to: f64,
    /// Where `from` and `to` are drawn.
    begin: f64,
    end: f64,
}

impl Scale {
    pub(crate) fn new((from, to): (f64, f64), (begin, end): (f64, f64)) -> Self {
        // A range without width has no place for anything.
        Self { from, to: if to > from { to } else { from + 1.0 }, begin, end }
    }

    /// Where a value is drawn; what lies outside, at the nearer end.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.begin + share * (self.end - self.begin)
    }

    /// Round values of the range, about `wanted` of them.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<f64> {
        let step = round_step((self.to - self.from) / wanted.max(1) as f64);
        let (first, last) = ((self.from / step).ceil() as i64, (self.to / step + 1e-9).floor() as i64);
        (first..=last).map(|n| n as f64 * step).collect()
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= rough * 0.999_999).unwrap_or(10.0);
    step * power
}

/// A length or place in the picture.
pub(crate) fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// A value as one reads it: three digits that count, and no more.
pub(crate) fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The unit that ends a measure's name.
pub(crate) fn unit(measure: &str) -> &'static str {
    const UNITS: [(&str, &str); 6] =
        [("mb_per_s", "MB/s"), ("_per_s", "per second"), ("_ms", "ms"), ("_percent", "%"), ("_mb", "MB"), ("_s", "s")];
    UNITS.iter().find(|(end, _)| measure.ends_with(end)).map_or("count", |(_, unit)| unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_proportion_and_never_outside() {
        let scale = Scale::new((0.0, 50.0), (200.0, 700.0));
        assert_eq!([0.0, 25.0, 50.0, -3.0, 80.0].map(|value| scale.at(value)), [200.0, 450.0, 700.0, 200.0, 700.0]);
    }

    #[test]
    fn ticks_are_round_and_within_the_range() {
        let ticks = |to| Scale::new((0.0, to), (0.0, 1.0)).ticks(10);
        assert_eq!(ticks(48.2), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0]);
        assert_eq!(ticks(10.0).len(), 11);
        assert_eq!(Scale::new((-5.0, 5.0), (0.0, 1.0)).ticks(2), [-5.0, 0.0, 5.0]);
    }

    #[test]
    fn a_range_of_nothing_draws_at_its_beginning() {
        let scale = Scale::new((3.0, 3.0), (10.0, 20.0));
        assert_eq!(scale.at(3.0), 10.0);
        assert!(!scale.ticks(4).is_empty());
    }

    #[test]
    fn a_value_is_read_with_three_digits() {
        assert_eq!([0.0, 0.125, 6.5, 99.94, 1234.5].map(short), ["0", "0.125", "6.5", "99.9", "1234"]);
    }

    #[test]
    fn the_unit_is_the_end_of_the_name() {
        let units = ["victim.done_p50_ms", "load.rss_growth_mb_per_s", "load.served_per_s", "load.threads"].map(unit);
        assert_eq!(units, ["ms", "MB/s", "per second", "count"]);
    }
}
