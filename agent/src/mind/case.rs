//! A case that is thought about: what may be chosen, what was said, and what is not to be seen by anybody else.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::{
    brief::About,
    draft::{Judged, Opinion},
    names::Names,
    spoken::Spoken,
    veil::{Age, Veil},
};
use crate::{
    decide::{FailureMode, Proposal},
    explain::Incident,
    llm::ModelChoice,
    tools::verify_claim::{self, Claim, Verdict},
};

/// How often a draft that is not right goes back.
pub const SENT_BACK: u32 = 1;

/// How often another reasoner goes on with it.
const INTERRUPTIONS: u32 = 2;

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ending {
    /// A recommendation that holds.
    Recommended { proposal: Box<Proposal>, agreement: Option<f64> },
    /// An answer to an operator's question.
    Answered { text: String },
    /// What it said was not so, twice.
    Refused { why: Vec<String> },
    /// It gave up, or was stopped.
    Stopped { why: String },
    /// Its time was over.
    Late,
}

/// The kinds of endings, by the names that they have as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingKind {
    Recommended,
    Answered,
    Refused,
    Stopped,
    Late,
}

impl Ending {
    #[must_use]
    pub const fn kind(&self) -> EndingKind {
        match self {
            Self::Recommended { .. } => EndingKind::Recommended,
            Self::Answered { .. } => EndingKind::Answered,
            Self::Refused { .. } => EndingKind::Refused,
            Self::Stopped { .. } => EndingKind::Stopped,
            Self::Late => EndingKind::Late,
        }
    }
}

/// Shared by who waits for it and who thinks about it.
#[derive(Debug)]
pub struct OpenCase {
    pub id: i64,
    pub about: About,
    /// None: it is about a question.
    pub incident: Option<Incident>,
    pub model: ModelChoice,
    /// What may be chosen, mildest first.
    pub options: Vec<Proposal>,
    /// What was wrong before on the same evidence.
    pub forbidden: Vec<FailureMode>,
    /// What the rules decided; none: it is about a question.
    pub rules: Option<Proposal>,
    pub packet: Value,
    pub until: Instant,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    veil: Veil,
    opinions: Vec<(String, Opinion)>,
    sent_back: u32,
    interruptions: u32,
    looked_up: Vec<LookedUp>,
    tally: Tally,
    reply: Option<oneshot::Sender<Ending>>,
}

/// A claim of the last draft, and what was found.
pub type LookedUp = (Claim, Result<verify_claim::Answer, String>);

/// What a case was made of, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Calls of tools, and those of them that were refused.
    pub calls: u32,
    pub refused_calls: u32,
    /// Claims, and those of them that are not so.
    pub claims: u32,
    pub false_claims: u32,
    /// Drafts and opinions, and those of them that went back.
    pub drafts: u32,
    pub sent_back: u32,
}

impl Tally {
    pub const fn called(&mut self, refused: bool) {
        self.calls += 1;
        self.refused_calls += refused as u32;
    }

    /// An answer in words was looked up.
    pub const fn spoken(&mut self, spoken: &Spoken, sent_back: bool) {
        self.drafts += 1;
        self.sent_back += sent_back as u32;
        self.claims += spoken.said;
        self.false_claims += spoken.unread.len() as u32;
    }

    /// A draft or an opinion was looked up.
    pub fn judged(&mut self, looked_up: &[LookedUp], sent_back: bool) {
        let is_false = |(_, found): &&LookedUp| !found.as_ref().is_ok_and(|answer| answer.verdict == Verdict::True);
        self.drafts += 1;
        self.sent_back += u32::from(sent_back);
        self.claims += u32::try_from(looked_up.len()).unwrap_or(u32::MAX);
        self.false_claims += u32::try_from(looked_up.iter().filter(is_false).count()).unwrap_or(u32::MAX);
    }
}

/// What a case is made of.
#[derive(Debug)]
pub struct NewCase {
    pub id: i64,
    pub about: About,
    pub incident: Option<Incident>,
    pub model: ModelChoice,
    pub options: Vec<Proposal>,
    pub forbidden: Vec<FailureMode>,
    pub rules: Option<Proposal>,
    /// With names as they are; it is veiled here.
    pub packet: Value,
    /// What is there besides.
    pub around: Names,
    pub within: Duration,
    /// What was called how before, when a thought goes on that was interrupted.
    pub veil: Veil,
}

impl OpenCase {
    /// The case, and where its ending is told.
    #[must_use]
    pub fn open(new: NewCase) -> (Self, oneshot::Receiver<Ending>) {
        let NewCase { id, about, incident, model, options, forbidden, rules, packet, around, within, mut veil } = new;
        let (reply, ended) = oneshot::channel();
        // That of a thought that goes on is covered already, and its placeholders are no names.
        let packet = if veil.is_empty() { veil.cover(&packet, &around.pairs(), Age::Now) } else { packet };
        let progress = Progress {
            veil,
            opinions: Vec::new(),
            sent_back: 0,
            interruptions: 0,
            looked_up: Vec::new(),
            tally: Tally::default(),
            reply: Some(reply),
        };
        let until = Instant::now() + within;
        let progress = Mutex::new(progress);
        (Self { id, about, incident, model, options, forbidden, rules, packet, until, progress }, ended)
    }

    #[must_use]
    pub const fn is_question(&self) -> bool {
        matches!(self.about, About::Question { .. })
    }

    /// `gemini/gemini-3-pro-preview`
    #[must_use]
    pub fn author(&self) -> String {
        self.model.to_string()
    }

    /// Parameters as a tool takes them.
    #[must_use]
    pub fn uncover(&self, params: &Map<String, Value>) -> Map<String, Value> {
        self.progress().veil.uncover(params)
    }

    /// An answer as a model may see it.
    #[must_use]
    pub fn cover(&self, answer: &Value, around: &Names, age: Age) -> Value {
        self.progress().veil.cover(answer, &around.pairs(), age)
    }

    /// A sentence as a model may see it.
    #[must_use]
    pub fn cover_text(&self, text: &str, around: &Names) -> String {
        self.progress().veil.cover_text(text, &around.pairs())
    }

    /// A sentence of a model as people should see it.
    #[must_use]
    pub fn uncover_text(&self, text: &str) -> String {
        self.progress().veil.uncover_text(text)
    }

    /// What each placeholder stands for.
    #[must_use]
    pub fn names(&self) -> Veil {
        self.progress().veil.clone()
    }

    /// Keeps a specialist's opinion; a later one of the same takes its place.
    pub fn heard(&self, voice: String, opinion: Opinion) {
        let mut progress = self.progress();
        progress.opinions.retain(|(of, _)| *of != voice);
        progress.opinions.push((voice, opinion));
    }

    #[must_use]
    pub fn opinions(&self) -> Vec<(String, Opinion)> {
        self.progress().opinions.clone()
    }

    /// Keeps what the claims of a draft were found to be.
    pub fn keep_looked_up(&self, looked_up: Vec<LookedUp>) {
        self.progress().looked_up = looked_up;
    }

    #[must_use]
    pub fn looked_up(&self) -> Vec<LookedUp> {
        self.progress().looked_up.clone()
    }

    pub fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.progress().tally);
    }

    #[must_use]
    pub fn tally(&self) -> Tally {
        self.progress().tally
    }

    /// A draft was not right. True: it goes back; false: that was the last time, and the case is over.
    pub fn send_back(&self, why: &[String]) -> bool {
        let mut progress = self.progress();
        if progress.sent_back < SENT_BACK {
            progress.sent_back += 1;
            return true;
        }
        drop(progress);
        self.end(Ending::Refused { why: why.to_vec() });
        false
    }

    /// The reasoner was gone while it thought about it; whether another one may go on.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        let mut progress = self.progress();
        progress.interruptions += 1;
        progress.interruptions <= INTERRUPTIONS
    }

    pub fn recommend(&self, Judged { proposal, agreement }: Judged) {
        self.end(Ending::Recommended { proposal: Box::new(proposal), agreement });
    }

    /// Ends it, once; false when it was over.
    pub fn end(&self, ending: Ending) -> bool {
        let Some(reply) = self.progress().reply.take() else { return false };
        reply.send(ending).is_ok()
    }

    /// Whether nobody waits for it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.progress().reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
