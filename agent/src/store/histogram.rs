//! A log-linear histogram: 32 buckets to each doubling, so a percentile is within 1.6 % of the value, whatever the unit.

use std::cmp::Ordering;

use crate::explain::Baseline;

/// Bits of the mantissa that tell buckets apart.
const MANTISSA_BITS: u32 = 5;
/// Values nearer to zero than this are zero: 2^-64.
const SMALLEST: f64 = 5.421_010_862_427_522e-20;
/// Values farther from zero than this are refused, so that their squares stay finite.
const LARGEST: f64 = 1e150;
/// First byte of the stored form.
const FORMAT: u8 = 1;

/// Greatest relative error of a percentile against the exact one: half a bucket.
pub const RELATIVE_ERROR: f64 = 1.0 / 64.0;

/// Counts by bucket, with the moments that percentiles cannot give. Two merge without loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    samples: u64,
    mean: f64,
    /// Sum of the squared distances from the mean (Welford).
    squares: f64,
    lowest: f64,
    highest: f64,
    /// By bucket: side by side, for an hour is merged of sixty, each time that it is asked for.
    buckets: Vec<(i32, u64)>,
}

impl Histogram {
    /// Counts a value; one that is no number, or beyond 1e150, is refused.
    pub fn add(&mut self, value: f64) -> bool {
        if !Self::takes(value) {
            return false;
        }
        (self.lowest, self.highest) = match self.samples {
            0 => (value, value),
            _ => (self.lowest.min(value), self.highest.max(value)),
        };
        self.samples += 1;
        let distance = value - self.mean;
        self.mean += distance / self.samples as f64;
        self.squares += distance * (value - self.mean);
        let bucket = bucket_of(value);
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.buckets[at].1 += 1,
            Err(at) => self.buckets.insert(at, (bucket, 1)),
        }
        true
    }

    /// Whether such a value is counted.
    #[must_use]
    pub fn takes(value: f64) -> bool {
        value.abs() <= LARGEST
    }

    /// Adds all that `other` counted (Chan et al. for the moments).
    pub fn merge(&mut self, other: &Self) {
        if other.samples == 0 {
            return;
        }
        if self.samples == 0 {
            *self = other.clone();
            return;
        }
        let (ours, theirs) = (self.samples as f64, other.samples as f64);
        let distance = other.mean - self.mean;
        self.samples += other.samples;
        let all = self.samples as f64;
        self.mean += distance * theirs / all;
        self.squares += other.squares + distance * distance * ours * theirs / all;
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
        self.buckets = merged(&self.buckets, &other.buckets);
    }

    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The nearest-rank percentile, `share` 0 to 1, within [`RELATIVE_ERROR`]; none when nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = ((share.clamp(0.0, 1.0) * self.samples as f64).ceil() as u64).max(1);
        let mut below = 0;
        self.buckets.iter().find_map(|(bucket, count)| {
            below += count;
            (below >= rank).then(|| middle_of(*bucket).clamp(self.lowest, self.highest))
        })
    }

    /// The percentiles that a baseline has; none when nothing was counted.
    #[must_use]
    pub fn baseline(&self) -> Option<Baseline> {
        Some(Baseline {
            samples: self.samples,
            p50: self.quantile(0.50)?,
            p75: self.quantile(0.75)?,
            p95: self.quantile(0.95)?,
            p99: self.quantile(0.99)?,
            volatility: if self.samples < 2 { 0.0 } else { (self.squares / (self.samples - 1) as f64).max(0.0).sqrt() },
        })
    }

    /// The stored form: format, samples, mean, squares, lowest, highest, then (distance from the bucket before, count).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(42 + 3 * self.buckets.len());
        bytes.push(FORMAT);
        put(&mut bytes, self.samples);
        for real in [self.mean, self.squares, self.lowest, self.highest] {
            bytes.extend_from_slice(&real.to_le_bytes());
        }
        let mut before = 0;
        for (bucket, count) in &self.buckets {
            put(&mut bytes, zigzag(i64::from(*bucket) - before));
            put(&mut bytes, *count);
            before = i64::from(*bucket);
        }
        bytes
    }

    /// Reads the stored form; none when it is not one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[FORMAT])?;
        let samples = take(&mut rest)?;
        let mut reals = [0.0; 4];
        for real in &mut reals {
            let (head, tail) = rest.split_first_chunk::<8>()?;
            *real = f64::from_le_bytes(*head);
            rest = tail;
        }
        let [mean, squares, lowest, highest] = reals;
        if lowest > highest || reals.iter().any(|real| !real.is_finite()) {
            return None;
        }
        let mut buckets: Vec<(i32, u64)> = Vec::with_capacity(rest.len() / 2);
        let mut bucket = 0_i64;
        let mut counted = 0_u64;
        while !rest.is_empty() {
            bucket = bucket.checked_add(unzigzag(take(&mut rest)?))?;
            let count = take(&mut rest)?;
            counted = counted.checked_add(count)?;
            let bucket = i32::try_from(bucket).ok()?;
            if buckets.last().is_some_and(|(before, _)| *before >= bucket) {
                return None;
            }
            buckets.push((bucket, count));
        }
        (counted == samples).then_some(Self { samples, mean, squares, lowest, highest, buckets })
    }
}

/// The sums of both, which are in the order of their buckets.
fn merged(ours: &[(i32, u64)], theirs: &[(i32, u64)]) -> Vec<(i32, u64)> {
    let mut all = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.iter().copied().peekable(), theirs.iter().copied().peekable());
    while let (Some((our, _)), Some((their, _))) = (ours.peek(), theirs.peek()) {
        all.extend(match our.cmp(their) {
            Ordering::Less => ours.next(),
            Ordering::Greater => theirs.next(),
            Ordering::Equal => {
                ours.next().zip(theirs.next()).map(|((bucket, count), (_, more))| (bucket, count.saturating_add(more)))
            }
        });
    }
    all.extend(ours.chain(theirs));
    all
}

/// The exponent and the first bits of the mantissa, as one number that grows with the value; negatives mirror it.
fn bucket_of(value: f64) -> i32 {
    let size = value.abs();
    if size < SMALLEST {
        return 0;
    }
    let above_smallest = (size.to_bits() - SMALLEST.to_bits()) >> (52 - MANTISSA_BITS);
    // At most 1,088 doublings of 32 buckets: it fits.
    let bucket = above_smallest as i32 + 1;
    if value < 0.0 { -bucket } else { bucket }
}

fn middle_of(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let edge = |index: u64| f64::from_bits(SMALLEST.to_bits() + (index << (52 - MANTISSA_BITS)));
    let index = u64::from(bucket.unsigned_abs() - 1);
    let (low, high) = (edge(index), edge(index + 1));
    let middle = if high.is_finite() { low + (high - low) / 2.0 } else { low };
    if bucket < 0 { -middle } else { middle }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// LEB128: seven bits a byte, the lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
