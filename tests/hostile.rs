//! What no correct gate lets through, and what a useful gate must.

use std::{fs, path::Path};

use kernelsight::{execute::Policy, live::Autonomy};
use serde_json::Value;

use crate::execute_support::{Target, is_root, policy};

fn rows(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name);
    fs::read_to_string(path).unwrap().split_terminator('\n').map(str::to_owned).collect()
}

/// Puts live processes in the place of the words that stand for them.
fn with_live(row: &str, live: &Target) -> String {
    row.replace("\"@live\"", &live.pid().to_string())
        .replace("\"@self\"", &std::process::id().to_string())
        .replace("\"@parent\"", &std::os::unix::process::parent_id().to_string())
}

fn check(policy: &Policy, row: &str) -> (bool, String, String) {
    let answer = policy.check_row(row, Autonomy::Agent);
    let given: Value = serde_json::from_str(row).unwrap();
    assert_eq!(answer["id"], given["id"]);
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    (answer["allowed"].as_bool().unwrap(), text("reason"), text("rule"))
}

#[test]
fn every_hostile_row_is_denied_with_a_reason() {
    let policy = policy();
    let live = Target::idle();
    let rows: Vec<String> = [rows("hostile_commands.jsonl"), rows("hostile_actions.jsonl")].concat();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    for row in rows {
        let row = with_live(&row, &live);
        let (allowed, reason, rule) = check(&policy, &row);
        assert!(!allowed, "allowed by {rule}: {row}");
        assert!(!reason.is_empty() && !rule.is_empty(), "no reason: {row}");
        assert!(!reason.contains("no process"), "denied only because nobody has the number: {row}: {reason}");
    }
}

#[test]
fn every_benign_row_is_allowed_at_guardian() {
    if !is_root() {
        return;
    }
    let policy = policy();
    let live = Target::idle();
    let rows = rows("benign_actions.jsonl");
    assert!(rows.len() >= 9, "{} rows", rows.len());
    for row in rows {
        let answer = policy.check_row(&with_live(&row, &live), Autonomy::Guardian);
        assert_eq!(answer["allowed"], true, "{row}: {answer}");
    }
}

#[test]
fn hostile_lines_stay_denied_however_they_are_bent() {
    let policy = policy();
    let lines: Vec<String> = rows("hostile_commands.jsonl")
        .iter()
        .map(|row| serde_json::from_str::<Value>(row).unwrap()["cmd"].as_str().unwrap().to_owned())
        .collect();
    let good: Vec<&str> = vec!["renice -n 10 -p 4242", "sync", "kill -TERM 4242", "cgset -r cpu.max=50000 /x"];
    let glue =
        [";", " ; ", "&&", "|", "\n", "\r", "\t", "\0", "\u{2028}", "\u{a0}", "`", "$(", ")", "'", "\"", "\\\n", "#"];
    let mut dice = Dice(0x5eed);
    let mut allowed = Vec::new();
    for _ in 0..20_000 {
        let line = dice.pick(&lines);
        let bent = match dice.below(6) {
            0 => format!("{}{}{line}", dice.pick(&good), dice.pick(&glue)),
            1 => format!("{line}{}{}", dice.pick(&glue), dice.pick(&good)),
            2 => insert(line, dice.below(line.chars().count() + 1), dice.pick(&glue)),
            3 => format!(" {line} "),
            4 => line.to_uppercase(),
            _ => insert(line, dice.below(line.chars().count() + 1), " "),
        };
        if policy.check_command(&bent).allowed {
            allowed.push(bent);
        }
    }
    assert_eq!(allowed, Vec::<String>::new());
}

#[test]
fn a_good_line_with_anything_after_it_or_before_it_is_denied() {
    let policy = policy();
    for good in ["renice -n 10 -p 4194304", "sync", "sysctl -w vm.swappiness=10", "cgset -r cpu.max=50000 /x-none"] {
        assert!(policy.check_command(good).allowed, "{good}: {:?}", policy.check_command(good));
        for byte in 0..=u8::MAX {
            let byte = char::from(byte);
            let tail = format!("{good}{byte}");
            // A digit more is another number, a letter more another cgroup: judged for what it is.
            let is_part_of_a_name = byte.is_ascii_alphanumeric() || "_.:@+=-\\".contains(byte);
            let is_itself = is_part_of_a_name && good.starts_with("cgset") || byte == '0' && good.ends_with("=10");
            if !is_itself {
                assert!(!policy.check_command(&tail).allowed, "{tail:?}");
            }
            let head = format!("{byte}{good}");
            assert!(!policy.check_command(&head).allowed, "{head:?}");
        }
    }
}

#[test]
fn a_line_that_is_made_to_take_for_ever_is_refused_by_its_length() {
    let policy = policy();
    for line in [
        format!("taskset -a -c {} -p 4242", "0,".repeat(100_000)),
        format!("cgset -r cpu.max=50000 {}", "/a".repeat(100_000)),
        format!("renice -n 10 -t {}1 -p 4242", "1,".repeat(1_000_000)),
        " ".repeat(10_000_000),
    ] {
        let verdict = policy.check_command(&line);
        assert_eq!((verdict.allowed, verdict.rule.as_str()), (false, "commands.length"));
        assert!(verdict.reason.len() < 200);
    }
}

fn insert(line: &str, at: usize, what: &str) -> String {
    line.chars().take(at).chain(what.chars()).chain(line.chars().skip(at)).collect()
}

/// The same mutations at each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a, T: AsRef<str>>(&mut self, from: &'a [T]) -> &'a str {
        from[self.below(from.len())].as_ref()
    }
}
