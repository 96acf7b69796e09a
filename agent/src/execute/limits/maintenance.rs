//! Maintenance windows: times of the week in which people work on the node.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::Deserialize;

/// A window of some days of the week, by the machine's own time zone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// The days on which it begins; none: every day.
    #[serde(default)]
    days: Vec<Day>,
    from: Clock,
    /// The moment that it ends; earlier than `from`: on the next day. Equal: after a whole day.
    to: Clock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time of day, `22:00`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Clock(civil::Time);

impl TryFrom<String> for Clock {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{}` is no time of day such as 22:00", text.escape_default());
        let plain = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        plain.then(|| civil::Time::strptime("%H:%M", &text).ok()).flatten().map(Self).ok_or_else(wrong)
    }
}

impl Maintenance {
    /// Whether it is such a time at `wall_ms`, Unix time. A time that no calendar knows is one: nothing is done then.
    #[must_use]
    pub fn holds(&self, wall_ms: i64) -> bool {
        self.holds_in(wall_ms, TimeZone::system())
    }

    /// The same by the clock of a zone.
    #[must_use]
    pub fn holds_in(&self, wall_ms: i64, zone: TimeZone) -> bool {
        let Ok(at) = Timestamp::from_millisecond(wall_ms) else { return true };
        let now = at.to_zoned(zone);
        let (today, time) = (now.date(), now.time());
        let begins_on = |date: civil::Date| self.days.is_empty() || self.days.contains(&Day::of(date.weekday()));
        let (from, to) = (self.from.0, self.to.0);
        if from < to {
            return begins_on(today) && (from..to).contains(&time);
        }
        let began_yesterday = today.yesterday().is_ok_and(begins_on) && time < to;
        (begins_on(today) && time >= from) || began_yesterday
    }
}

impl Day {
    const fn of(day: civil::Weekday) -> Self {
        match day {
            civil::Weekday::Monday => Self::Mon,
            civil::Weekday::Tuesday => Self::Tue,
            civil::Weekday::Wednesday => Self::Wed,
            civil::Weekday::Thursday => Self::Thu,
            civil::Weekday::Friday => Self::Fri,
            civil::Weekday::Saturday => Self::Sat,
            civil::Weekday::Sunday => Self::Sun,
        }
    }
}

/// `from 22:00 to 04:00`
impl fmt::Display for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.from.0.strftime("%H:%M"), self.to.0.strftime("%H:%M"))
    }
}
