//! Pauses and the breaker: what stands between a request and the next.

use std::time::Duration;

use kernelsight::llm::{Breaker, Pauses};

const S: Duration = Duration::from_secs(1);

#[test]
fn pauses_double_up_to_a_minute_and_jitter_spreads_them() {
    let mut pauses = Pauses::default();
    let longest: Vec<f64> = (0..10).map(|_| pauses.next(None, 1.0).as_secs_f64()).collect();
    assert_eq!(longest, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
    let mut pauses = Pauses::default();
    assert_eq!(pauses.next(None, 0.0), Duration::ZERO);
    assert_eq!(pauses.next(None, 0.5), S / 2);
    assert_eq!(pauses.next(Some(7 * S), 0.5), 8 * S);
    assert_eq!(pauses.next(None, f64::INFINITY), 4 * S);
}

#[test]
fn three_failures_in_a_row_open_the_breaker_and_one_success_closes_it() {
    let mut breaker = Breaker::default();
    assert!(!breaker.failed(S) && !breaker.failed(S));
    breaker.succeeded();
    assert!(!breaker.failed(S) && !breaker.failed(S));
    assert_eq!(breaker.open_for(2 * S), None);
    assert!(breaker.failed(2 * S));
    assert_eq!(breaker.open_for(2 * S), Some(30 * S));
    assert_eq!(breaker.open_for(31 * S), Some(S));
    assert_eq!(breaker.open_for(32 * S), None);
    // The trial fails: it opens again at once, for twice as long.
    assert!(breaker.failed(40 * S));
    assert_eq!(breaker.open_for(40 * S), Some(60 * S));
    for _ in 0..20 {
        breaker.failed(100 * S);
    }
    assert_eq!(breaker.open_for(100 * S), Some(600 * S));
    breaker.succeeded();
    assert_eq!(breaker, Breaker::default());
}
