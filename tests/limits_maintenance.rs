//! Windows of maintenance, by a clock that a test sets.

use jiff::{civil, tz::TimeZone};
use kernelsight::execute::limits::Maintenance;

fn window(text: &str) -> Maintenance {
    toml::from_str(text).unwrap()
}

/// 2026-11-21 is a Saturday.
fn holds(window: &Maintenance, day: i8, hour: i8, minute: i8) -> bool {
    let at = civil::date(2026, 11, day).at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).unwrap();
    window.holds_in(at.timestamp().as_millisecond(), TimeZone::UTC)
}

#[test]
fn a_window_holds_from_its_first_minute_to_its_last() {
    let nightly = window("from = '02:00'\nto = '03:30'");
    let told = [(1, 59), (2, 0), (3, 29), (3, 30)].map(|(hour, minute)| holds(&nightly, 18, hour, minute));
    assert_eq!(told, [false, true, true, false]);
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_that_it_begins_on() {
    let weekend = window("days = ['sat']\nfrom = '22:00'\nto = '04:00'");
    let told = [(21, 21), (21, 22), (22, 3), (22, 4), (22, 22), (20, 23), (21, 3)]
        .map(|(day, hour)| holds(&weekend, day, hour, 0));
    assert_eq!(told, [false, true, true, false, false, false, false]);
}

#[test]
fn a_time_that_no_clock_shows_is_refused() {
    for wrong in ["25:00", "2:00", "02:00:00", "+2:00", "02-00", ""] {
        let said = toml::from_str::<Maintenance>(&format!("from = '{wrong}'\nto = '03:00'")).unwrap_err();
        assert!(said.to_string().contains("is no time of day such as 22:00"), "{wrong}: {said}");
    }
}
