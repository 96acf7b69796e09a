//! The rules and a model as one reasoner. The rules answer first and at once; the model is asked where they would do
//! nothing, or nothing by themselves, and it is waited for until the deadline and no longer.

use std::{fmt::Debug, future::Future, pin::Pin, sync::Arc};

use super::{
    Case, Proposal, Reasoner,
    council::{Agreement, join},
    rules,
};
use crate::mind::settings::{Consult, Decide};

/// Whoever can put a case before a model. The answer comes by the deadline, or none does.
pub trait Thinker: Debug + Send + Sync {
    /// How the model is to be heard; none: there is no model.
    fn terms(&self) -> Option<(Decide, Consult)>;

    /// Whether what the rules decided may be done without anybody's word, as the level is now.
    fn is_reflex(&self, proposal: &Proposal) -> bool;

    fn think<'a>(
        &'a self,
        case: &'a Case,
        rules: &'a Proposal,
        options: Vec<Proposal>,
    ) -> Pin<Box<dyn Future<Output = Option<Thought>> + Send + 'a>>;

    /// Keeps how the model's word stood to that of the rules.
    fn score(&self, case: i64, agreement: Agreement);
}

/// What a model thought.
#[derive(Clone, Debug, PartialEq)]
pub struct Thought {
    /// Under which its conversation is kept.
    pub case: i64,
    /// None: it came to nothing that holds.
    pub proposal: Option<Proposal>,
}

/// Rules and model together.
#[derive(Clone, Debug)]
pub struct Together {
    thinker: Arc<dyn Thinker>,
}

impl Together {
    #[must_use]
    pub fn new(thinker: Arc<dyn Thinker>) -> Self {
        Self { thinker }
    }

    async fn decide(&self, case: &Case) -> Proposal {
        let ours = rules::decide(case);
        let Some((decide, consult)) = self.thinker.terms() else { return ours };
        // What is known is done, and nobody waits. A model may say afterwards what it thinks of it.
        if self.thinker.is_reflex(&ours) {
            if consult == Consult::Always {
                self.hear_afterwards(case, &ours);
            }
            return ours;
        }
        if decide == Decide::Rules {
            return ours;
        }
        self.hear(case, &ours, decide).await.unwrap_or(ours)
    }

    /// What both come to; none where nobody was asked.
    async fn hear(&self, case: &Case, ours: &Proposal, decide: Decide) -> Option<Proposal> {
        let Thought { case: number, proposal } = self.thinker.think(case, ours, rules::options(case)).await?;
        let Some(theirs) = proposal else { return Some(Proposal { case: Some(number), ..ours.clone() }) };
        let joined = join(ours.clone(), theirs.clone());
        self.thinker.score(number, joined.agreement);
        let holds = if decide == Decide::Model { theirs } else { joined.proposal };
        Some(Proposal { case: Some(number), ..holds })
    }

    fn hear_afterwards(&self, case: &Case, ours: &Proposal) {
        let (this, case, ours) = (self.clone(), case.clone(), ours.clone());
        tokio::spawn(async move { this.hear(&case, &ours, Decide::Both).await });
    }
}

impl Reasoner for Together {
    fn name(&self) -> &'static str {
        "rules and model"
    }

    fn decide<'a>(&'a self, case: &'a Case) -> Pin<Box<dyn Future<Output = Proposal> + Send + 'a>> {
        Box::pin(self.decide(case))
    }
}
