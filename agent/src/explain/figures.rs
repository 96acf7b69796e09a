//! Numbers as people read them: the unit is the end of the measure's name.

/// How a measure is shown: its unit, what one unit is in the measure's own, and digits behind the point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub unit: &'static str,
    pub divisor: f64,
    pub digits: usize,
}

const MIB: f64 = 1_048_576.0;

/// The scale of a measure by the end of its name; a name without a known end counts things.
#[must_use]
pub fn scale_of(measure: &str) -> Scale {
    const SCALES: [(&str, Scale); 11] = [
        ("_bytes_per_s", Scale { unit: "MiB/s", divisor: MIB, digits: 1 }),
        ("_bytes", Scale { unit: "MiB", divisor: MIB, digits: 0 }),
        ("_percent", Scale { unit: "%", divisor: 1.0, digits: 1 }),
        ("_per_s", Scale { unit: "/s", divisor: 1.0, digits: 0 }),
        ("_ns", Scale { unit: "ms", divisor: 1e6, digits: 2 }),
        ("_us", Scale { unit: "ms", divisor: 1e3, digits: 2 }),
        ("_ms", Scale { unit: "ms", divisor: 1.0, digits: 1 }),
        ("_min", Scale { unit: "min", divisor: 1.0, digits: 1 }),
        ("_s", Scale { unit: "s", divisor: 1.0, digits: 1 }),
        ("_share", Scale { unit: "", divisor: 1.0, digits: 2 }),
        ("_ratio", Scale { unit: "", divisor: 1.0, digits: 2 }),
    ];
    let by_end = SCALES.iter().find(|(end, _)| measure.ends_with(end)).map(|(_, scale)| *scale);
    by_end.unwrap_or(Scale { unit: "", divisor: 1.0, digits: 2 })
}

/// A value of a measure with its unit: `figure("rss_bytes", 5e8)` is "477 MiB".
#[must_use]
pub fn figure(measure: &str, value: f64) -> String {
    if measure.contains("seconds_to") { time_left(value) } else { scale_of(measure).show(value) }
}

/// Nobody reckons further ahead than a day.
fn time_left(seconds: f64) -> String {
    if seconds < 86_400.0 { minutes(seconds / 60.0) } else { "a day or more".to_owned() }
}

impl Scale {
    #[must_use]
    pub fn show(self, value: f64) -> String {
        with_unit(&format!("{:.*}", self.digits, value / self.divisor), self.unit)
    }
}

/// A number and its unit as they are printed: "5 MiB", "12/s", "3".
#[must_use]
pub fn with_unit(number: &str, unit: &str) -> String {
    match unit {
        "" => number.to_owned(),
        _ if unit.starts_with('/') => format!("{number}{unit}"),
        _ => format!("{number} {unit}"),
    }
}

/// "40 s", "21 min", "3.5 h", "12 days", from minutes.
#[must_use]
pub fn minutes(minutes: f64) -> String {
    match minutes {
        m if m < 1.5 => format!("{:.0} s", m * 60.0),
        m if m < 120.0 => format!("{m:.0} min"),
        m if m < 48.0 * 60.0 => format!("{:.1} h", m / 60.0),
        m => format!("{:.0} days", m / 1440.0),
    }
}
