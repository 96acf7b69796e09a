//! What the tests in the guest with systemd share: the agent installed as the README says, its unit, its door.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use kernelsight::execute::{Outcome, OutcomeStatus, Power};
use serde_json::Value;

use crate::daemon::order;

/// What the operator of the guest lists.
const LISTED: &str = r#"
[truncate]
path = ["/srv/listed/huge.log"]
[restart]
unit = ["app.service", "missing.service"]
"#;
pub(crate) const SOCKET: &str = "/run/kernelsight/kernelsight.sock";
pub(crate) const STATE: &str = "/var/lib/kernelsight";
const README: &str = include_str!("../README.md");
/// Where the guest has a clone with the release built.
const CLONE: &str = "/usr/src/kernelsight";
/// Longer than each of the cooldowns in limits.toml, and than an action needs until its verdict.
const COOLS_WITHIN: Duration = Duration::from_secs(90);
/// All is some twenty times slower without KVM.
const COMES_UP_WITHIN: Duration = Duration::from_secs(120);

/// Whether this is the guest that was made for it.
pub(crate) fn is_the_guest() -> bool {
    let here = Path::new("/etc/systemd/system/kernelsight-guest.service").exists();
    if !here {
        // Not said as skipped: `cargo xtask vm --systemd` is where it runs, and CI runs that.
        eprintln!("of the guest with systemd only");
    }
    here
}

#[track_caller]
pub(crate) fn run(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    said_by(line, Command::new(words[0]).args(&words[1..]))
}

#[track_caller]
fn said_by(line: &str, command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{line}`: {said}{complained}{}", journal());
    said.into_owned()
}

pub(crate) fn journal() -> String {
    let output = Command::new("journalctl").args(["--no-pager", "--lines", "80"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn ask(verb: &str) -> Value {
    serde_json::from_str(&run(&format!("kernelsight {verb} --json"))).unwrap()
}

/// None while nobody answers.
pub(crate) fn try_ask(verb: &str) -> Option<Value> {
    let output = Command::new("kernelsight").args([verb, "--json"]).output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// What systemd says of the daemon's unit.
pub(crate) fn property(name: &str) -> String {
    run(&format!("systemctl show --property={name} --value kernelsight")).trim().to_owned()
}

/// The lines of the README's section about the service, between its fences.
pub(crate) fn as_a_service() -> &'static str {
    let section = README.split("\n## As a service\n").nth(1).unwrap();
    section.split("```\n").nth(1).unwrap()
}

/// The agent, installed once by the README's own lines, and let act on what an operator lists.
pub(crate) fn start() {
    let listed = Path::new("/etc/kernelsight/policies/listed.toml");
    if !listed.exists() {
        said_by("the README", Command::new("sh").args(["-euxc", as_a_service()]).current_dir(CLONE));
        answers();
        fs::create_dir_all(listed.parent().unwrap()).unwrap();
        fs::write("/etc/kernelsight/kernelsight.toml", "policies = \"/etc/kernelsight/policies\"\n").unwrap();
        fs::write(listed, LISTED).unwrap();
        run("systemctl restart kernelsight");
    }
    comes_up();
    run("kernelsight autonomy agent");
}

/// Waits until the daemon that systemd has started last answers.
#[track_caller]
pub(crate) fn answers() -> Value {
    waits(|_| true)
}

/// The same, and until each actor was asked whether it can act.
#[track_caller]
pub(crate) fn comes_up() -> Value {
    let powers = Power::ALL.into_iter().filter(|power| !power.is_harmless()).count();
    waits(|status| {
        let parts = status["parts"].as_array().unwrap().iter();
        parts.filter(|part| part["kind"] == "actor").count() == powers
    })
}

#[track_caller]
fn waits(is_up: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = try_ask("status").filter(|status| status["pid"].as_u64() == property("MainPID").parse().ok());
        match status {
            Some(status) if is_up(&status) => {
                println!("up after {:.1} s", begun.elapsed().as_secs_f64());
                return status;
            }
            status => assert!(begun.elapsed() < COMES_UP_WITHIN, "it did not come up: {status:?}{}", journal()),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What an operator orders, done as soon as the node and the target have cooled down since the last, and the agent is
/// through with what it does of the kind by itself.
#[track_caller]
pub(crate) fn act(name: &str, params: Value) -> Outcome {
    let begun = Instant::now();
    loop {
        match order(Path::new(SOCKET), name, params.clone()) {
            Ok(outcome) => {
                assert_eq!(outcome.status, OutcomeStatus::Done, "{name}: {outcome:?}");
                println!("{name} took {} ms", outcome.duration_ms);
                return outcome;
            }
            Err(error) => {
                let waits = [" s must pass", " is being verified"].iter().any(|why| error.contains(why));
                assert!(waits && begun.elapsed() < COOLS_WITHIN, "{name}: {error}\n{}", journal());
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
