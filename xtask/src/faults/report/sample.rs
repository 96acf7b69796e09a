//! A run by values, for the tests of its page.

use super::story::{Kind, Moment, Span, Story};
use crate::{
    client::Severity,
    faults::{
        catalogue::{Check, Fault},
        curve::Curve,
        rounds::{Course, End, Round, Run},
        score::{Mark, Score, Times},
    },
    page::Machine,
};

/// What a process may call itself, if nobody cuts it.
pub(crate) const HOSTILE: &str = "</script><h1>pwned</h1><img src=x>\" onload=\"alert(1)";

/// Two rounds of one fault, the second of which failed; whoever has a name is called `name`.
pub(crate) fn run_of(name: &str) -> Run {
    let fault: Fault = toml::from_str(
        "about = \"spinners\"\nbound_s = 40\nload = { name = \"cpu_hog\" }\n[expect]\nsignals = [\"load_mismatch\"]\nwithin_s = 10\n\
         culprit = [\"process\"]\ncause = [\"cpu_hog\"]\nactions = [\"lower_process_priority\"]",
    )
    .expect("a fault");
    let passed = Score {
        passed: true,
        times: Times { detect_s: Some(3.0), decide_s: Some(3.1), act_s: Some(3.5), relief_s: Some(30.0) },
        detected: Mark::Yes,
        blamed: Mark::Yes,
        explained: Mark::Yes,
        resolved: Mark::Yes,
        undone: Mark::Yes,
        done: "lower_process_priority".to_owned(),
        actions: vec![format!("lower_process_priority pid=812 ({name})")],
        ..Score::blank("cpu_hog")
    };
    let reasons = vec!["no action helped, by its verdict".to_owned(), format!("blamed {name}")];
    let failed = Score { passed: false, resolved: Mark::No, reasons, ..passed.clone() };
    let round = |score| Round { score, story: story_of(name), evidence: format!("faults/{name}").into() };
    Run {
        machine: Machine {
            begun: "2026-01-01T00:00:00Z".to_owned(),
            kernel: "Linux 6.1.0 x86_64".to_owned(),
            cpus: 2,
            memory_mb: Some(4096),
            commit: None,
        },
        command: "cargo xtask faults --only cpu_hog --repeat 2".to_owned(),
        planned: 2,
        courses: vec![Course {
            fault: Fault { name: "cpu_hog".into(), ..fault },
            rounds: vec![round(passed), round(failed)],
        }],
        end: End::Over,
    }
}

pub(super) fn story() -> Story {
    story_of("cpu_hog")
}

fn story_of(name: &str) -> Story {
    let moment =
        |at_s, kind, word: &str| Moment { at_s, kind, word: word.to_owned(), text: format!("{word} of {name}") };
    let span = |what: &str, severity| Span {
        from_s: 2.0,
        to_s: 32.0,
        open: false,
        severity,
        what: what.to_owned(),
        who: format!("{name} (pid 812)"),
        text: format!("{name} keeps others waiting"),
    };
    Story {
        until_s: 40.0,
        signals: vec![span("load_mismatch", Severity::High)],
        incidents: vec![span("resolved", Severity::High)],
        moments: vec![
            moment(3.1, Kind::Decision, "cpu_hog: act"),
            moment(3.5, Kind::Action, "lower_process_priority"),
            moment(28.0, Kind::Helped, "resolved"),
        ],
        curve: Curve {
            measure: "victim.done_p50_ms".to_owned(),
            check: Some(Check {
                measure: "victim.done_p50_ms".to_owned(),
                below: Some(6.5),
                above: None,
                below_of_peak: None,
                for_s: 3,
            }),
            points: (0..40).map(|second| (f64::from(second), Some(if second < 4 { 20.0 } else { 4.5 }))).collect(),
        },
    }
}
