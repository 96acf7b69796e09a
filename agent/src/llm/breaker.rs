//! A provider that fails again and again is left alone for a while.

use std::time::Duration;

/// Failures in a row that open it.
const FAILURES: u32 = 3;
/// For how long, the first time and at most; doubled each time that the trial fails, too.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(600);

/// Closed, open for a while, or on trial: then one request shows whether it may close. Time is given, as time since any
/// fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Breaker {
    failures: u32,
    opened: u32,
    until: Option<Duration>,
}

impl Breaker {
    /// How much longer nothing is to be asked; none: it may be.
    #[must_use]
    pub fn open_for(&self, now: Duration) -> Option<Duration> {
        self.until?.checked_sub(now).filter(|left| !left.is_zero())
    }

    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// True when it opens by this.
    pub fn failed(&mut self, now: Duration) -> bool {
        self.failures += 1;
        let on_trial = self.until.is_some();
        if !on_trial && self.failures < FAILURES {
            return false;
        }
        let bound = FIRST.saturating_mul(1 << self.opened.min(16)).min(LONGEST);
        self.opened += 1;
        self.until = Some(now + bound);
        true
    }
}
