//! A real daemon with a model on loopback: the process that thinks, and a question of an operator.

use std::{ffi::OsStr, fs, path::Path, time::Duration};

use serde_json::json;

use crate::{
    daemon::Daemon,
    execute_support::is_root,
    llm_server::{Answer, Asked, Server, gemini},
};

const KEY: &str = "CANARY-key-7f3a";

/// A daemon that asks a server which answers by that script.
fn with_model<T>(
    script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static,
    test: impl FnOnce(&Daemon, &Path, &Server) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(Server::begin(script));
    let dir = tempfile::tempdir().unwrap();
    let (key, settings) = (dir.path().join("key"), dir.path().join("kernelsight.toml"));
    fs::write(&key, format!("{KEY}\n")).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(
        &settings,
        format!(
            "[model]\nprovider = 'gemini'\nmodel = 'scripted'\nbase_url = '{}/v1beta/'\nkey_file = '{}'\ndeadline_s = 20\n",
            server.url(),
            key.display()
        ),
    )
    .unwrap();
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
    with_model(script, |daemon, state, server| {
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
fn who_thinks_is_nobody_and_can_do_nothing() {
    if !is_root() {
        return;
    }
    let script = |_: &Asked, _: usize| {
        Answer::Dripping(vec![gemini(&json!([{ "text": "wait" }]), true)], Duration::from_secs(3))
    };
    with_model(script, |daemon, _, server| {
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

/// The process that thinks: a child of a child of the daemon.
fn reasoner_of(daemon: u32) -> u32 {
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
