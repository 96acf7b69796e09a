//! Answers in plain words: what is in nothing that was read is found, and nothing else.

use kernelsight::mind::{
    route::{Route, route},
    spoken::look_up,
};
use serde_json::{Value, json};

fn read() -> Vec<Value> {
    vec![
        json!({ "node": [["cpu_busy_percent", 87.46], ["memory_available_bytes", 2_684_354_560.0_f64]] }),
        json!({ "process": { "pid": 4711, "name": "program-1", "rss_bytes": 734_003_200, "wait_ms": 41.7, "forks_per_s": 912.4 },
            "cgroup": "/cgroup-2", "share": 0.62, "age_s": 5400.0,
            "sentence": "resident memory grows by 31.5 MiB/s" }),
    ]
}

fn unread(answer: &str) -> Vec<String> {
    look_up(answer, &read()).unread
}

#[test]
fn what_was_read_may_be_said_rounded_and_in_other_units() {
    for answer in [
        "The CPUs are busy 87 % of the time; 87.5 percent, to be exact.",
        "program-1 (pid 4711) in /cgroup-2 holds 700 MiB, which is 0.7 GB, and it grows by 31.5 MiB/s.",
        "2.5 GiB are free. It has 62 % of it, or 0.62.",
        "It waits 42 ms at a time, forks 912 times a second and is 90 minutes old, 1.5 h.",
        "Two of 3 hypotheses are rejected; see 1) and 2).",
        "Do `kernelsight approve 77`, or `prlimit --pid 1 --nofile=4096`.",
        "It began at 12:04:35 and is served by http-8080.",
    ] {
        assert_eq!(unread(answer), Vec::<String>::new(), "{answer}");
    }
}

#[test]
fn what_nobody_read_is_found_by_its_number_its_unit_and_its_name() {
    assert_eq!(unread("The CPUs are busy 93 % of the time."), ["93 %"]);
    // The number is there, as another thing.
    assert_eq!(unread("It holds 4711 MiB."), ["4711 MiB"]);
    assert_eq!(unread("It waits 87 ms."), ["87 ms"]);
    assert_eq!(unread("Process 4712, program-9 in /cgroup-1, is to blame."), ["4712", "program-9", "/cgroup-1"]);
    assert_eq!(unread("It forks 1,912 times a second."), ["1,912"]);
}

#[test]
fn an_answer_that_says_nothing_of_numbers_is_no_claim() {
    let spoken = look_up("All is calm.", &read());
    assert_eq!((spoken.said, spoken.complaint()), (0, None));
}

#[test]
fn a_question_is_about_how_it_is_why_it_is_or_what_is_to_be_done() {
    for (question, expected) in [
        ("what is the level?", Route::Informational),
        ("Which processes run?", Route::Informational),
        ("how much memory is free", Route::Informational),
        ("why is this node slow?", Route::Diagnostic),
        ("what is the cause of the leak?", Route::Diagnostic),
        ("is something wrong?", Route::Diagnostic),
        ("warum ist er langsam?", Route::Diagnostic),
        ("", Route::Diagnostic),
        ("please restart nginx", Route::Action),
        ("Could you limit the hog?", Route::Action),
        ("kill -9 4711", Route::Action),
    ] {
        assert_eq!(route(question), expected, "{question}");
    }
}
