//! A real daemon with a model on loopback: the process that thinks, and a question of an operator.

use std::{ffi::OsStr, fs, path::Path, process::Stdio, time::Duration};

use serde_json::json;

use crate::{
    daemon::Daemon,
    execute_support::is_root,
    llm_server::{Answer, Asked, Server, gemini},
};

pub(crate) const KEY: &str = "CANARY-key-7f3a";
const OTHER_KEY: &str = "CANARY-other-9b1c";

/// A daemon that asks a server which answers by that script, with these settings of the model beside.
pub(crate) fn with_model<T>(
    more: &str,
    script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static,
    test: impl FnOnce(&Daemon, &Path, &Server) -> T,
) -> T {
    let server = Server::begin(script);
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("kernelsight.toml");
    let key = |name: &str, text: &str| {
        let key = dir.path().join(name);
        fs::write(&key, format!("{text}\n")).unwrap();
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        key.display().to_string()
    };
    let (url, own, other) = (server.url(), key("key", KEY), key("other", OTHER_KEY));
    let asked = format!("provider = 'gemini'\nmodel = 'scripted'\nbase_url = '{url}/v1beta/'\nkey_file = '{own}'");
    let keys = format!("[model.keys]\nopenai = '{other}'\nollama = '/nonexistent/key'");
    // What else this machine suffers is not put before it.
    fs::write(&settings, format!("[model]\ndecide = 'rules'\n{asked}\n{more}\n{keys}\n")).unwrap();
    let state = dir.path().join("state");
    let daemon = Daemon::start_with(&state, "advisor", &[OsStr::new("--config"), settings.as_os_str()]);
    let tested = test(&daemon, &state, &server);
    daemon.stop();
    tested
}

fn says(parts: serde_json::Value) -> Answer {
    Answer::Events(vec![gemini(&parts, true)])
}

#[test]
fn a_question_is_answered_by_what_the_model_looked_up() {
    if !is_root() {
        return;
    }
    let script = |_: &Asked, before: usize| match before {
        0 => says(
            json!([{ "text": "I look at the pressure." }, { "functionCall": { "name": "get_pressure", "args": {} } }]),
        ),
        _ => says(json!([{ "text": "Nothing stands still; " }, { "text": "it is calm." }])),
    };
    with_model("deadline_s = 20", script, |daemon, state, server| {
        let (code, said) = daemon.tells(&["ask", "why is this node slow?"]);
        assert_eq!((code, said.trim()), (0, "Nothing stands still; it is calm."));
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        assert!(asked[0].body.to_string().contains("why is this node slow?"));
        assert!(asked[1].body.to_string().contains("some_10s_percent"), "{}", asked[1].body);
        let replayed = daemon.ask(&["replay", "--case", "1"]);
        assert_eq!(replayed["same"], true, "{replayed}");
        // The key is where the request is, and nowhere else.
        assert!(asked.iter().all(|asked| !asked.body.to_string().contains(KEY)));
        let files = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|path| path.is_file()) {
            let bytes = fs::read(file).unwrap();
            assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()));
        }
    });
}

#[test]
fn another_model_is_asked_without_a_restart_and_with_its_own_key() {
    if !is_root() {
        return;
    }
    let script = |asked: &Asked, _: usize| {
        if asked.line.contains("GenerateContent") {
            return says(json!([{ "text": "Gemini says." }]));
        }
        let said =
            json!({ "choices": [{ "index": 0, "delta": { "content": "Another says." }, "finish_reason": "stop" }] });
        Answer::Raw(format!("data: {said}\n\ndata: [DONE]\n\n").into_bytes())
    };
    with_model("deadline_s = 20", script, |daemon, _, server| {
        let answer = || daemon.tells(&["ask", "how are you?"]).1.trim().to_owned();
        assert_eq!(answer(), "Gemini says.");
        let base_url = format!("{}/v1/", server.url());
        daemon.ask(&["model", "openai", "gpt-x", "--base-url", &base_url]);
        assert_eq!(answer(), "Another says.");
        let asked = server.asked();
        let headers: Vec<String> = asked.iter().map(|asked| format!("{:?}", asked.headers)).collect();
        assert_eq!(headers.len(), 2);
        assert!(headers[0].contains(KEY) && !headers[0].contains(OTHER_KEY), "{headers:?}");
        assert!(headers[1].contains(OTHER_KEY) && !headers[1].contains(KEY), "{headers:?}");
        // Who has no key of its own is not asked with that of another.
        daemon.ask(&["model", "anthropic", "claude-x"]);
        let refused = daemon.refuse(&["ask", "how are you?"]);
        assert!(refused.contains("anthropic needs a key; give it as model.keys.anthropic"), "{refused}");
        daemon.ask(&["model", "ollama", "qwen3", "--base-url", &server.url()]);
        let refused = daemon.refuse(&["ask", "how are you?"]);
        assert!(refused.contains("ollama has a key that cannot be used: the key cannot be read from"), "{refused}");
        assert_eq!(server.asked().len(), 2);
    });
}

#[test]
fn who_thinks_is_nobody_and_can_do_nothing() {
    if !is_root() {
        return;
    }
    let script = |_: &Asked, _: usize| {
        Answer::Dripping(vec![gemini(&json!([{ "text": "wait" }]), true)], Duration::from_secs(3))
    };
    with_model("deadline_s = 20", script, |daemon, _, server| {
        let mut asking = daemon.command(&["ask", "how are you?"]).spawn().unwrap();
        while server.asked().is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let reasoner = reasoner_of(daemon.pid());
        let status = fs::read_to_string(format!("/proc/{reasoner}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(field("Uid:"), "65534 65534 65534 65534");
        assert_eq!(field("Groups:"), "");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
        let limits = fs::read_to_string(format!("/proc/{reasoner}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
        // What is not dumpable is root's, whoever runs it.
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{reasoner}/mem")).unwrap());
        assert_eq!(owner, 0);
        for place in ["environ", "cmdline"] {
            let text = fs::read_to_string(format!("/proc/{reasoner}/{place}")).unwrap();
            assert!(!text.contains(KEY), "{place}: {text}");
        }
        asking.wait().unwrap();
    });
}

#[test]
fn a_turn_that_its_process_does_not_outlive_counts_and_is_told_apart() {
    if !is_root() {
        return;
    }
    let script = |_: &Asked, before: usize| match before {
        0 => Answer::Silence,
        _ => says(json!([{ "text": "It is calm." }])),
    };
    with_model("deadline_s = 20", script, |daemon, _, server| {
        let asking = daemon.command(&["ask", "how are you?"]).stdout(Stdio::piped()).spawn().unwrap();
        while server.asked().is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let reasoner = i32::try_from(reasoner_of(daemon.pid())).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(reasoner), nix::sys::signal::Signal::SIGKILL).unwrap();
        let said = asking.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap().trim(), "It is calm.");
        let metrics = daemon.ask(&["model", "--metrics"]);
        assert_eq!(metrics["turns"]["failed"], json!({ "interrupted": 1 }), "{metrics}");
        assert_eq!((&metrics["cases"]["answered"], &metrics["turns"]["answered"]), (&json!(1), &json!(1)));
        // As the provider says, and by our own estimate.
        assert_eq!(metrics["tokens"]["input"], 100);
        let sent = metrics["tokens"]["failed"].as_u64().unwrap();
        assert!(sent > 1000, "{metrics}");
        assert_eq!(metrics["budget"]["hour_tokens"].as_u64().unwrap(), 1_000_000 - sent - 125, "{metrics}");
    });
}

/// The process that thinks: a child of a child of the daemon.
pub(crate) fn reasoner_of(daemon: u32) -> u32 {
    let children = |pid: u32| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let told = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
        told.flat_map(|text| text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>())
            .collect::<Vec<_>>()
    };
    let words = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let midwife = children(daemon).into_iter().find(|pid| words(pid).contains("\0--midwife\0")).unwrap();
    children(midwife).into_iter().find(|pid| words(pid).contains("\0reason\0")).unwrap()
}

#[test]
fn an_answer_that_says_what_was_not_read_goes_back_once_and_is_refused_then() {
    if !is_root() {
        return;
    }
    let guess = |_: &Asked, _: usize| says(json!([{ "text": "The CPUs are busy 98765 % of the time." }]));
    with_model("deadline_s = 20", guess, |daemon, _, server| {
        let why = daemon.refuse(&["ask", "why is it slow?"]);
        assert!(why.contains("what it says is not so, twice: these are in nothing that you read: 98765 %"), "{why}");
        assert_eq!(server.asked().len(), 2);
        assert!(server.asked()[1].body.to_string().contains("answer again, once"));
        let replayed = daemon.ask(&["replay", "--case", "1"]);
        assert_eq!((&replayed["same"], &replayed["answer"]), (&json!(true), &json!(null)), "{replayed}");
        assert!(daemon.tells(&["trace", "--case", "1"]).1.contains("98765"));
    });
}

#[test]
fn answers_of_ten_megabytes_are_read_no_further_than_is_allowed() {
    if !is_root() {
        return;
    }
    let long = |_: &Asked, before: usize| match before % 2 {
        0 => Answer::Raw([b"data: ".to_vec(), vec![b'x'; 10 << 20]].concat()),
        _ => says(json!([{ "text": "All is calm." }])),
    };
    with_model("deadline_s = 20", long, |daemon, _, server| {
        let ask = |at: usize| daemon.tells(&["ask", &format!("how is it, {}?", "again ".repeat(at))]).0;
        assert_eq!((ask(0), ask(1)), (1, 0));
        let reasoner = reasoner_of(daemon.pid());
        let before = [daemon.pid(), reasoner].map(peak_kb);
        for at in 1..20 {
            assert_eq!((ask(2 * at), ask(2 * at + 1)), (1, 0));
        }
        assert_eq!(server.asked().len(), 40);
        assert_eq!(reasoner_of(daemon.pid()), reasoner, "it was another one");
        for (pid, before) in [daemon.pid(), reasoner].into_iter().zip(before) {
            let grown_kb = peak_kb(pid) - before;
            assert!(grown_kb < 6 << 10, "{pid} grew by {grown_kb} KiB");
        }
    });
}

/// The most that a process ever held.
fn peak_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
