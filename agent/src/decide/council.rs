//! Rules and a model together: where they disagree, the milder holds, and the disagreement is kept.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Decision, Proposal};
use crate::execute::{Actions, catalogue};

/// What both together come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    pub proposal: Proposal,
    pub agreement: Agreement,
}

/// How the model's word stands to that of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The same course, or both none.
    Agrees,
    /// Another course than the rules', milder or not.
    Differs,
    /// The rules would act, the model would not.
    Objects,
    /// The model would act, the rules would not.
    Adds,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agrees => "it agrees",
            Self::Differs => "it would do otherwise, and the milder holds",
            Self::Objects => "it objects, and nothing is done",
            Self::Adds => "it would do something, which is left to an operator",
        })
    }
}

/// The milder of the two. A course that only the model wants is left to an operator: whatever it was that talked it into
/// that, it was not the numbers alone.
#[must_use]
pub fn join(rules: Proposal, model: Proposal) -> Joined {
    let (ours, theirs) = (course(&rules).cloned(), course(&model).cloned());
    match (ours, theirs) {
        (None, None) => said(rules, &model, Agreement::Agrees),
        (Some(ours), Some(theirs)) if ours.is_like(&theirs) => said(rules, &model, Agreement::Agrees),
        (Some(ours), Some(theirs)) if rank(&theirs) < rank(&ours) => said(model, &rules, Agreement::Differs),
        (Some(_), Some(_)) => said(rules, &model, Agreement::Differs),
        (Some(ours), None) => {
            let advice = format!("The rules would do {ours}. The model objects: {}", model.justification);
            let joined = Proposal { decision: Decision::Advise { advice }, ..rules };
            said(joined, &model, Agreement::Objects)
        }
        (None, Some(_)) => {
            let why = Some("only the model wants it".to_owned());
            said(
                Proposal { only_with_approval: model.only_with_approval.clone().or(why), ..model },
                &rules,
                Agreement::Adds,
            )
        }
    }
}

fn course(proposal: &Proposal) -> Option<&Actions> {
    match &proposal.decision {
        Decision::Act { actions, .. } => Some(actions),
        Decision::Advise { .. } | Decision::Inconclusive { .. } => None,
    }
}

/// Milder first: risk, then the order of the catalogue, then how many it reaches.
fn rank(actions: &Actions) -> (usize, usize, usize) {
    let entries = catalogue();
    let at = entries.iter().position(|entry| entry.name == actions.action_type()).unwrap_or(entries.len());
    let risk = entries.get(at).map_or(usize::MAX, |entry| entry.risk as usize);
    (risk, at, actions.iter().count())
}

/// What holds, with what the other said.
fn said(holds: Proposal, other: &Proposal, agreement: Agreement) -> Joined {
    let how = match agreement {
        Agreement::Agrees => "agrees",
        Agreement::Differs => "would do otherwise",
        Agreement::Objects => "objects",
        Agreement::Adds => "would do nothing",
    };
    let justification = format!("{} {} {how}: {}", holds.justification, other.author, other.justification);
    Joined { proposal: Proposal { justification, ..holds }, agreement }
}
