//! A recorded case gone through again, with no network and no daemon: the same words, the same calls, and the decision
//! made of them anew.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    asker::Asker,
    cycle::think,
    desk::{Desk, Told},
    talk::Ended,
};
use crate::{
    decide::{FailureMode, Proposal, council::join},
    llm::{Conversation, Part, Provider, ProviderError, Reply},
    mind::{
        Ending,
        brief::{self, Asking, Brief, Leave, Turn},
        draft::{Bench, Draft, Opinion, judge},
        spoken,
    },
    store::{CaseRow, TurnRow},
    tools::{Tool as _, draft_recommendation::DraftRecommendation, give_opinion::GiveOpinion},
};

/// More than any case takes that asks nobody.
const WITHIN: Duration = Duration::from_secs(600);

/// What came of it this time.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    pub case: i64,
    /// What rules and model came to, now and then; none where the model came to nothing that holds.
    pub now: Option<Proposal>,
    pub then: Option<Proposal>,
    /// An operator's question, as it is answered now.
    pub answer: Option<String>,
    /// Whether all is as it was.
    pub same: bool,
}

/// Goes through a case that is over.
pub async fn replay(case: &CaseRow, turns: &[TurnRow]) -> Replayed {
    let recorded = turns.iter().map(|row| row.turn.clone()).collect();
    let left_ms = u64::try_from(WITHIN.as_millis()).unwrap_or(u64::MAX);
    let brief = Brief { recorded, left_ms, ..case.brief.clone() };
    let record = Record { case, turns, opinions: Mutex::default(), proposal: Mutex::default() };
    let ended = think(&brief, &Asker::new(Box::new(Nobody)), &record).await;
    let now = record.proposal.into_inner().unwrap_or_else(PoisonError::into_inner).map(|model| joined(case, model));
    let then = match &case.ending {
        Some(Ending::Recommended { proposal, .. }) => Some(joined(case, (**proposal).clone())),
        _ => None,
    };
    let answer = match ended {
        Ended::Said(text) => Some(case.names.uncover_text(&text)),
        _ => None,
    };
    let answered_then = match &case.ending {
        Some(Ending::Answered { text }) => Some(text.clone()),
        _ => None,
    };
    let same = now == then && (case.incident.is_some() || answer == answered_then);
    Replayed { case: case.id, now, then, answer, same }
}

fn joined(case: &CaseRow, model: Proposal) -> Proposal {
    match &case.rules {
        Some(rules) => join(rules.clone(), model).proposal,
        None => model,
    }
}

/// The record in place of the daemon.
struct Record<'a> {
    case: &'a CaseRow,
    turns: &'a [TurnRow],
    opinions: Mutex<Vec<(String, Opinion)>>,
    proposal: Mutex<Option<Proposal>>,
}

impl Desk for Record<'_> {
    async fn may_ask(&self, _: &Asking) -> Leave {
        Leave::Stop { why: "the record ends here".to_owned() }
    }

    async fn record(&self, _: &Turn, _: Option<String>) {}

    async fn waits(&self, _: Duration, _: &str) {}

    /// Calls whose answers are in the record do not come here: these are those that concluded.
    async fn call(&self, tool: &str, params: &Map<String, Value>) -> Told {
        let params = self.case.names.uncover(params);
        let field = |name: &str| params.get(name).cloned().unwrap_or_default();
        if tool == GiveOpinion::NAME
            && let (Value::String(field), Ok(opinion)) = (field("field"), serde_json::from_value(field("opinion")))
        {
            self.opinions.lock().unwrap_or_else(PoisonError::into_inner).push((field, opinion));
            return Told::Answer(json!({ "heard": true }));
        }
        if tool == DraftRecommendation::NAME
            && let Ok(draft) = serde_json::from_value::<Draft>(field("draft"))
        {
            return self.judge(&draft);
        }
        Told::Refused("the record has no answer to this".to_owned())
    }

    async fn conclude(&self, words: &str, turns: u32) -> Told {
        let read = brief::read(&self.case.brief.about, &self.case.brief.packet, &self.turns_until(turns));
        let spoken = spoken::look_up(words, &read);
        match spoken.complaint() {
            None => Told::Answer(json!({})),
            Some(complaint) => Told::Refused(complaint),
        }
    }

    fn heard(&self, _: &str, _: &Part) {}
}

impl Record<'_> {
    /// Those that were taken when the answer was.
    fn turns_until(&self, number: u32) -> Vec<&Turn> {
        self.turns.iter().map(|row| &row.turn).filter(|turn| turn.number <= number).collect()
    }

    fn judge(&self, draft: &Draft) -> Told {
        let Some(incident) = &self.case.incident else { return Told::Refused("there was no incident".to_owned()) };
        let forbidden: Vec<FailureMode> =
            serde_json::from_value(self.case.brief.packet["may_not_be_confirmed"].clone()).unwrap_or_default();
        let opinions = self.opinions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let author = self.case.brief.model.to_string();
        let bench = Bench {
            incident,
            options: &self.case.options,
            forbidden: &forbidden,
            opinions: &opinions,
            author: &author,
        };
        let mut found = self.case.looked_up.iter().map(|(_, found)| found.clone());
        let judged =
            judge(draft, &bench, |_| found.next().unwrap_or_else(|| Err("it was not looked up then".to_owned())));
        match judged {
            Ok(judged) => {
                let mut proposal = judged.proposal;
                proposal.reword(|text| self.case.names.uncover_text(text));
                *self.proposal.lock().unwrap_or_else(PoisonError::into_inner) = Some(proposal);
                Told::Answer(json!({}))
            }
            Err(wrong) => Told::Refused(wrong.join("; ")),
        }
    }
}

/// Whoever is asked in a replay: the record should have had it.
#[derive(Debug)]
struct Nobody;

impl Provider for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn model(&self) -> &str {
        "nothing"
    }

    fn turn<'a>(
        &'a self,
        _: &'a Conversation,
        _: Duration,
        _: &'a mut (dyn FnMut(&Part) + Send),
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Reply, ProviderError>> + Send + 'a>> {
        Box::pin(std::future::ready(Err(ProviderError::Unreachable { reason: "a replay asks nobody".to_owned() })))
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("case", &self.case.id).finish_non_exhaustive()
    }
}
