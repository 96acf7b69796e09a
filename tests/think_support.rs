//! A case before a scripted model: a real door, a real reasoner and a server on loopback.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use kernelsight::{
    decide::{Case, Proposal, model::Thought, rules},
    execute::Policy,
    live::Operator,
    llm::{Keys, Places},
    mind::{Ending, Mind, ModelSettings, settings::Provider, thinking::Thinking},
    observe::Signal,
    reason::{self, door::Door},
    serve::attend,
    tools::{Caller, Role},
};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::{
    decide::{case, cpu_waits, spinner, victim},
    door_support::House,
    llm_server::{Answer, Asked, Server, gemini},
    scene::{Scene, group},
};

/// A name that no model is to see.
pub(crate) const SECRET_NAME: &str = "hog-of-ann";

/// Three hog the CPU, and somebody waits.
pub(crate) fn scene() -> Scene {
    let hog = |pid| spinner(pid, SECRET_NAME, "/x");
    Scene::of(&[hog(41), hog(42), hog(43), victim()], &[group("/x")])
}

/// A daemon at work on a case, and a model that says what its script has it say.
pub(crate) struct Node {
    pub(crate) house: House,
    pub(crate) server: Server,
    pub(crate) case: Case,
    pub(crate) options: Vec<Proposal>,
    pub(crate) rules: Proposal,
}

impl Node {
    /// Of three that hog the CPU.
    pub(crate) fn new(
        settings: ModelSettings,
        script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let scene = scene();
        let signal = cpu_waits(&scene);
        let node = Self::of(settings, scene, vec![signal], script);
        assert!(!node.options.is_empty(), "{:#?}", node.rules);
        node
    }

    pub(crate) fn of(
        settings: ModelSettings,
        scene: Scene,
        signals: Vec<Signal>,
        script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let mut house = House::open(Role::Admin);
        let server = Server::begin(script);
        let settings = ModelSettings {
            provider: Some(Provider::Gemini),
            base_url: Some(format!("{}/v1beta/", server.url())),
            model: Some("scripted".to_owned()),
            ..settings
        };
        let choice = settings.choice();
        house.daemon.mind = Mind::new(settings, choice, 1);
        let case = case(&scene, &signals);
        {
            let mut live = house.daemon.change();
            live.window = scene.window;
            live.history = scene.history;
            live.signals = signals;
            live.incidents = vec![case.incident.clone()];
        }
        let (options, rules) = (rules::options(&case), rules::decide(&case));
        Self { house, server, case, options, rules }
    }

    /// The same, with another provider asked, whose address has `base` behind the server's.
    pub(crate) fn asking(mut self, provider: Provider, base: &str) -> Self {
        let settings = ModelSettings {
            provider: Some(provider),
            base_url: Some(format!("{}{base}", self.server.url())),
            ..self.house.daemon.mind.settings().clone()
        };
        let choice = settings.choice();
        self.house.daemon.mind = Mind::new(settings, choice, 1);
        self
    }

    /// Has a reasoner at the door, and puts the case before it.
    pub(crate) fn think(&self) -> (Option<Thought>, Duration) {
        self.house.runtime.block_on(async {
            let reasoner = tokio::spawn(reasoner(self.house.daemon.clone()));
            let begun = Instant::now();
            let thinking = Thinking::new(self.house.daemon.clone(), Arc::new(Policy::load(None).unwrap()));
            let thought = thinking.think(&self.case, &self.rules, self.options.clone()).await;
            let took = begun.elapsed();
            reasoner.abort();
            (thought, took)
        })
    }

    pub(crate) fn ending(&self, case: i64) -> Ending {
        self.house.daemon.store.reader().unwrap().case(case).unwrap().unwrap().ending.unwrap()
    }
}

pub(crate) async fn reasoner(daemon: kernelsight::live::Daemon) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let operator = Operator { uid: 65534, pid: 1, name: "reasoner".to_owned() };
    let door = tokio::spawn(attend(ours, daemon, Caller::new(operator, Role::Model)));
    let theirs = OwnedFd::from(theirs.into_std().unwrap());
    reason::reason(Door::open(theirs).await.unwrap(), &keys()).await.unwrap();
    door.await.unwrap();
}

fn keys() -> Keys {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "CANARY-key-7f3a\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let places = Places { file: Some(file), files: BTreeMap::new(), credentials: None, variable: |_| None };
    Keys::find(&places)
}

pub(crate) fn settings() -> ModelSettings {
    ModelSettings { specialists: false, deadline_s: 10, ..ModelSettings::default() }
}

/// A turn that thinks, and calls.
pub(crate) fn says(thought: &str, tool: &str, arguments: Value) -> Answer {
    let parts = json!([{ "text": thought }, { "functionCall": { "name": tool, "args": arguments } }]);
    Answer::Events(vec![gemini(&parts, true)])
}

/// A draft whose first hypothesis is confirmed by these claims.
pub(crate) fn draft(claims: Value, option: Option<usize>) -> Value {
    let one = |mode: &str, verdict: &str, claims: Value| {
        json!({
            "failure_mode": mode,
            "statement": format!("it is a {mode}"),
            "would_confirm": "much CPU time",
            "would_refute": "little CPU time",
            "verdict": verdict,
            "claims": claims,
        })
    };
    let hypotheses = [
        one("cpu_hog", "confirmed", claims),
        one("fork_storm", "rejected", json!([])),
        one("cpu_quota", "rejected", json!([])),
    ];
    json!({ "draft": {
        "hypotheses": hypotheses, "timeline": [1], "option": option, "advice": "Give program-1 less of the CPU.", "confidence": 0.9,
    } })
}

pub(crate) fn busy(pid: u32) -> Value {
    json!({ "kind": "process_number", "pid": pid, "number": "cpu_percent", "at_least": 50.0 })
}
