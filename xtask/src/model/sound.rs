//! What a model would say that reads what it is told and no more: the cause by what the signals measure, the culprit by
//! who is suspected first, the mildest option. It does not look at what the rules say.

use serde_json::{Map, Value, json};

use super::{
    Answer, Asked,
    heard::{Heard, Voice, call, say},
};

/// What a measure tells of the cause: what is only true of one first.
const CAUSES: [(&str, &str); 32] = [
    ("oom_kills", "cgroup_memory_limit"),
    ("thrash", "swap_thrash"),
    ("round_trip", "swap_thrash"),
    ("forks_refused", "pids_limit"),
    ("fork_eagain", "pids_limit"),
    ("pids_percent", "pids_limit"),
    ("emfile", "fd_exhaustion"),
    ("enfile", "fd_exhaustion"),
    ("open_files", "fd_exhaustion"),
    ("enospc", "disk_full"),
    ("filesystem", "disk_full"),
    ("no_address", "port_exhaustion"),
    ("time_wait", "port_exhaustion"),
    ("close_wait", "close_wait_leak"),
    ("listen", "listen_overflow"),
    ("throttled", "cpu_quota"),
    ("forks_per_s", "fork_storm"),
    ("minor", "minor_fault_churn"),
    ("calls_per_s", "syscall_storm"),
    ("switches", "switch_storm"),
    ("major", "major_fault_storm"),
    ("growth", "memory_hog"),
    ("seconds_to_limit", "memory_hog"),
    ("dirty", "writeback_congestion"),
    ("sync", "writeback_congestion"),
    ("queue_depth", "device_saturation"),
    ("utilisation", "device_saturation"),
    ("retransmit", "network_loss"),
    ("eio", "syscall_errors"),
    ("other_errors", "syscall_errors"),
    ("wait_percent", "cpu_hog"),
    ("cpu_some", "cpu_hog"),
];
/// Slower growth than this is a leak, bytes a second.
const LEAKS_BELOW: f64 = 8e6;
/// Which causes lie in which field.
const FIELDS: [(&str, &[&str]); 3] = [
    ("memory", &["memory_hog", "memory_leak", "cgroup_memory_limit", "swap_thrash", "major_fault_storm"]),
    ("storage", &["disk_full", "writeback_congestion", "device_saturation", "syscall_errors", "fd_exhaustion"]),
    ("network", &["port_exhaustion", "close_wait_leak", "listen_overflow", "network_loss"]),
];

/// The next turn; `told` replaces its own choice of an option.
pub(super) fn answer_as(asked: &Asked, told: Option<Option<u64>>) -> Answer {
    let Some(heard) = Heard::of(asked) else {
        return Answer::Status(400, Vec::new(), "no request of an agent".to_owned());
    };
    match heard.voice {
        Voice::Specialist(field) => specialist(asked, &heard, field),
        Voice::Director => director(asked, &heard, told),
        Voice::Question => match heard.turns {
            0 => call(asked, "How does it press?", "get_pressure", &json!({})),
            _ => say(asked, "It is as `kernelsight status` shows; nothing else was found."),
        },
    }
}

/// Sets up three hypotheses, looks once, concludes.
fn director(asked: &Asked, heard: &Heard, told: Option<Option<u64>>) -> Answer {
    let packet = &heard.data;
    let suspect = &packet["suspects"][0];
    let option = told.unwrap_or_else(|| option(packet));
    match heard.turns {
        0 => look(asked, suspect),
        1 => conclude(asked, packet, claims(packet, suspect), option),
        // What was so a moment ago may not be any more.
        2 => {
            let sure = json!([{ "kind": "node_number", "number": "online_cpus", "at_least": 1 }]);
            conclude(asked, packet, sure, option)
        }
        _ => say(asked, "I cannot conclude."),
    }
}

fn look(asked: &Asked, suspect: &Value) -> Answer {
    let entity = &suspect["entity"];
    let thought = "The first suspect takes most of what is contested. Is it so now?";
    match (entity["pid"].as_u64(), entity["path"].as_str()) {
        (Some(pid), _) => call(asked, thought, "describe_process", &json!({ "pid": pid })),
        (None, Some(path)) => call(asked, thought, "describe_cgroup", &json!({ "cgroup": path })),
        _ => call(asked, "Nobody is suspected. Who is busy?", "top_processes", &json!({ "by": "cpu" })),
    }
}

fn conclude(asked: &Asked, packet: &Value, claims: Value, option: Option<u64>) -> Answer {
    let cause = cause(packet);
    let others = ["cpu_hog", "memory_leak", "network_loss"].into_iter().filter(|other| *other != cause).take(2);
    let mut hypotheses = vec![hypothesis(cause, "confirmed", claims)];
    hypotheses.extend(others.map(|other| hypothesis(other, "rejected", json!([]))));
    let timeline: Vec<i64> =
        packet["timeline"].as_array().into_iter().flatten().filter_map(|signal| signal["signal"].as_i64()).collect();
    let advice = format!("The cause is {cause}; see who is suspected first.");
    let draft = json!({
        "hypotheses": hypotheses, "timeline": timeline, "option": option, "advice": advice, "confidence": 0.8,
    });
    call(asked, "What I read fits one cause.", "draft_recommendation", &json!({ "draft": draft }))
}

fn hypothesis(cause: &str, verdict: &str, claims: Value) -> Value {
    json!({
        "failure_mode": cause,
        "statement": format!("it is {cause}"),
        "would_confirm": format!("what {cause} is measured by"),
        "would_refute": "that it is not measured",
        "verdict": verdict,
        "claims": claims,
    })
}

fn specialist(asked: &Asked, heard: &Heard, field: &str) -> Answer {
    let cause = cause(&heard.data);
    let mine = FIELDS.iter().find(|(_, causes)| causes.contains(&cause)).map_or("cpu", |(field, _)| field) == field;
    let opinion = json!({
        "mine": mine, "failure_mode": cause, "statement": format!("it is {cause}"), "option": option(&heard.data),
        "confidence": 0.7, "claims": [],
    });
    let thought = if mine { "This is of my field." } else { "This is of another field." };
    call(asked, thought, "give_opinion", &json!({ "field": field, "opinion": opinion }))
}

/// The likeliest, by what is measured.
fn cause(packet: &Value) -> &'static str {
    let signals = packet["timeline"].as_array().map(Vec::as_slice).unwrap_or_default();
    let measured = |word: &str| signals.iter().find(|s| s["measure"].as_str().is_some_and(|of| of.contains(word)));
    let Some((signal, cause)) = CAUSES.iter().find_map(|(word, cause)| Some((measured(word)?, *cause))) else {
        return "unknown";
    };
    let slow = signal["measure"].as_str().is_some_and(|of| of.contains("growth"))
        && signal["value"].as_f64().is_some_and(|rate| rate < LEAKS_BELOW);
    if slow { "memory_leak" } else { cause }
}

/// The first that is there; they come mildest first.
fn option(packet: &Value) -> Option<u64> {
    packet["options"][0]["option"].as_u64()
}

/// That the suspect is there, and the first signal.
fn claims(packet: &Value, suspect: &Value) -> Value {
    let mut claims = Vec::new();
    if let Some(pid) = suspect["entity"]["pid"].as_u64() {
        claims.push(json!({ "kind": "process_runs", "pid": pid }));
    }
    let mut open = Map::new();
    open.insert("kind".to_owned(), json!("signal_is_open"));
    open.insert("signal_type".to_owned(), packet["timeline"][0]["signal_type"].clone());
    claims.push(Value::Object(open));
    Value::Array(claims)
}

#[cfg(test)]
mod tests {
    use super::{super::heard::tests::asked, *};

    fn packet() -> Value {
        json!({
            "timeline": [
                { "signal": 7, "signal_type": "load_mismatch", "measure": "others_wait_percent", "value": 40.0 },
                { "signal": 9, "signal_type": "scheduler", "measure": "process_forks_per_s", "value": 900.0 },
            ],
            "suspects": [{ "entity": { "kind": "process", "pid": 812 } }],
            "options": [{ "option": 1 }, { "option": 2 }],
        })
    }

    fn called(answer: &Answer) -> (String, Value) {
        let Answer::Events(events) = answer else { panic!("{answer:?}") };
        let call = &events[0]["candidates"][0]["content"]["parts"][1]["functionCall"];
        (call["name"].as_str().expect("a call").to_owned(), call["args"].clone())
    }

    #[test]
    fn it_looks_at_the_suspect_and_takes_the_mildest_option_for_what_is_only_true_of_one_cause() {
        let (name, arguments) = called(&answer_as(&asked("You say what is wrong", &packet(), 0), None));
        assert_eq!((name.as_str(), arguments), ("describe_process", json!({ "pid": 812 })));
        let (name, arguments) = called(&answer_as(&asked("You say what is wrong", &packet(), 1), None));
        let draft = &arguments["draft"];
        assert_eq!((name.as_str(), &draft["option"]), ("draft_recommendation", &json!(1)));
        assert_eq!(draft["hypotheses"][0]["failure_mode"], "fork_storm");
        assert_eq!(draft["timeline"], json!([7, 9]));
        assert_eq!(draft["hypotheses"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn slow_growth_is_a_leak_and_what_nobody_knows_is_unknown() {
        let of = |measure: &str, value: f64| cause(&json!({ "timeline": [{ "measure": measure, "value": value }] }));
        assert_eq!(of("process_growth_bytes_per_s", 1e6), "memory_leak");
        assert_eq!(of("process_growth_bytes_per_s", 1e8), "memory_hog");
        assert_eq!(of("steal_percent", 50.0), "unknown");
    }
}
