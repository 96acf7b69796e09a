//! How a case is put before a model: packed, laid on the desk, waited for, and kept.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Ending,
    brief::{About, Brief},
    case::NewCase,
    hearing::hear,
    names::Names,
    packet,
    settings::{Consult, Decide},
    veil::Veil,
};
use crate::{
    clock::now_ms,
    decide::{
        Case, Decision, Proposal,
        council::{Agreement, join},
        model::{Thinker, Thought},
    },
    execute::{Judging, Policy},
    explain::IncidentUid,
    live::{Daemon, Order},
    store::{CaseRow, StoreError},
};

/// While the rules come to the same, an incident is not put before a model again within this; each time twice as long.
const AGAIN_AFTER: Duration = Duration::from_secs(900);
const AGAIN_AFTER_MOST: Duration = Duration::from_secs(86_400);

/// The daemon, as whoever decides sees the model.
#[derive(Clone, Debug)]
pub struct Thinking {
    daemon: Daemon,
    policy: Arc<Policy>,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    heard: HashMap<IncidentUid, Heard>,
    under_way: HashSet<IncidentUid>,
}

/// What was thought of an incident.
#[derive(Clone, Debug)]
struct Heard {
    at: Instant,
    /// How often it was thought about while the rules came to the same.
    times: u32,
    /// What the rules came to then, without its numbers.
    rules: String,
    thought: Thought,
}

/// While this is there the incident is not put before a model again, however the thought ends.
struct UnderWay {
    memory: Arc<Mutex<Memory>>,
    uid: IncidentUid,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).under_way.remove(&self.uid);
    }
}

impl Heard {
    fn is_fresh(&self) -> bool {
        let doubled = AGAIN_AFTER.saturating_mul(1 << self.times.saturating_sub(1).min(16));
        self.at.elapsed() < doubled.min(AGAIN_AFTER_MOST)
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

    fn recall(&self, case: &Case, rules: &Proposal, options: &[Proposal]) -> Option<Thought> {
        let conclusion = conclusion(rules);
        let is_of_this = |heard: &&Heard| heard.rules == conclusion && heard.is_fresh();
        let mut thought = self.memory().heard.get(&case.incident.uid).filter(is_of_this)?.thought.clone();
        // An option as it is now.
        if let Some(proposal) = &mut thought.proposal
            && let Decision::Act { .. } = &proposal.decision
        {
            proposal.decision = options.iter().find(|now| now.decision.is_like(&proposal.decision))?.decision.clone();
        }
        Some(thought)
    }

    fn begin(&self, case: &Case, rules: &Proposal, options: Vec<Proposal>, look_again: bool) {
        let uid = case.incident.uid.clone();
        if !self.memory().under_way.insert(uid.clone()) {
            return;
        }
        let under_way = UnderWay { memory: Arc::clone(&self.memory), uid: uid.clone() };
        let (this, case, rules) = (self.clone(), case.clone(), rules.clone());
        tokio::spawn(async move {
            let thought = this.think(&case, &rules, options).await;
            drop(under_way);
            let is_news = |model: Proposal| join(rules.clone(), model).agreement != Agreement::Agrees;
            if look_again && thought.and_then(|thought| thought.proposal).is_some_and(is_news) {
                // A daemon that stops looks at nothing any more.
                _ = this.daemon.orders.send(Order::LookAgain { incident: uid }).await;
            }
        });
    }
}

impl Thinking {
    #[must_use]
    pub fn new(daemon: Daemon, policy: Arc<Policy>) -> Self {
        Self { daemon, policy, memory: Arc::default() }
    }

    /// What a model thinks of a case, by its deadline at the latest; kept, and compared with the rules. None where it
    /// could not be put before one.
    pub async fn think(&self, case: &Case, rules: &Proposal, options: Vec<Proposal>) -> Option<Thought> {
        let thought = match self.ask(case, rules, options).await {
            Ok(thought) => thought?,
            Err(error) => {
                tracing::warn!(%error, "a case could not be put before the model; the rules decide");
                return None;
            }
        };
        if let Some(model) = &thought.proposal {
            let agreement = join(rules.clone(), model.clone()).agreement;
            if let Err(error) = self.daemon.store.keep_agreement(thought.case, agreement) {
                tracing::warn!(%error, "how rules and model stood to each other was not kept");
            }
        }
        self.remember(&case.incident.uid, conclusion(rules), &thought);
        Some(thought)
    }

    fn remember(&self, uid: &IncidentUid, rules: String, thought: &Thought) {
        let mut memory = self.memory();
        memory.heard.retain(|_, heard| heard.at.elapsed() < 2 * AGAIN_AFTER_MOST);
        let before = memory.heard.get(uid).filter(|heard| heard.rules == rules).map_or(0, |heard| heard.times);
        let heard = Heard { at: Instant::now(), times: before + 1, rules, thought: thought.clone() };
        memory.heard.insert(uid.clone(), heard);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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
                around: Names::of(&self.daemon.look().window),
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
