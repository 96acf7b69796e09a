//! Limits on the whole, over sequences of decisions that nobody would write down: none exceeds them.

use std::collections::{HashMap, HashSet};

use expect_test::expect;
use kernelsight::{
    agent::docket::{Docket, Ending},
    decide::Attempt,
    execute::{
        ActionRequest, Intent, JournalRow, JournalState, Limits, Over, Undo,
        limits::{Asked, Now},
    },
    explain::IncidentUid,
    observe::Severity,
    verify::Verdict,
};
use serde_json::Map;

use crate::store_rows::{NOW_MS, incident};

const BOOT: &str = "this boot";
const HOUR_MS: i64 = 3_600_000;
const LIMITS: &str = include_str!("../policies/limits.toml");

fn limits() -> Limits {
    Limits::parse(LIMITS).unwrap()
}

fn now(uptime_ms: i64) -> Now<'static> {
    Now { wall_ms: NOW_MS + uptime_ms, uptime_ms, boot_id: BOOT }
}

/// What was done at that time since boot, ms.
fn row(asked: &Asked<'_>, uptime_ms: i64, state: JournalState) -> JournalRow {
    JournalRow {
        id: 1,
        intent: Intent {
            incident: asked.incident.map(|uid| IncidentUid(uid.to_owned())),
            author: "rules".to_owned(),
            approved_by: asked.approved.then(|| "ann".to_owned()),
            rule: String::new(),
            action: ActionRequest { action_type: asked.action_type.to_owned(), params: Map::new() },
            command: String::new(),
            target: String::new(),
            target_key: asked.target.to_owned(),
            deed: asked.deed.to_owned(),
            undo: Undo::Nothing { why: String::new() },
            boot_id: BOOT.to_owned(),
            lease_until_ms: None,
            made_at_ms: NOW_MS + uptime_ms,
            uptime_ms,
        },
        state,
        note: String::new(),
        changed_at_ms: NOW_MS + uptime_ms,
    }
}

fn renice(deed: &'static str, target: &'static str) -> Asked<'static> {
    Asked { deed, incident: Some("one"), action_type: "lower_process_priority", target, approved: false }
}

fn told(answer: Result<(), Over>) -> String {
    answer.map_or_else(|over| format!("{}: {over}", over.rule), |()| "go".to_owned())
}

#[test]
fn what_ends_a_process_comes_after_something_milder_for_the_same_incident() {
    let limits = limits();
    let end = |incident| Asked { action_type: "terminate_process", incident, ..renice("b", "process:1@1") };
    let freeze = Asked { action_type: "freeze_cgroup", ..renice("a", "cgroup:/x") };
    let check = |asked: Asked<'_>, past: &[JournalRow]| told(limits.check(&[asked], past, now(600_000)));
    let ladder =
        "limits.ladder: terminate_process comes after something milder for the same incident, and nothing was tried";
    assert_eq!(check(end(Some("one")), &[]), ladder);
    let undone = [row(&freeze, 0, JournalState::Undone)];
    assert_eq!(check(end(Some("one")), &undone), "go");
    for never_judged in [JournalState::Failed, JournalState::Void] {
        assert_eq!(check(end(Some("one")), &[row(&freeze, 0, never_judged)]), ladder, "{never_judged}");
    }
    assert_eq!(check(end(Some("two")), &undone), ladder, "of another incident");
    assert_eq!(check(end(None), &undone), ladder, "of none");
    let ended = [row(&Asked { approved: true, ..end(Some("one")) }, 0, JournalState::Void)];
    assert_eq!(
        check(Asked { action_type: "kill_process", ..end(Some("one")) }, &ended),
        ladder.replace("terminate", "kill")
    );
    assert_eq!(check(Asked { approved: true, ..end(Some("one")) }, &[]), "go", "an operator may skip a step");
}

#[test]
fn what_has_no_verdict_keeps_others_waiting_and_never_its_own_deed() {
    let limits = limits();
    let first = renice("a", "process:1@1");
    let done = [row(&first, 0, JournalState::Done)];
    let check = |asked: Asked<'_>, uptime_ms| told(limits.check(&[asked], &done, now(uptime_ms)));
    assert_eq!(check(renice("a", "process:2@1"), 10), "go");
    expect![[r#"
        limits.incident: lower_process_priority on process:1@1 for the same incident is being verified
        limits.kind: another lower_process_priority, on process:1@1, is being verified
        go
        limits.verifier: lower_process_priority on process:1@1 has had no verdict for 121 s: it stalls"#]]
    .assert_eq(
        &[
            check(Asked { action_type: "freeze_cgroup", ..renice("b", "cgroup:/x") }, 20_000),
            check(Asked { incident: Some("two"), ..renice("b", "process:3@1") }, 20_000),
            check(Asked { incident: Some("two"), action_type: "freeze_cgroup", ..renice("b", "cgroup:/x") }, 20_000),
            check(Asked { incident: Some("two"), action_type: "freeze_cgroup", ..renice("b", "cgroup:/x") }, 121_000),
        ]
        .join("\n"),
    );
}

#[test]
fn budgets_ask_an_operator_and_ceilings_nobody() {
    let limits = limits();
    let kept = |count: i64, asked: fn(i64) -> Asked<'static>| -> Vec<JournalRow> {
        (0..count).map(|n| row(&asked(n), n * 1000, JournalState::Kept)).collect()
    };
    let same = kept(1, |_| renice("a", "process:1@1"));
    let again = renice("b", "process:1@1");
    let over = limits.check(&[again], &same, now(60_000)).unwrap_err();
    assert_eq!((over.rule, over.operator_may, over.wait_ms), ("limits.same", true, HOUR_MS - 60_000));
    assert_eq!(limits.check(&[Asked { approved: true, ..again }], &same, now(60_000)), Ok(()));
    assert_eq!(limits.check(&[again], &same, now(HOUR_MS)), Ok(()), "an hour later it is another day");

    let many = kept(6, |_| Asked { approved: true, ..renice("a", "process:1@1") });
    let over = limits.check(&[Asked { approved: true, ..again }], &many, now(60_000)).unwrap_err();
    assert_eq!((over.rule, over.operator_may), ("limits.same", false));
    expect!["6 lower_process_priority on process:1@1 in the last hour, and 6 are the most that this agent ever does"]
        .assert_eq(&over.why);
}

#[test]
fn a_target_rests_after_an_action_and_so_does_the_node() {
    let limits = limits();
    let done = [row(&renice("a", "process:1@1"), 0, JournalState::Undone)];
    let freeze = |target| Asked { action_type: "freeze_cgroup", ..renice("b", target) };
    let rule = |target, uptime_ms| {
        limits.check(&[freeze(target)], &done, now(uptime_ms)).map_err(|over| (over.rule, over.wait_ms))
    };
    assert_eq!(rule("process:1@1", 5000), Err(("limits.cooldown.target", 10_000)));
    assert_eq!(rule("process:1@1", 15_000), Ok(()));
    assert_eq!(rule("cgroup:/y", 500), Err(("limits.cooldown.node", 1500)));
    assert_eq!(rule("cgroup:/y", 2000), Ok(()));
}

#[test]
fn setting_the_clock_changes_no_budget() {
    let limits = limits();
    let done = [row(&renice("a", "process:1@1"), 0, JournalState::Kept)];
    for day in [-1, 1] {
        let at = Now { wall_ms: NOW_MS + day * 24 * HOUR_MS, ..now(60_000) };
        assert_eq!(limits.check(&[renice("b", "process:1@1")], &done, at).unwrap_err().rule, "limits.same");
    }
    // Of an earlier boot only the wall clock tells, and what lies ahead of it was just now.
    let other = Now { boot_id: "the next boot", wall_ms: NOW_MS - HOUR_MS, uptime_ms: 60_000 };
    assert_eq!(limits.check(&[renice("b", "process:1@1")], &done, other).unwrap_err().rule, "limits.cooldown.target");
}

#[test]
fn a_file_that_is_looser_than_the_ceilings_stops_the_start() {
    let with = |from: &str, to: &str| {
        assert!(LIMITS.contains(from));
        Limits::parse(&LIMITS.replacen(from, to, 1)).unwrap_err().to_string()
    };
    expect![[r#"
        `per_hour.node` of limits.toml is 121; it must be 120 or less, which this agent never exceeds
        `per_hour.same` of limits.toml is 7; it must be 6 or less, which this agent never exceeds
        `cooldown_s.target` of limits.toml is 0; it must be 10 or more, which this agent never exceeds
        `brake.failures` of limits.toml is 0; it must be 1 to 5, which this agent never exceeds"#]]
    .assert_eq(
        &[
            with("node = 30", "node = 121"),
            with("same = 1", "same = 7"),
            with("target = 15", "target = 0"),
            with("failures = 3", "failures = 0"),
        ]
        .join("\n"),
    );
    assert!(with("failures = 3", "failures = 3\nfaliures = 3").contains("unknown field `faliures`"));
}

#[test]
fn in_a_maintenance_window_only_what_is_approved_is_done() {
    let limits = Limits::parse(&format!("{LIMITS}\n[[maintenance]]\nfrom = \"00:00\"\nto = \"00:00\"")).unwrap();
    let over = limits.check(&[renice("a", "process:1@1")], &[], now(0)).unwrap_err();
    assert_eq!((over.rule, over.operator_may), ("limits.maintenance", true));
    assert_eq!(limits.check(&[Asked { approved: true, ..renice("a", "process:1@1") }], &[], now(0)), Ok(()));
}

/// xorshift64*: the same sequences each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % count
    }
}

const TYPES: [&str; 3] = ["freeze_cgroup", "lower_process_priority", "limit_cgroup_cpu"];
const TARGETS: [&str; 4] = ["process:1@1", "process:2@1", "cgroup:/x", "cgroup:/y"];
const INCIDENTS: [&str; 3] = ["one", "two", "three"];
const DEEDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// What was let through, kept apart from what the limits are told.
struct Seen {
    asked: Asked<'static>,
    at_ms: i64,
    verdict_at_ms: i64,
}

#[test]
fn no_sequence_of_decisions_exceeds_a_limit() {
    let limits = limits();
    let mut dice = Dice(0x5eed);
    let (mut let_through, mut barred) = (0, HashMap::new());
    for _ in 0..100_000 {
        let mut seen: Vec<Seen> = Vec::new();
        let mut at_ms = 0;
        for deed in DEEDS {
            at_ms += [0, 500, 3000, 16_000, 90_000, 1_000_000][dice.below(6) as usize];
            let incident = INCIDENTS[dice.below(3) as usize];
            let action_type = TYPES[dice.below(3) as usize];
            let approved = dice.below(4) == 0;
            let first = dice.below(4) as usize;
            let asked: Vec<Asked<'static>> = (0..=dice.below(2) as usize)
                .map(|n| Asked {
                    deed,
                    incident: Some(incident),
                    action_type,
                    target: TARGETS[(first + n) % 4],
                    approved,
                })
                .collect();
            let past: Vec<JournalRow> = seen
                .iter()
                .map(|one| {
                    let open = one.verdict_at_ms > at_ms;
                    row(&one.asked, one.at_ms, if open { JournalState::Done } else { JournalState::Kept })
                })
                .collect();
            match limits.check(&asked, &past, now(at_ms)) {
                Ok(()) => {
                    let_through += 1;
                    let verdict_at_ms = at_ms + 1 + dice.below(100_000) as i64;
                    seen.extend(asked.into_iter().map(|asked| Seen { asked, at_ms, verdict_at_ms }));
                    holds(&seen);
                }
                Err(over) => *barred.entry(over.rule).or_insert(0) += 1,
            }
        }
    }
    assert!(let_through > 100_000, "{let_through}");
    let rules: HashSet<&str> = barred.keys().copied().collect();
    for rule in ["incident", "kind", "cooldown.target", "cooldown.node", "same"] {
        assert!(rules.contains(format!("limits.{rule}").as_str()), "{rule} was never met: {barred:?}");
    }
}

/// What was let through says by itself that no limit was exceeded when the last of it began.
fn holds(seen: &[Seen]) {
    let last = &seen[seen.len() - 1];
    let others = || seen.iter().filter(|one| one.asked.deed != last.asked.deed);
    for one in others() {
        let age_ms = last.at_ms - one.at_ms;
        let same_target = one.asked.target == last.asked.target;
        assert!(age_ms >= 2000, "the node rests");
        assert!(!same_target || age_ms >= 15_000, "the target rests");
        if one.verdict_at_ms > last.at_ms {
            assert_ne!(one.asked.incident, last.asked.incident, "one deed an incident");
            assert_ne!(one.asked.action_type, last.asked.action_type, "one deed of a kind");
        }
    }
    let unasked = |wanted: &dyn Fn(&Asked<'_>) -> bool| {
        seen.iter().filter(|one| !one.asked.approved && last.at_ms - one.at_ms < HOUR_MS && wanted(&one.asked)).count()
    };
    if !last.asked.approved {
        let Asked { target, action_type, .. } = last.asked;
        assert!(unasked(&|one| one.target == target && one.action_type == action_type) <= 1);
        assert!(unasked(&|one| one.target == target) <= 4);
        assert!(unasked(&|one| one.action_type == action_type) <= 20);
        assert!(unasked(&|_| true) <= 30);
    }
}

#[test]
fn an_oscillating_metric_causes_one_action_at_most() {
    let limits = limits();
    let mut dice = Dice(7);
    for _ in 0..200 {
        let (mut docket, mut past) = (Docket::default(), Vec::new());
        let mut at_ms = 0;
        // It comes and goes for an hour; each time it is another incident, and the same is decided.
        while at_ms < HOUR_MS {
            let uid = format!("incident at {at_ms}");
            let mut seen = incident(&uid, NOW_MS);
            seen.severity = Severity::Critical;
            let bad_for_ms = 1000 * (1 + dice.below(30) as i64);
            let calm_at_ms = at_ms + bad_for_ms;
            while at_ms < calm_at_ms.min(HOUR_MS) {
                for (taken, _) in docket.due(std::slice::from_ref(&seen), NOW_MS + at_ms) {
                    let deed = format!("deed at {at_ms}");
                    let asked = Asked { deed: &deed, incident: Some(&taken.uid.0), ..renice("", "process:1@1") };
                    let ending = match limits.check(&[asked], &past, now(at_ms)) {
                        Err(over) => Ending::Later { wait_ms: over.wait_ms, why: over.why },
                        Ok(()) => {
                            past.push(row(&asked, at_ms, JournalState::Kept));
                            let verdict = [Verdict::Resolved, Verdict::Unchanged][dice.below(2) as usize];
                            let actions = past[0].intent.action.clone().into();
                            Ending::Acted {
                                attempt: Attempt { actions, result: String::new(), is_test: false },
                                verdict,
                            }
                        }
                    };
                    docket.close(&taken.uid, ending, NOW_MS + at_ms);
                }
                at_ms += 1000;
            }
            at_ms += 1000 * dice.below(30) as i64;
        }
        assert_eq!(past.len(), 1, "{:?}", past.iter().map(|row| row.intent.uptime_ms).collect::<Vec<_>>());
    }
}
