//! When what came from a model is not done, and when it is again.

use std::time::{Duration, Instant};

use kernelsight::mind::watchtower::{ModelState, Watchtower};

const S: Duration = Duration::from_secs(1);

#[test]
fn a_call_of_over_a_minute_suspends_while_it_lasts_and_until_one_is_answered_sooner() {
    let (mut tower, begun) = (Watchtower::default(), Instant::now());
    tower.asked(begun);
    assert_eq!(tower.suspends(begun + 60 * S), None);
    assert_eq!(tower.state(begun + 60 * S), ModelState::Asked { for_ms: 60_000 });
    assert_eq!(tower.suspends(begun + 61 * S).as_deref(), Some("a call took 61 s; 60 are the most"));
    tower.answered(61 * S);
    assert!(tower.suspends(begun + 62 * S).is_some());
    tower.asked(begun + 63 * S);
    assert!(tower.suspends(begun + 64 * S).is_some(), "it did not answer yet");
    tower.answered(S);
    assert_eq!((tower.suspends(begun + 65 * S), tower.state(begun + 65 * S)), (None, ModelState::Idle));
}

#[test]
fn a_breaker_that_opens_suspends_until_an_answer() {
    let (mut tower, now) = (Watchtower::default(), Instant::now());
    tower.opened("it failed three times in a row");
    assert!(matches!(tower.state(now), ModelState::Suspended { why } if why == "it failed three times in a row"));
    tower.failed();
    assert!(tower.suspends(now).is_some());
    tower.asked(now);
    tower.answered(S);
    assert_eq!(tower.suspends(now), None);
}

#[test]
fn a_wait_is_counted_down() {
    let (mut tower, now) = (Watchtower::default(), Instant::now());
    tower.waits(now + 12 * S, "it takes no more requests just now".to_owned());
    let left = |after: Duration| match tower.state(now + after) {
        ModelState::Waiting { for_ms, .. } => Some(for_ms),
        _ => None,
    };
    assert_eq!((left(Duration::ZERO), left(5 * S), left(12 * S)), (Some(12_000), Some(7_000), None));
    // To wait is no reason to distrust it.
    assert_eq!(tower.suspends(now), None);
}
