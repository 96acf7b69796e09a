//! What the doctor says of a model: who is asked, with which key, and by whom.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
};

use expect_test::{Expect, expect};
use kernelsight::{
    cli::{
        doctor::{
            self, Check, Report,
            model::{Around, Asks, checks, listening},
        },
        eyes::Eyes,
    },
    config::Settings,
    llm::{ModelChoice, Places},
};

/// What stands before the names of files here.
const HERE: &str = "/here";

struct Machine {
    dir: tempfile::TempDir,
    settings: Settings,
    around: Around,
}

impl Machine {
    /// One whose agent does not run, with these settings of its model.
    fn with(model: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("state_dir = '{HERE}/state'\nsocket = '{HERE}/k.sock'\n[model]\n{model}");
        let text = text.replace(HERE, &dir.path().display().to_string());
        let settings = Settings::parse(&text, Path::new("kernelsight.toml")).and_then(Settings::checked).unwrap();
        let keys = settings.model.keys.iter();
        let own = Places {
            file: settings.model.key_file.clone(),
            files: keys.map(|(provider, file)| (provider.name().to_owned(), file.clone())).collect(),
            credentials: None,
            variable: |_| None,
        };
        let around = Around {
            unit_socket: None,
            unit_keys: dir.path().to_owned(),
            listening: Vec::new(),
            own,
            asks: Asks::Untold,
        };
        Self { dir, settings, around }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn says(&self, expected: Expect) {
        let report = Report { can_run: true, checks: checks(&self.settings, &self.around) };
        let eyes = Eyes { now_ms: 0, zone: jiff::tz::TimeZone::UTC, width: None };
        let text = anstream::adapter::strip_str(&doctor::text(&report, &eyes)).to_string();
        // The last line sums up all of them.
        let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
        expected.assert_eq(&lines.join("\n").replace(&self.dir.path().display().to_string(), HERE));
    }
}

#[test]
fn where_none_is_set_nothing_is_wanted() {
    Machine::with("").says(expect!["✓ model             none is set; the rules decide alone"]);
}

#[test]
fn a_model_without_a_key_is_told_where_to_give_one() {
    let mut machine = Machine::with("provider = 'gemini'");
    machine.says(expect![[r#"
        ✓ model             gemini/gemini-3-pro-preview
        ! model key         gemini needs one, and there is none
                            the model is not asked; the rules decide alone
                            to mend: name a file of one line, for its owner alone, as model.keys.gemini in /etc/kernelsight/kernelsight.toml, or start the agent with KERNELSIGHT_GEMINI_KEY
        ✓ reasoner          the agent makes it when it runs"#]]);
    // That of another is not its own.
    machine.file("model-openai.key", "CANARY", 0o600);
    machine.around.unit_socket = Some(machine.path("unit.sock"));
    machine.around.own.file = Some(machine.path("ours"));
    machine.says(expect![[r#"
        ✓ model             gemini/gemini-3-pro-preview
        ! model key         gemini needs one, and there is none
                            the model is not asked; the rules decide alone
                            to mend: write it as one line to /here/model-gemini.key, for root alone; the files that the settings name are for an agent that systemd does not start
        ! reasoner          nobody listens on /here/unit.sock
                            the model is not asked; the rules decide alone
                            to mend: systemctl start kernelsight-reason.socket"#]]);
}

#[test]
fn a_key_is_told_by_its_place_and_never_by_what_it_is() {
    let mut machine =
        Machine::with("provider = 'gemini'\nkey_file = '/here/ours'\n[model.keys]\nopenai = '/here/other'");
    machine.file("ours", "CANARY-1", 0o600);
    machine.says(expect![[r#"
        ✓ model             gemini/gemini-3-pro-preview
        ✓ model key         gemini's is in /here/ours
        ✓ reasoner          the agent makes it when it runs"#]]);
    machine.file("ours", "CANARY-1", 0o644);
    machine.says(expect![[r#"
        ✓ model             gemini/gemini-3-pro-preview
        ! model key         /here/ours can be read by others (mode 644); a key is for its owner alone: chmod 600
                            the model is not asked; the rules decide alone
                            to mend: chmod 600 /here/ours
        ✓ reasoner          the agent makes it when it runs"#]]);
    machine.file("ours", "two words", 0o600);
    machine.says(expect![[r#"
        ✓ model             gemini/gemini-3-pro-preview
        ! model key         what /here/ours holds is no key: it must be one line of printable characters without spaces
                            the model is not asked; the rules decide alone
                            to mend: write it there as one line, for its owner alone
        ✓ reasoner          the agent makes it when it runs"#]]);
    // By systemd it is where its unit takes it from.
    machine.around.unit_socket = Some(machine.path("unit.sock"));
    machine.around.listening = vec![machine.path("unit.sock")];
    machine.file("model.key", "CANARY-2", 0o600);
    machine.says(expect![[r#"
        ✓ model             gemini/gemini-3-pro-preview
        ✓ model key         gemini's is in /here/model.key
        ✓ reasoner          systemd makes it, behind /here/unit.sock"#]]);
    machine.file("model-gemini.key", "CANARY-3", 0o600);
    machine.says(expect![[r#"
        ✓ model             gemini/gemini-3-pro-preview
        ✓ model key         gemini's is in /here/model-gemini.key
        ✓ reasoner          systemd makes it, behind /here/unit.sock"#]]);
}

#[test]
fn what_needs_no_key_is_asked_without_one() {
    Machine::with("provider = 'ollama'\nmodel = 'qwen3'").says(expect![[r#"
        ✓ model             ollama/qwen3
        ✓ model key         ollama is asked without one
        ✓ reasoner          the agent makes it when it runs"#]]);
    Machine::with("provider = 'openai'\nmodel = 'x'\nbase_url = 'http://127.0.0.1:8080/v1'").says(expect![[r#"
        ✓ model             openai/x at http://127.0.0.1:8080/v1
        ✓ model key         openai is asked without one
        ✓ reasoner          the agent makes it when it runs"#]]);
}

#[test]
fn whom_the_agent_asks_goes_before_whom_the_settings_name() {
    let mut machine = Machine::with("provider = 'gemini'");
    machine.file("model.key", "x", 0o600);
    machine.settings.model.key_file = Some(machine.path("model.key"));
    machine.around.own.file = Some(machine.path("model.key"));
    let choice = |provider: &str, model: &str| ModelChoice {
        provider: provider.to_owned(),
        model: model.to_owned(),
        base_url: None,
    };
    machine.around.asks = Asks::Somebody(choice("openai", "gpt-x"));
    machine.says(expect![[r#"
        ✓ model             openai/gpt-x, by the agent that runs; the settings name gemini/gemini-3-pro-preview
        ! model key         openai needs one, and there is none
                            the model is not asked; the rules decide alone
                            to mend: name a file of one line, for its owner alone, as model.keys.openai in /etc/kernelsight/kernelsight.toml, or start the agent with KERNELSIGHT_OPENAI_KEY
        ✓ reasoner          the agent makes it when it runs"#]]);
    machine.around.asks = Asks::Somebody(choice("gemini", "gemini-3-pro-preview"));
    machine.says(expect![[r#"
        ✓ model             gemini/gemini-3-pro-preview
        ✓ model key         gemini's is in /here/model.key
        ✓ reasoner          the agent makes it when it runs"#]]);
    machine.around.asks = Asks::Nobody;
    machine.says(expect![[r#"
        ! model             the agent that runs asks nobody; the settings name gemini/gemini-3-pro-preview
                            the model is not asked; the rules decide alone
                            to mend: if that is not meant: start the agent anew where the settings are newer, or `kernelsight model gemini gemini-3-pro-preview` where `kernelsight model --off` was said
        ✓ model key         gemini's is in /here/model.key
        ✓ reasoner          the agent makes it when it runs"#]]);
    let mut machine = Machine::with("");
    machine.around.asks = Asks::Nobody;
    machine.says(expect!["✓ model             none is set; the rules decide alone"]);
    machine.around.asks = Asks::Somebody(choice("ollama", "qwen3"));
    machine.says(expect![[r#"
        ✓ model             ollama/qwen3, by the agent that runs; the settings name nobody
        ✓ model key         ollama is asked without one
        ✓ reasoner          the agent makes it when it runs"#]]);
}

#[test]
fn what_goes_over_a_network_in_the_clear_is_said() {
    let clear = |base_url: &str| {
        let machine = Machine::with(&format!("provider = 'ollama'\nmodel = 'x'\nbase_url = '{base_url}'"));
        let first: Check = checks(&machine.settings, &machine.around).remove(0);
        first.without.is_some()
    };
    for url in ["https://proxy.example/v1", "http://localhost:1", "http://127.0.0.3/", "http://[::1]:11434"] {
        assert!(!clear(url), "{url}");
    }
    for url in ["http://10.0.0.7:11434", "http://localhost.example/", "http://[fe80::1]/", "https://", "http://:80"] {
        assert!(clear(url), "{url}");
    }
    Machine::with("provider = 'ollama'\nmodel = 'x'\nbase_url = 'http://10.0.0.7:11434'").says(expect![[r#"
        ! model             ollama/x at http://10.0.0.7:11434, not by https
                            its key, and what is told of this node, can be read and changed by whoever is on the way
                            to mend: give a URL of https as model.base_url
        ✓ model key         ollama is asked without one
        ✓ reasoner          the agent makes it when it runs"#]]);
}

#[test]
fn who_makes_the_process_that_asks_is_looked_for_without_knocking() {
    let mut machine = Machine::with("provider = 'ollama'\nmodel = 'x'");
    let last = |machine: &Machine| checks(&machine.settings, &machine.around).pop().unwrap();
    assert_eq!(last(&machine).found, "the agent makes it when it runs");
    machine.around.listening = vec![machine.path("k.sock")];
    machine.says(expect![[r#"
        ✓ model             ollama/x
        ✓ model key         ollama is asked without one
        ! reasoner          the agent runs, and nobody listens on /here/state/reason.sock
                            the model is not asked; the rules decide alone
                            to mend: start the agent anew, with [model] in /etc/kernelsight/kernelsight.toml; its log tells what kept it"#]]);
    machine.around.listening.push(machine.path("state/reason.sock"));
    assert_eq!(last(&machine).without, None);
    machine.around.unit_socket = Some(machine.path("unit.sock"));
    machine.says(expect![[r#"
        ✓ model             ollama/x
        ✓ model key         ollama is asked without one
        ! reasoner          nobody listens on /here/unit.sock
                            the model is not asked; the rules decide alone
                            to mend: systemctl start kernelsight-reason.socket"#]]);
}

#[test]
fn sockets_that_listen_are_read_off_the_kernels_table() {
    let dir = tempfile::tempdir().unwrap();
    let (there, gone) = (dir.path().join("a socket"), dir.path().join("gone"));
    let listener = UnixListener::bind(&there).unwrap();
    // Who is connected shows the same path.
    let client = std::os::unix::net::UnixStream::connect(&there).unwrap();
    drop(UnixListener::bind(&gone).unwrap());
    let table = || listening(&fs::read_to_string("/proc/net/unix").unwrap());
    let times = |path: &Path| table().iter().filter(|listening| *listening == path).count();
    assert_eq!((times(&there), times(&gone)), (1, 0));
    drop((listener, client));
    assert_eq!(times(&there), 0);
    assert_eq!(listening("Num RefCount Protocol Flags Type St Inode Path\nx: y /z\n\u{0}"), Vec::<PathBuf>::new());
}

#[test]
fn settings_that_cannot_be_used_are_said_and_not_taken_for_none() {
    let refused = Settings::parse("[model]\nbase_url = 'file:///etc'", Path::new("kernelsight.toml"));
    let check = doctor::settings(&refused.and_then(Settings::checked));
    assert_eq!(check.health, doctor::Health::Fatal);
    assert_eq!(check.found, "`model.base_url` is file:///etc; it must be a URL of https or http");
    assert_eq!(doctor::settings(&Ok(Settings::default())).health, doctor::Health::Good);
}
