//! Steady growth of a process's resident memory, told apart from a start, a burst and a plateau.

/// Growth slower than this is not told apart from the noise of an allocator, bytes/s.
const GROWTH_FLOOR_BYTES_PER_S: f64 = 65_536.0;
/// Share of the points that must not fall below the one before, for a growth to be steady.
const RISING_SHARE: f64 = 0.8;
/// Points that a growth is told from, at least.
const TRACK_POINTS: usize = 8;
/// Points that the newest part is told from, at least.
const NEWEST_POINTS: usize = 3;

/// The slower of the growths over the two times, bytes/s, if the longer track rises steadily: what stopped growing
/// lately grows no more. The first time is the longer, s; a track shorter than `least_s` tells nothing.
pub(super) fn steady_growth(track: &[(u64, u64)], [longer, shorter]: [f64; 2], least_s: f64) -> Option<f64> {
    let long = latest(track, longer, TRACK_POINTS);
    let short = latest(track, shorter, NEWEST_POINTS);
    let seconds = |points: &[(u64, u64)]| points[points.len() - 1].0.saturating_sub(points[0].0) as f64 / 1e9;
    if long.len() < TRACK_POINTS || seconds(long) < least_s.max(f64::MIN_POSITIVE) {
        return None;
    }
    let rising = long.windows(2).filter(|pair| pair[1].1 >= pair[0].1).count() as f64 / (long.len() - 1) as f64;
    let rate = |points: &[(u64, u64)]| (points[points.len() - 1].1 as f64 - points[0].1 as f64) / seconds(points);
    let slower = rate(long).min(rate(short));
    (rising >= RISING_SHARE && slower >= GROWTH_FLOOR_BYTES_PER_S).then_some(slower)
}

/// How far the track has risen from its lowest point to its newest, bytes.
pub(super) fn risen(track: &[(u64, u64)]) -> f64 {
    let lowest = track.iter().map(|(_, bytes)| *bytes).min().unwrap_or(0);
    track.last().map_or(0.0, |(_, bytes)| (bytes - lowest) as f64)
}

/// The newest points that span `seconds`, or the newest `least` if those span more.
fn latest(track: &[(u64, u64)], seconds: f64, least: usize) -> &[(u64, u64)] {
    let Some(last) = track.last() else { return track };
    let from = last.0.saturating_sub((seconds * 1e9) as u64);
    let within = track.iter().rev().take_while(|(at, _)| *at >= from).count();
    &track[track.len() - within.max(least).min(track.len())..]
}
