//! The gate allows what its oracle allows: of lines and rows as they are given, and of what the generator of the tests
//! makes of the bytes.

use std::sync::LazyLock;

use kernelsight::{execute::Policy, live::Autonomy};
use serde_json::{Map, Value};

use crate::{
    hostile_generator::{Dice, action, line},
    hostile_oracle::{action_is_canonical, line_is_canonical},
};

/// The highest number that a process can have; nobody comes to it.
const NOBODY: u32 = 4_194_304;

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::embedded().expect("the rules prove themselves"));

pub(crate) fn check(bytes: &[u8]) -> bool {
    let allowed = std::str::from_utf8(bytes).is_ok_and(|text| {
        // A seed is a text file, and ends as one.
        let text = text.strip_suffix('\n').unwrap_or(text);
        check_line(text) | check_row(text)
    });
    let mut dice = Dice::Bytes(bytes);
    check_line(&line(&mut dice, &[], NOBODY));
    check_row(&action(&mut dice, &[], NOBODY));
    allowed
}

fn check_line(line: &str) -> bool {
    let allowed = POLICY.check_command(line).allowed;
    assert!(!allowed || line_is_canonical(line), "the gate allows {line:?}");
    allowed
}

fn check_row(row: &str) -> bool {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(row) else { return false };
    if fields.contains_key("cmd") || POLICY.check_row(row, Autonomy::Agent)["allowed"] != true {
        return false;
    }
    let name = fields["action_type"].as_str().expect("a name was judged");
    let params = fields.get("params").and_then(Value::as_object).cloned().unwrap_or_default();
    assert!(action_is_canonical(name, &params), "the gate allows {row}");
    true
}
