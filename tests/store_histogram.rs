//! Histograms: within their error, and the same whichever way they are put together.

use kernelsight::store::histogram::{Histogram, RELATIVE_ERROR};

fn of(values: &[f64]) -> Histogram {
    let mut histogram = Histogram::default();
    values.iter().for_each(|value| assert!(histogram.add(*value)));
    histogram
}

/// Numbers over many magnitudes that look random and are the same each time.
fn values(count: usize) -> Vec<f64> {
    let mut state = 7_u64;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let unit = (state >> 11) as f64 / (1_u64 << 53) as f64;
            1e-3 * 1e15_f64.powf(unit)
        })
        .collect()
}

#[test]
fn a_percentile_is_within_its_error_over_fifteen_magnitudes() {
    let mut values = values(10_001);
    let histogram = of(&values);
    values.sort_unstable_by(f64::total_cmp);
    for share in [0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0] {
        let rank = ((share * values.len() as f64).ceil() as usize).max(1);
        let (found, exact) = (histogram.quantile(share).unwrap(), values[rank - 1]);
        assert!((found - exact).abs() <= exact * RELATIVE_ERROR, "p{share}: {found} for {exact}");
    }
}

#[test]
fn zero_negative_and_tiny_values_keep_their_order() {
    let histogram = of(&[-1000.0, -1.0, 0.0, 1e-30, 1.0, 1000.0]);
    let near = |share: f64, exact: f64| {
        let found = histogram.quantile(share).unwrap();
        assert!((found - exact).abs() <= exact.abs() * RELATIVE_ERROR, "{found} for {exact}");
    };
    for (place, exact) in [-1000.0, -1.0, 0.0, 0.0, 1.0, 1000.0].into_iter().enumerate() {
        near((place + 1) as f64 / 6.0, exact);
    }
}

#[test]
fn one_value_is_told_exactly() {
    let baseline = of(&[31.7]).baseline().unwrap();
    assert_eq!((baseline.p50, baseline.p99, baseline.volatility, baseline.samples), (31.7, 31.7, 0.0, 1));
    assert_eq!(Histogram::default().baseline(), None);
}

#[test]
fn parts_merge_into_the_whole() {
    let values = values(3000);
    let whole = of(&values);
    let mut merged = Histogram::default();
    for part in values.chunks(7) {
        merged.merge(&of(part));
    }
    for share in [0.5, 0.75, 0.95, 0.99] {
        assert_eq!(merged.quantile(share), whole.quantile(share));
    }
    let (found, exact) = (merged.baseline().unwrap().volatility, whole.baseline().unwrap().volatility);
    assert!((found / exact - 1.0).abs() < 1e-9, "{found} for {exact}");
    assert!((merged.mean() / whole.mean() - 1.0).abs() < 1e-9);
}

#[test]
fn what_is_stored_reads_back_and_nothing_else_does() {
    for histogram in [Histogram::default(), of(&[-5.5, 0.0, 5.5, 5.6, 1e149]), of(&values(500))] {
        let bytes = histogram.encode();
        assert_eq!(Histogram::decode(&bytes), Some(histogram));
        for end in 0..bytes.len() {
            // A shorter form counts less than it says.
            assert_eq!(Histogram::decode(&bytes[..end]), None);
        }
    }
    for junk in [&b""[..], b"\x02", &[0xff; 64], &[1; 200]] {
        assert_eq!(Histogram::decode(junk), None);
    }
    // Two samples, the second in the bucket (zigzag, from the first) after the first, in it once more, or before it.
    let two = |to_the_second: u8| [&[1, 2][..], &[0; 32], &[10, 1, to_the_second, 1]].concat();
    assert!(Histogram::decode(&two(2)).is_some());
    assert_eq!([two(0), two(1)].map(|bytes| Histogram::decode(&bytes)), [None, None]);
}

#[test]
fn an_hour_of_steady_readings_is_small() {
    let minute: Vec<f64> = (0..60).map(|at| 50.0 + f64::from(at % 7)).collect();
    assert!(of(&minute).encode().len() <= 64, "{}", of(&minute).encode().len());
}
