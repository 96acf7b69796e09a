//! Text for eyes: tables as wide as the terminal, times as local and relative, bytes and durations as people say them.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use jiff::{Timestamp, tz::TimeZone};

use crate::{clock::now_ms, observe::Severity};

/// What the text is made for: when, where on earth, and how wide.
#[derive(Clone, Debug)]
pub struct Eyes {
    /// Unix time, ms.
    pub now_ms: i64,
    pub zone: TimeZone,
    /// Columns of the terminal; none when nobody looks (a pipe, a file): nothing is wrapped then.
    pub width: Option<u16>,
}

/// How a word is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    Warn,
    Bad,
    Worst,
    Dim,
    Strong,
}

/// Marks of no width around words that have a mood: a table counts them as nothing. Text of strangers is ASCII, so it
/// cannot hold one.
const MARKS: [(Mood, char); 6] = [
    (Mood::Good, '\u{2061}'),
    (Mood::Warn, '\u{2062}'),
    (Mood::Bad, '\u{2063}'),
    (Mood::Worst, '\u{2064}'),
    (Mood::Dim, '\u{200b}'),
    (Mood::Strong, '\u{200c}'),
];
const END: char = '\u{2060}';

impl Eyes {
    /// Of the terminal that this process prints to, now.
    #[must_use]
    pub fn of_terminal() -> Self {
        let width = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        Self { now_ms: now_ms(), zone: TimeZone::system(), width: width.map(|(width, _)| width.0) }
    }

    /// A table without lines; the columns stand two spaces apart.
    #[must_use]
    pub fn table<const N: usize>(&self, heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        match self.width {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(40)),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(heads.map(|head| paint(Mood::Dim, head)));
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text: Vec<String> = table.lines().map(|line| trim_end(&line)).collect();
        finish(&text.join("\n"))
    }

    /// `14:03:22 (12 s ago)`; with the date when it was another day.
    #[must_use]
    pub fn when(&self, at_ms: i64) -> String {
        format!("{} ({})", self.clock(at_ms), self.ago(at_ms))
    }

    /// `14:03:22`, or `2026-11-20 14:03:22` on another day.
    #[must_use]
    pub fn clock(&self, at_ms: i64) -> String {
        let local = |ms| Timestamp::from_millisecond(ms).map(|at| at.to_zoned(self.zone.clone())).ok();
        let Some(at) = local(at_ms) else { return format!("{at_ms} ms") };
        let same_day = local(self.now_ms).is_some_and(|now| now.date() == at.date());
        at.strftime(if same_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
    }

    /// `12 s ago`, `in 5 min`.
    #[must_use]
    pub fn ago(&self, at_ms: i64) -> String {
        let seconds = (self.now_ms - at_ms) as f64 / 1000.0;
        match seconds {
            s if s.abs() < 1.0 => "now".to_owned(),
            s if s < 0.0 => format!("in {}", duration(-s)),
            s => format!("{} ago", duration(s)),
        }
    }
}

/// `850 ms`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    let whole = seconds.round() as u64;
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{big} {big_unit}") } else { format!("{big} {big_unit} {small} {small_unit}") }
    };
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => two(whole / 60, "min", whole % 60, "s"),
        3600..86_400 => two(whole / 3600, "h", whole % 3600 / 60, "min"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3600, "h"),
    }
}

/// `312 MiB`, `1.5 GiB`, `12 B`.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit < units.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", short(value), units[unit])
}

/// A value with the unit that the name of its measure ends with.
#[must_use]
pub fn measured(measure: &str, value: f64) -> String {
    let is = |end: &str| measure.ends_with(end);
    match measure {
        _ if is("bytes_per_s") => format!("{}/s", bytes(value)),
        _ if is("bytes_per_min") => format!("{}/min", bytes(value)),
        _ if is("bytes") => bytes(value),
        _ if is("percent") => format!("{} %", short(value)),
        _ if is("_per_s") => format!("{}/s", short(value)),
        _ if is("_ns") => nanoseconds(value),
        _ if is("_us") => nanoseconds(value * 1e3),
        _ if is("_ms") => nanoseconds(value * 1e6),
        _ if is("_s") => nanoseconds(value * 1e9),
        _ => short(value),
    }
}

/// `850 ns`, `12.3 µs`, `4.2 ms`, `12 s`.
#[must_use]
pub fn nanoseconds(ns: f64) -> String {
    match ns.abs() {
        small if small < 1e3 => format!("{} ns", short(ns)),
        small if small < 1e6 => format!("{} µs", short(ns / 1e3)),
        small if small < 1e9 => format!("{} ms", short(ns / 1e6)),
        small if small < 6e10 => format!("{} s", short(ns / 1e9)),
        _ => duration(ns / 1e9),
    }
}

/// Three figures that matter, thousands apart: `0.032`, `4.2`, `35.2`, `350`, `12,345`.
#[must_use]
pub fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    if size >= 100.0 {
        return grouped(value.round());
    }
    let decimals = match size {
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 || size == 0.0 => 2,
        _ if size >= 0.001 => 3,
        _ => return format!("{value:.1e}"),
    };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `one incident`, `3 incidents`, `no incident`.
#[must_use]
pub fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

/// The words in a mood.
#[must_use]
pub fn paint(mood: Mood, words: &str) -> String {
    let mark = MARKS.iter().find(|(known, _)| *known == mood).map_or(END, |(_, mark)| *mark);
    format!("{mark}{words}{END}")
}

/// Columns that the words take; marks take none.
#[must_use]
pub fn columns(words: &str) -> usize {
    words.chars().filter(|c| *c != END && MARKS.iter().all(|(_, mark)| mark != c)).count()
}

/// The severity in its colour.
#[must_use]
pub fn severity(severity: Severity) -> String {
    let mood = match severity {
        Severity::None => Mood::Dim,
        Severity::Low => Mood::Strong,
        Severity::Medium => Mood::Warn,
        Severity::High => Mood::Bad,
        Severity::Critical => Mood::Worst,
    };
    paint(mood, severity.name())
}

/// The marks as colours; what prints drops those where no terminal shows them.
#[must_use]
pub fn finish(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        match MARKS.iter().find(|(_, mark)| *mark == c) {
            Some((mood, _)) => out.push_str(&style(*mood).render().to_string()),
            None if c == END => out.push_str(&anstyle::Reset.render().to_string()),
            None => out.push(c),
        }
    }
    out
}

fn style(mood: Mood) -> Style {
    match mood {
        Mood::Good => AnsiColor::Green.on_default(),
        Mood::Warn => AnsiColor::Yellow.on_default(),
        Mood::Bad => AnsiColor::Red.on_default(),
        Mood::Worst => AnsiColor::Red.on_default().bold().invert(),
        Mood::Dim => Style::new().dimmed(),
        Mood::Strong => Style::new().bold(),
    }
}

/// Spaces before a mark at the end of a line go too.
fn trim_end(line: &str) -> String {
    line.trim_end().to_owned()
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}
