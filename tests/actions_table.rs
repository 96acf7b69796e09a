//! The table of actions in the docs: made of the catalogue, the plans that this machine allows, and the tests' own text.

use std::{fmt::Write as _, fs, path::Path};

use expect_test::expect_file;
use kernelsight::execute::{CatalogueEntry, catalogue};

const HEAD: &str = "\
# What KernelSight can do

Made of the program by `tests/actions_table.rs`; `UPDATE_EXPECT=1 cargo xtask test --filter actions_table` makes it anew.
`kernelsight actions NAME` tells of one action with its parameters and their ranges, `--dry-run` what it would do now.

An undo is *exact*: the previous value, unless somebody else changed it since. A lease is the time after which an action
is taken back by itself. A test is where the action is carried out on a real kernel, looked at and taken back.

What each is expected to do, what it costs and what it never touches stands below the table.

A limit of memory, CPU time or tasks of a cgroup that a unit of systemd owns is set through systemd, which would write
its own over it otherwise: the executor is given a connection to systemd's manager then, and no file.

| action | risk | its executor is given | writes | undo | lease | test |
|---|---|---|---|---|---|---|
";

const BELOW: &str = "
## What is expected of each, and what it never touches

An expectation with a formula is reckoned for each incident by `agent/src/simulate/effect.rs`, and its verdict compares
it with what came. Whoever approves an action cannot lift what it never touches.
";

#[test]
fn the_table_in_the_docs_is_that_of_the_program() {
    let tests = tests();
    let mut table = HEAD.to_owned();
    for entry in catalogue() {
        let tested: Vec<String> = tests
            .iter()
            .filter(|(_, text)| text.contains(&format!("\"{}\"", entry.name)))
            .filter(|(_, text)| undo(&entry) != "exact" || text.contains(".undo("))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        assert!(!tested.is_empty(), "no test of the executor names {}", entry.name);
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            entry.name,
            format!("{:?}", entry.risk).to_lowercase(),
            entry.power,
            entry.writes,
            undo(&entry),
            entry.lease_s.map_or_else(String::new, |lease_s| format!("{} min", lease_s / 60)),
            tested.join(", "),
        )
        .unwrap();
    }
    table.push_str(BELOW);
    for entry in catalogue().into_iter().filter(|entry| entry.has_effect) {
        assert!(entry.cost != "none" && !entry.predicts.starts_with("nothing"), "{} says too little", entry.name);
        writeln!(table, "\n**{}**\n", entry.name).unwrap();
        writeln!(table, "- expected: {}", entry.predicts).unwrap();
        writeln!(table, "- cost: {}", entry.cost).unwrap();
        for never in &entry.never {
            writeln!(table, "- never: {never}").unwrap();
        }
    }
    expect_file!["../docs/actions.md"].assert_eq(&table);
}

fn undo(entry: &CatalogueEntry) -> String {
    match entry.irreversible_because {
        _ if !entry.has_effect => String::new(),
        Some(why) => format!("none: {why}"),
        None => "exact".to_owned(),
    }
}

/// The tests that carry actions out, by name, with their text.
fn tests() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let mut found = Vec::new();
    for file in [
        "execute",
        "execute_process",
        "execute_files",
        "execute_sysctl",
        "execute_cgroup",
        "execute_own_cgroup",
        "execute_cgroup_v2",
        "unit_live",
        "execute_qdisc",
        "execute_link",
    ] {
        let text = fs::read_to_string(dir.join(file).with_extension("rs")).unwrap();
        for test in text.split("#[test]\n").skip(1) {
            let name = test.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).unwrap().0;
            found.push((format!("{file}::{name}"), test.to_owned()));
        }
    }
    found
}
