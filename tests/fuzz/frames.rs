//! What passes between daemon, actors and executors, and where a frame of the socket ends: however the bytes come, they
//! mean the same, and what is too long is refused by its bound.

use std::{
    fmt::Debug,
    io::{self, BufRead, BufReader, Read},
};

use kernelsight::{
    execute::{
        actor::message::{ANSWER_MAX, ASK_MAX, Answer, Ask, WORD_MAX, Word},
        command::Command,
        line,
        sandbox::{ORDER_MAX, Order},
    },
    serve::Frame,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Splits of one input that are tried; more than that of a long one would all be alike.
const SPLITS: usize = 64;

pub(crate) fn check(bytes: &[u8]) -> bool {
    check_frames(bytes);
    let mut said = check_lines::<Word>(bytes, WORD_MAX);
    said |= check_lines::<Answer>(bytes, ANSWER_MAX);
    said |= check_lines::<Order>(bytes, ORDER_MAX);
    let asks = check_lines::<Ask>(bytes, ASK_MAX);
    said || asks
}

/// True when all of it is lines of this type.
fn check_lines<T: DeserializeOwned + Serialize + Debug>(bytes: &[u8], most: usize) -> bool {
    let whole = read_all::<T>(bytes, most);
    for at in split_points(bytes) {
        let (first, rest) = bytes.split_at(at);
        assert_eq!(read_all::<T>(BufReader::new(first.chain(rest)), most), whole, "split at {at}");
    }
    assert_eq!(read_all::<T>(BufReader::with_capacity(1, bytes), most), whole, "byte by byte");
    let first = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default().len();
    if first > 1 {
        let error = line::read::<T>(&mut &*bytes, first - 1).expect_err("it is longer");
        assert!(error.to_string().contains(&format!("more than {} bytes", first - 1)), "{error}");
    }
    let complete = whole.last().is_none_or(Result::is_ok);
    for value in whole.iter().flatten() {
        let again = serde_json::from_value::<T>(value.clone()).expect("what was read is written so that it is read");
        let line = line::write(&again, most.max(bytes.len() * 6)).expect("there is room");
        let again = line::read::<T>(&mut &*line, line.len()).expect("it is a line").expect("there is one");
        assert_eq!(value, &serde_json::to_value(again).expect("it was a value before"));
        check_command(value);
    }
    complete && !whole.is_empty()
}

/// All lines, up to the first that is none.
fn read_all<T: DeserializeOwned + Serialize>(mut from: impl BufRead, most: usize) -> Vec<Result<Value, String>> {
    let mut next = || -> io::Result<Option<Value>> {
        let Some(read) = line::read::<T>(&mut from, most)? else { return Ok(None) };
        Ok(Some(serde_json::to_value(read)?))
    };
    let mut lines = Vec::new();
    loop {
        match next() {
            Ok(Some(value)) => lines.push(Ok(value)),
            Ok(None) => return lines,
            Err(error) => {
                lines.push(Err(error.to_string()));
                return lines;
            }
        }
    }
}

/// The argument vector that an actor judges is the one that its executor is given.
fn check_command(value: &Value) {
    let words = value["command"].as_array().into_iter().flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    if let Ok(command) = Command::parse(&words) {
        assert_eq!(command.arguments(), words);
    }
}

fn check_frames(bytes: &[u8]) {
    let lengths: Vec<usize> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let begun = lengths.last().copied().unwrap_or(0);
    for at in split_points(bytes) {
        let (first, rest) = bytes.split_at(at);
        let mut frame = Frame::new(longest);
        let ended = [first, rest].map(|piece| frame.take(piece).expect("none is longer than the longest"));
        assert_eq!((frame.begun(), ended.contains(&true)), (begun, lengths.len() > 1), "split at {at}");
        let Some(less) = longest.checked_sub(1) else { continue };
        let mut frame = Frame::new(less);
        let error = frame.take(first).and_then(|_| frame.take(rest)).expect_err("one is longer");
        assert!(error.to_string().contains(&format!("more than {less} bytes")), "{error}");
    }
}

fn split_points(bytes: &[u8]) -> impl Iterator<Item = usize> {
    (0..=bytes.len()).step_by(bytes.len() / SPLITS + 1)
}
