//! One voice's conversation, at a desk that keeps what it is asked.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use kernelsight::{
    llm::{self, Keys, ModelChoice, Part, Places},
    mind::{
        brief::{About, Asking, Brief, Leave, Turn},
        route::Route,
    },
    reason::{
        asker::Asker,
        desk::{Desk, Told},
        talk::{Ended, talk},
        voices::director,
    },
};
use serde_json::{Map, Value, json};

/// Lets no turn go, and keeps which were asked for.
#[derive(Default)]
struct Stern {
    asked: Mutex<Vec<Asking>>,
}

impl Desk for Stern {
    async fn may_ask(&self, asking: &Asking) -> Leave {
        self.asked.lock().unwrap().push(asking.clone());
        Leave::Stop { why: "no".to_owned() }
    }

    async fn record(&self, _: &Turn, _: Option<String>) {}

    async fn waits(&self, _: Duration, _: &str) {}

    async fn call(&self, _: &str, _: &Map<String, Value>) -> Told {
        Told::Refused("nobody is here".to_owned())
    }

    async fn conclude(&self, _: &str, _: u32) -> Told {
        Told::Refused("nobody is here".to_owned())
    }

    fn heard(&self, _: &str, _: &Part) {}
}

fn brief(model: &str) -> Brief {
    let model = ModelChoice { provider: "ollama".to_owned(), model: model.to_owned(), base_url: None };
    Brief {
        case: 1,
        about: About::Question { text: "why?".to_owned(), route: Route::Diagnostic },
        model,
        configured: None,
        packet: json!({}),
        tools: Vec::new(),
        turns: 3,
        reply_tokens: 700,
        thinks: true,
        specialists: false,
        left_ms: 1000,
        recorded: Vec::new(),
    }
}

/// What came of it, and the turns that leave was asked for.
fn ask(brief: &Brief, within: Duration) -> (Ended, Vec<Asking>) {
    let places = Places { file: None, files: BTreeMap::new(), credentials: None, variable: |_| None };
    let asker = Asker::new(llm::provider(&brief.model, &Keys::find(&places), None).unwrap());
    let desk = Stern::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let until = Instant::now() + within;
    let ended = runtime.block_on(talk(&director(brief), brief, "Well?".to_owned(), &asker, &desk, until));
    (ended, desk.asked.into_inner().unwrap())
}

#[test]
fn leave_is_asked_for_with_time_to_use_it_for_what_is_let_go_counts() {
    let stopped = |why: &str| Ended::Stopped(why.to_owned());
    assert_eq!(ask(&brief("x"), Duration::ZERO), (stopped("the time is over"), Vec::new()));
    let (ended, asked) = ask(&brief("x"), Duration::from_secs(60));
    assert_eq!((ended, asked.len()), (stopped("no"), 1));
    assert_eq!((asked[0].voice.as_str(), asked[0].number, asked[0].estimate.output_tokens), ("director", 0, 700));
    assert!(asked[0].estimate.input_tokens > 100, "{asked:?}");
}

#[test]
fn the_same_asked_of_another_model_is_not_the_same() {
    let digest = |model: &str| ask(&brief(model), Duration::from_secs(60)).1.remove(0).digest;
    assert_eq!(digest("x"), digest("x"));
    assert_ne!(digest("x"), digest("y"));
}
