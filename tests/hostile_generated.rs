//! The gate against what a generator bends: what it allows is what an oracle of its own allows, and nothing else.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use kernelsight::{execute::Policy, live::Autonomy};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};

use crate::{
    execute_support::{Target, policy, policy_listing},
    hostile_generator::{Dice, LINES, action, line},
    hostile_oracle::{LINE_MAX, LISTED_FILE, LISTED_UNIT, action_is_canonical, line_is_canonical},
};

const COMMANDS: &str = include_str!("../policies/commands.toml");
const PROTECTED: &str = include_str!("../policies/protected.toml");
const AUTONOMY: &str = include_str!("../policies/autonomy.toml");

/// The highest number that a process can have; nobody comes to it.
const NOBODY: u32 = 4_194_304;

fn hostile_rows() -> (Vec<String>, Vec<String>) {
    let rows = |name: &str| -> Vec<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name);
        fs::read_to_string(path).unwrap().split_terminator('\n').map(str::to_owned).collect()
    };
    let field =
        |row: &String| -> String { serde_json::from_str::<Value>(row).unwrap()["cmd"].as_str().unwrap().to_owned() };
    let actions = [rows("hostile_actions.jsonl"), rows("benign_actions.jsonl")].concat();
    (rows("hostile_commands.jsonl").iter().map(field).collect(), actions)
}

/// The rules, and an operator's list that the oracle knows.
fn listing() -> Policy {
    // Processes of this very binary, as the live one is.
    policy_listing(&format!(
        "[kill]\ncomm = [\"all-*\"]\n[truncate]\npath = [\"{LISTED_FILE}\"]\n[restart]\nunit = [\"{LISTED_UNIT}\"]"
    ))
    .unwrap()
}

/// Judges so many bent lines and as many bent actions; what was allowed, of each.
fn judge(cases: usize, seed: u64) -> (BTreeSet<String>, BTreeSet<String>) {
    let policy = listing();
    let live = Target::idle();
    let (lines, rows) = hostile_rows();
    let rows: Vec<String> = rows.iter().map(|row| row.replace("\"@live\"", &live.pid().to_string())).collect();
    let mut dice = Dice::Seeded(seed);
    let (mut allowed_lines, mut allowed_actions) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..cases / 2 {
        let bent = line(&mut dice, &lines, NOBODY);
        if policy.check_command(&bent).allowed {
            assert!(line_is_canonical(&bent), "the gate allows {bent:?}");
            allowed_lines.insert(bent);
        }
        let bent = action(&mut dice, &rows, live.pid());
        if let Some(name) = allowed_action(&policy, &bent) {
            allowed_actions.insert(name);
        }
    }
    (allowed_lines, allowed_actions)
}

/// The name of an action that the gate allows, which the oracle then has to allow, too.
fn allowed_action(policy: &Policy, row: &str) -> Option<String> {
    if policy.check_row(row, Autonomy::Agent)["allowed"] != true {
        return None;
    }
    let fields: Map<String, Value> = serde_json::from_str(row).unwrap();
    let name = fields["action_type"].as_str().unwrap();
    let params = fields.get("params").map_or_else(Map::new, |params| params.as_object().unwrap().clone());
    assert!(action_is_canonical(name, &params), "the gate allows {row}");
    Some(name.to_owned())
}

#[test]
fn the_gate_allows_nothing_generated_that_its_oracle_does_not() {
    let (lines, actions) = judge(60_000, 0x9e37_79b9_7f4a_7c15);
    // A gate that allowed nothing would pass as well.
    let commands: BTreeSet<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    for form in LINES {
        let word = form.split(' ').next().unwrap();
        assert!(commands.contains(word) || no_systemd_answers(word), "no {form} was allowed");
    }
    assert!(lines.len() > 100, "{} lines were allowed", lines.len());
    for name in ["list_top_memory", "lower_process_priority", "pause_process", "terminate_process", "kill_process"] {
        assert!(actions.contains(name), "no {name} was allowed: {actions:?}");
    }
}

#[test]
fn the_oracle_and_the_gate_allow_every_form_that_there_is() {
    let policy = listing();
    for form in LINES {
        let line = form.replace('@', &NOBODY.to_string());
        let verdict = policy.check_command(&line);
        let unasked = no_systemd_answers(form) && verdict.rule == "target.unit";
        assert!(line_is_canonical(&line) && (verdict.allowed || unasked), "{line}: {verdict:?}");
    }
}

/// Whether this is for a unit, and nobody here says what units there are.
fn no_systemd_answers(form: &str) -> bool {
    form.starts_with("restart_unit") && !Path::new("/run/systemd/private").exists()
}

#[test]
fn every_hostile_row_is_refused_by_the_oracle_too() {
    let (lines, _) = hostile_rows();
    // Who pid 1 is, an oracle of forms does not know.
    let formed: Vec<&String> = lines.iter().filter(|line| line_is_canonical(line)).collect();
    assert!(formed.iter().all(|line| line.split(' ').any(|word| word == "1" || word == "2")), "{formed:?}");
}

#[test]
fn the_bytes_of_a_fuzzer_make_one_line_and_one_action_each() {
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let made =
        |bytes: &[u8]| (line(&mut Dice::Bytes(bytes), &[], NOBODY), action(&mut Dice::Bytes(bytes), &[], NOBODY));
    assert_eq!(made(&bytes[7..]), made(&bytes[7..]));
    assert_eq!(made(&[]).0, LINES[0].replace('@', "4194304"));
    assert_ne!(made(&bytes), made(&bytes[100..]));
}

/// The long run: `cargo test --release -- --ignored a_million_generated_lines_and_actions`.
#[test]
#[ignore = "long; fuzz/ goes on from there"]
fn a_million_generated_lines_and_actions() {
    for seed in 1..=4 {
        judge(260_000, seed * 0x2545_f491_4f6c_dd1d);
    }
}

#[test]
fn what_is_too_long_is_refused_before_any_pattern_is_looked_for() {
    let policy = policy();
    // Each would be refused for another reason, were it looked at.
    for worse in ["rm -rf / ; ", "\0", "\u{2028}", "LD_PRELOAD=x ", "/../", "kill -9 1 "] {
        let long = worse.repeat(LINE_MAX / worse.len() + 1);
        let verdict = policy.check_command(&long);
        assert_eq!((verdict.allowed, verdict.rule.as_str()), (false, "commands.length"), "{worse:?}");
        let long = format!("sync{}", " ".repeat(LINE_MAX - 3));
        assert_eq!(policy.check_command(&long).rule, "commands.length");
    }
    let longest = format!("cgset -r cpu.max=50000 /{}", "a".repeat(LINE_MAX - 24));
    assert_eq!(longest.len(), LINE_MAX);
    assert_ne!(policy.check_command(&longest).rule, "commands.length");
}

/// CPU time of this thread: what others take of the machine is none of it.
fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn judging_a_line_takes_time_in_proportion_to_its_length() {
    // The real rules, with room for 64 KiB.
    let roomy = COMMANDS.replace("max_line_bytes = 640", "max_line_bytes = 65536");
    assert_ne!(roomy, COMMANDS);
    let policy = Policy::parse(&roomy, PROTECTED, AUTONOMY, "").unwrap();
    for worst in ["/a", "0,", "1,1-", "A_=", "kill ", "k", " ", "..x", "a b ", "/bin/", "=/"] {
        let took = |bytes: usize| -> Duration {
            let line: String =
                ["cgset -r cpu.max=50000 /", &worst.repeat(bytes)].concat().chars().take(bytes).collect();
            (0..5)
                .map(|_| {
                    let begun = own_time();
                    assert!(!policy.check_command(&line).allowed);
                    own_time() - begun
                })
                .min()
                .unwrap()
        };
        // Four times the length: 4 in proportion, 16 by the square.
        let (short, long) = (took(16 << 10), took(64 << 10));
        assert!(long < short * 9, "{worst:?}: {short:?} and {long:?}");
    }
}
