//! How long to wait before the same request is tried again: exponential, with jitter.

use std::time::Duration;

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// The pauses of one request. "Full jitter": each is drawn evenly from nothing to a bound that doubles, so that many
/// who failed together do not come back together (M. Brooker, Exponential Backoff And Jitter, 2015).
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    tried: u32,
}

impl Pauses {
    /// The next pause; `draw` is 0 to 1. What the provider asks for is waited at least.
    pub fn next(&mut self, asked: Option<Duration>, draw: f64) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.tried.min(16)).min(LONGEST);
        self.tried += 1;
        let drawn = bound.mul_f64(draw.clamp(0.0, 1.0));
        asked.map_or(drawn, |asked| asked + drawn)
    }
}
