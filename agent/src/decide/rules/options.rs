//! What may be done about a case, for whoever chooses: each remedy of each hypothesis that would suffice, with what would
//! be seen then. Who chooses among them makes nothing up.

use super::{
    HandsOff, PRIOR_SUCCESS, Remedies, hypotheses, identify, part, prediction, proposal, weigh, why_hands_off,
};
use crate::{
    decide::{Case, Decision, Proposal},
    reflect::next_confidence,
};

/// The most options.
const MOST: usize = 16;

/// The options, those of the likeliest hypothesis first, and of each the mildest first. None where nobody is to be touched.
#[must_use]
pub fn options(case: &Case) -> Vec<Proposal> {
    let mut options: Vec<Proposal> = Vec::new();
    for (rule, hypothesis) in hypotheses(&case.explanation) {
        let Remedies { mut ladder, hold, .. } = (rule.remedies)(&case.explanation);
        let calm = matches!(why_hands_off(&case.explanation, &ladder), Some(HandsOff::Anyway(_)));
        if hold.is_some() || calm {
            continue;
        }
        ladder.sort_by_key(|remedy| remedy.rung);
        for remedy in ladder {
            let Ok((effect, belief)) = weigh(case, hypothesis.failure_mode, &remedy) else { continue };
            let decision = Decision::Act {
                targets: identify(&case.explanation, &effect.actions),
                prediction: prediction(&case.explanation, &effect),
                actions: effect.actions,
                is_test: false,
            };
            let parts = vec![part("past success", next_confidence(PRIOR_SUCCESS, belief))];
            if options.len() < MOST && !options.iter().any(|known| known.decision.is_like(&decision)) {
                options.push(proposal(case, vec![hypothesis.clone()], decision, parts));
            }
        }
    }
    options
}
