//! The rules and a model as one reasoner. The rules answer first and at once, and nobody waits for a model: a pass that did
//! would keep a place from others, and its own incident from a look while that becomes worse. What was thought is heeded
//! at the next look, which comes as soon as it is there.

use std::{
    fmt::Debug,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
};

use super::{
    Case, Proposal, Reasoner,
    council::{Agreement, Joined, join},
    rules,
};
use crate::mind::settings::{Consult, Decide};

/// Whoever can put a case before a model.
pub trait Thinker: Debug + Send + Sync {
    /// How the model is to be heard; none: there is no model.
    fn terms(&self) -> Option<(Decide, Consult)>;

    /// Whether what the rules decided may be done without anybody's word, as the level is now.
    fn is_reflex(&self, proposal: &Proposal) -> bool;

    /// What was thought of the case before, while nothing has changed but numbers.
    fn recall(&self, case: &Case, rules: &Proposal, options: &[Proposal]) -> Option<Thought>;

    /// Puts the case before the model, and comes back at once. What is thought is recalled at a later look; `look_again`
    /// asks for one where it is not what the rules say.
    fn begin(&self, case: &Case, rules: &Proposal, options: Vec<Proposal>, look_again: bool);
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

    fn decide(&self, case: &Case) -> Proposal {
        let ours = rules::decide(case);
        let Some((decide, consult)) = self.thinker.terms().filter(|(decide, _)| *decide != Decide::Rules) else {
            return ours;
        };
        // What is known is done. A model may say afterwards what it thinks of it.
        let is_reflex = self.thinker.is_reflex(&ours);
        if is_reflex && consult == Consult::Unsure {
            return ours;
        }
        let options = rules::options(case);
        match self.thinker.recall(case, &ours, &options) {
            Some(thought) if !is_reflex => heed(ours, thought, decide),
            Some(_) => ours,
            None => {
                self.thinker.begin(case, &ours, options, !is_reflex);
                ours
            }
        }
    }
}

/// What both come to. Where the model is to decide, what is harsher than the rules' course needs an operator's word, too.
fn heed(ours: Proposal, thought: Thought, decide: Decide) -> Proposal {
    let case = Some(thought.case);
    let Some(theirs) = thought.proposal else { return Proposal { case, ..ours } };
    let Joined { proposal: milder, agreement } = join(ours.clone(), theirs.clone());
    let is_harsher = agreement == Agreement::Differs && milder.author == ours.author;
    if decide == Decide::Model && is_harsher {
        let why = Some("it is harsher than what the rules would do".to_owned());
        return Proposal { only_with_approval: theirs.only_with_approval.clone().or(why), case, ..theirs };
    }
    Proposal { case, ..milder }
}

impl Reasoner for Together {
    fn name(&self) -> &'static str {
        "rules and model"
    }

    fn decide<'a>(&'a self, case: &'a Case) -> Pin<Box<dyn Future<Output = Proposal> + Send + 'a>> {
        Box::pin(ready(self.decide(case)))
    }
}
