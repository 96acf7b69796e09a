//! How a case is put before a model: packed, laid on the desk, waited for, and kept.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Ending,
    brief::{About, Brief},
    case::NewCase,
    hearing::hear,
    packet,
    settings::{Consult, Decide},
    veil::Veil,
};
use crate::{
    clock::now_ms,
    decide::{
        Case, Decision, Proposal,
        council::Agreement,
        model::{Thinker, Thought},
    },
    execute::{Judging, Policy},
    explain::IncidentUid,
    live::Daemon,
    store::{CaseRow, StoreError},
};

/// While the rules come to the same, an incident is not put before a model again within this.
const AGAIN_AFTER: Duration = Duration::from_secs(900);

/// The daemon, as whoever decides sees the model.
#[derive(Debug)]
pub struct Thinking {
    daemon: Daemon,
    policy: Arc<Policy>,
    heard: Mutex<HashMap<IncidentUid, Heard>>,
}

/// What was thought of an incident.
#[derive(Clone, Debug)]
struct Heard {
    at: Instant,
    /// What the rules came to then, without its numbers.
    rules: String,
    thought: Thought,
}

impl Thinking {
    #[must_use]
    pub fn new(daemon: Daemon, policy: Arc<Policy>) -> Self {
        Self { daemon, policy, heard: Mutex::default() }
    }
}

impl Thinker for Thinking {
    fn terms(&self) -> Option<(Decide, Consult)> {
        let mind = &self.daemon.mind;
        mind.choice()?;
        Some((mind.settings().decide, mind.settings().consult))
    }

    fn is_reflex(&self, proposal: &Proposal) -> bool {
        let Decision::Act { actions, targets, .. } = &proposal.decision else { return false };
        let level = self.daemon.look().status.autonomy;
        actions.iter().all(|action| {
            let judging = Judging { expected: Some(targets), ..Judging::new(&proposal.author, level, now_ms()) };
            self.policy.judge(action, judging).is_ok()
        })
    }

    fn think<'a>(
        &'a self,
        case: &'a Case,
        rules: &'a Proposal,
        options: Vec<Proposal>,
    ) -> Pin<Box<dyn Future<Output = Option<Thought>> + Send + 'a>> {
        Box::pin(async move {
            let uid = &case.incident.uid;
            if let Some(thought) = self.remembered(uid, rules, &options) {
                return Some(thought);
            }
            match self.ask(case, rules, options).await {
                Ok(thought) => {
                    if let Some(thought) = &thought {
                        self.remember(uid, rules, thought);
                    }
                    thought
                }
                Err(error) => {
                    tracing::warn!(%error, "a case could not be put before the model; the rules decide");
                    None
                }
            }
        })
    }

    fn score(&self, case: i64, agreement: Agreement) {
        if let Err(error) = self.daemon.store.keep_agreement(case, agreement) {
            tracing::warn!(%error, "how rules and model stood to each other was not kept");
        }
    }
}

impl Thinking {
    /// What was thought before, where nothing has changed but numbers: an option as it is now.
    fn remembered(&self, uid: &IncidentUid, rules: &Proposal, options: &[Proposal]) -> Option<Thought> {
        let heard = self.heard().get(uid).filter(|heard| heard.rules == conclusion(rules)).cloned()?;
        let mut thought = heard.thought;
        if let Some(proposal) = &mut thought.proposal
            && let Decision::Act { .. } = &proposal.decision
        {
            proposal.decision = options.iter().find(|now| now.decision.is_like(&proposal.decision))?.decision.clone();
        }
        Some(thought)
    }

    fn remember(&self, uid: &IncidentUid, rules: &Proposal, thought: &Thought) {
        let heard = Heard { at: Instant::now(), rules: conclusion(rules), thought: thought.clone() };
        self.heard().insert(uid.clone(), heard);
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<IncidentUid, Heard>> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, heard| heard.at.elapsed() < AGAIN_AFTER);
        heard
    }

    async fn ask(&self, case: &Case, rules: &Proposal, options: Vec<Proposal>) -> Result<Option<Thought>, StoreError> {
        let mind = &self.daemon.mind;
        let Some(model) = mind.choice() else { return Ok(None) };
        let evidence = packet::evidence(&case.incident, &case.explanation);
        let (forbidden, earlier) = {
            let reader = self.daemon.store.reader()?;
            let forbidden = reader.refuted(&case.incident.fingerprint, &evidence)?;
            (forbidden, reader.interrupted(&case.incident.fingerprint, now_ms())?)
        };
        let packed = packet::of_incident(case, rules, &options, &forbidden, &self.daemon.look());
        // A thought that was interrupted goes on where what may be chosen is the same.
        let earlier = earlier.filter(|row| row.brief.model == model && same(&row.options, &options));
        let (id, packet, veil) = match earlier {
            // Its packet is covered already: what is covered stays as it is.
            Some(CaseRow { id, brief: Brief { packet, .. }, names, .. }) => (id, packet, names),
            None => (mind.next_case(), packed, Veil::default()),
        };
        let ending = hear(
            &self.daemon,
            NewCase {
                id,
                about: About::Incident,
                incident: Some(case.incident.clone()),
                model,
                options,
                forbidden,
                rules: Some(rules.clone()),
                packet,
                within: mind.settings().deadline(),
                veil,
            },
        );
        let proposal = match ending.await? {
            Ending::Recommended { proposal, .. } => Some(*proposal),
            _ => None,
        };
        Ok(Some(Thought { case: id, proposal }))
    }
}

/// What a proposal comes to, without its numbers.
fn conclusion(proposal: &Proposal) -> String {
    let mode = proposal.hypotheses.first().map_or("nothing", |best| best.failure_mode.name());
    let decision = match &proposal.decision {
        Decision::Act { actions, .. } => actions.to_string(),
        Decision::Advise { .. } => "advice".to_owned(),
        Decision::Inconclusive { .. } => "inconclusive".to_owned(),
    };
    format!("{mode} {decision}").replace(|c: char| c.is_ascii_digit(), "")
}

fn same(before: &[Proposal], now: &[Proposal]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(before, now)| before.decision.is_like(&now.decision))
}
