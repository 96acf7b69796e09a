//! What the gate allows is what its oracle allows: of the fuzzer's bytes as they are, and of what the generator of the
//! tests makes of them.
#![no_main]

use std::sync::LazyLock;

use kernelsight::{execute::Policy, live::Autonomy};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

#[expect(dead_code, reason = "the choices of the tests come from a seed, those of a fuzzer from its bytes")]
#[path = "../../tests/hostile_generator.rs"]
mod hostile_generator;
#[path = "../../tests/hostile_oracle.rs"]
mod hostile_oracle;

use hostile_generator::{Dice, action, line};
use hostile_oracle::{action_is_canonical, line_is_canonical};

/// The highest number that a process can have; nobody comes to it.
const NOBODY: u32 = 4_194_304;

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::embedded().expect("the rules prove themselves"));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_line(text);
        check_row(text);
    }
    let mut dice = Dice::Bytes(bytes);
    check_line(&line(&mut dice, &[], NOBODY));
    check_row(&action(&mut dice, &[], NOBODY));
});

fn check_line(line: &str) {
    assert!(!POLICY.check_command(line).allowed || line_is_canonical(line), "the gate allows {line:?}");
}

fn check_row(row: &str) {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(row) else { return };
    if fields.contains_key("cmd") || POLICY.check_row(row, Autonomy::Agent)["allowed"] != true {
        return;
    }
    let name = fields["action_type"].as_str().expect("a name was judged");
    let params = fields.get("params").and_then(Value::as_object).cloned().unwrap_or_default();
    assert!(action_is_canonical(name, &params), "the gate allows {row}");
}
