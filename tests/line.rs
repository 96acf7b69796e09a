//! The lines by which daemon, actors and executors speak.

use expect_test::expect;
use kernelsight::execute::{
    actor::message::{WORD_MAX, Word},
    line,
};

fn said(bytes: &[u8]) -> String {
    match line::read::<Word>(&mut &*bytes, WORD_MAX) {
        Ok(word) => format!("{word:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_line_is_whole_or_it_is_none() {
    expect!["Some(Run)"].assert_eq(&said(b"\"run\"\n"));
    expect!["Some(Run)"].assert_eq(&said(b"\"run\"\n\"stand\"\n"));
    expect!["None"].assert_eq(&said(b""));
    expect!["a line ends before its newline"].assert_eq(&said(b"\"run\""));
}

#[test]
fn a_line_is_as_long_as_its_bound_and_no_longer() {
    let padded = |bytes: usize| format!("\"run\"{}\n", " ".repeat(bytes - 6)).into_bytes();
    expect!["Some(Run)"].assert_eq(&said(&padded(WORD_MAX)));
    expect!["a line has more than 64 bytes"].assert_eq(&said(&padded(WORD_MAX + 1)));
    expect!["a line has more than 64 bytes"].assert_eq(&said(&b"x".repeat(1000)));
    let refused = line::write(&"x".repeat(62), WORD_MAX).unwrap_err().to_string();
    expect!["a line has more than 64 bytes"].assert_eq(&refused);
}
