//! The fuzz targets on every seed of their corpora, and on some thousand inputs that are made of those, the same at each
//! run. `cargo xtask fuzz` goes on from there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    fuzz::{TARGETS, run},
    hostile_generator::Dice,
};

/// Longest seed, bytes: each is read by people.
const SEED_MAX: u64 = 1024;
/// Longest input that is made, bytes.
const INPUT_MAX: usize = 4096;
/// What numbers, lengths and texts are bent to.
const WORST: [&[u8]; 16] = [
    b"0",
    b"-1",
    b"255",
    b"65536",
    b"4294967295",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551616",
    b"1e308",
    b"nan",
    b"null",
    b"[]",
    b"\x00",
    b"\xff\xff\xff\xff",
    "\u{202e}".as_bytes(),
    b"\x1b[2J\n",
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The seeds of a target by name. What a seed's name says of it comes first: `bad_` for what has to be refused.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(fuzz().join("corpus").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    // What cargo-fuzz finds it leaves beside them, named by its hash.
    files.retain(|file| file.file_name().is_some_and(|name| name.len() < 40));
    files.sort();
    files
        .iter()
        .map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), fs::read(file).unwrap()))
        .collect()
}

/// Runs each seed, and so many inputs that are made of them.
fn replay(target: &str, made: usize) {
    let seeds = seeds(target);
    for (name, seed) in &seeds {
        assert_eq!(run(target, seed), !name.starts_with("bad_"), "{target}/{name} is taken for another than it is");
    }
    let mut dice = Dice::Seeded(0x2545_f491_4f6c_dd1d);
    for place in 0..made {
        let input = bend(&mut dice, &seeds);
        if std::panic::catch_unwind(|| run(target, &input)).is_err() {
            panic!("{target}: input {place} of {made} is not as its oracle says: {}", input.escape_ascii());
        }
    }
}

/// A seed, changed in one to four places.
fn bend(dice: &mut Dice<'_>, seeds: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].1.clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let until = (at + 1 + dice.below(16)).min(input.len());
        match dice.below(8) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 => input.insert(at, u8::try_from(dice.below(256)).unwrap()),
            2 => drop(input.drain(at..until)),
            3 => {
                let twice = input[at..until].to_vec();
                input.splice(at..at, twice);
            }
            4 => input.truncate(at),
            5 => drop(input.splice(at..until, WORST[dice.below(WORST.len())].iter().copied())),
            6 => replace_number(&mut input, at, WORST[dice.below(WORST.len())]),
            _ => {
                let other = &seeds[dice.below(seeds.len())].1;
                let from = dice.below(other.len() + 1);
                let piece = &other[from..(from + dice.below(200)).min(other.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
        input.truncate(INPUT_MAX);
    }
    input
}

/// The first run of digits from there on becomes another.
fn replace_number(input: &mut Vec<u8>, from: usize, with: &[u8]) {
    let Some(begin) = input.iter().skip(from).position(u8::is_ascii_digit).map(|at| at + from) else { return };
    let end = input.iter().skip(begin).position(|byte| !byte.is_ascii_digit()).map_or(input.len(), |at| at + begin);
    input.splice(begin..end, with.iter().copied());
}

#[test]
fn ring_records_and_rows_are_what_their_bytes_say() {
    replay("records", 60_000);
}

#[test]
fn frames_mean_the_same_however_they_come() {
    replay("frames", 4_000);
}

#[test]
fn clients_are_answered_by_the_protocol_and_order_only_what_they_may() {
    replay("mcp", 2_000);
}

#[test]
fn files_of_an_operator_are_refused_with_the_place_or_mean_what_they_say() {
    replay("config", 6_000);
}

#[test]
fn the_gate_agrees_with_its_oracle_on_its_corpus() {
    replay("gate", 3_000);
}

#[test]
fn nothing_that_a_model_answers_is_believed() {
    replay("proposals", 6_000);
}

#[test]
fn what_a_provider_answers_is_the_same_however_it_comes_and_bounded() {
    replay("streams", 4_000);
}

#[test]
fn each_target_has_a_binary_and_a_dozen_small_seeds() {
    let names = |files: fs::ReadDir| -> BTreeSet<String> {
        files.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(fs::read_dir(fuzz().join("fuzz_targets")).unwrap()), targets);
    assert_eq!(names(fs::read_dir(fuzz().join("corpus")).unwrap()), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in targets {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")),
            "Cargo.toml has no binary {target}"
        );
        let seeds = seeds(&target);
        assert!(seeds.len() >= 12, "{target} has {} seeds", seeds.len());
        for (name, seed) in seeds {
            assert!(!seed.is_empty() && seed.len() as u64 <= SEED_MAX, "{target}/{name} has {} bytes", seed.len());
        }
    }
}
