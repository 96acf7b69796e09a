//! What a model answers: an action by name with typed parameters and words around it. Nothing of it is believed.

use std::sync::LazyLock;

use kernelsight::{
    decide::{Decision, Proposal},
    execute::{ActionRequest, Actions, Policy, catalogue},
    live::Autonomy,
    tools::{ToolError, execute_remediation::ExecuteRemediation, params},
};
use serde_json::{Map, Value};

use super::is_escaped;
use crate::hostile_oracle::action_is_canonical;

/// Most characters of a justification.
const JUSTIFICATION_MAX: usize = 4000;
/// Most characters of a refusal: the names of all actions, and what each parameter takes.
const REFUSAL_MAX: usize = 4096;

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::embedded().expect("the rules prove themselves"));

pub(crate) fn check(bytes: &[u8]) -> bool {
    let proposal = serde_json::from_slice::<Proposal>(bytes).ok();
    if let Some(proposal) = &proposal {
        check_proposal(proposal);
    }
    let Ok(given) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return false };
    let asked = check_asked(given);
    asked || proposal.is_some()
}

/// As a model asks for one action, by the tool that is for that.
fn check_asked(given: Map<String, Value>) -> bool {
    let asked = match params::read::<ExecuteRemediation>(given.clone()) {
        Ok(asked) => asked,
        Err(error) => {
            check_refusal(&error);
            return false;
        }
    };
    let words = asked.justification.clone().into_string();
    assert!((1..=JUSTIFICATION_MAX).contains(&words.chars().count()));
    assert!(words.chars().all(is_prose), "{words:?}");
    assert!((0.0..=1.0).contains(&asked.confidence.get()));
    let name = asked.action_type.as_str().to_owned();
    assert!(catalogue().iter().any(|action| action.name == name), "{name:?} is an action");
    // Nothing was added, and nothing put in another's place.
    let mut again = serde_json::to_value(&asked).expect("it was a value before");
    again["confidence"] = given["confidence"].clone();
    assert_eq!(again.as_object(), Some(&given));
    check_request(&ActionRequest { action_type: name, params: asked.params });
    true
}

/// A whole proposal, as it is stored and shown.
fn check_proposal(proposal: &Proposal) {
    let Decision::Act { actions, .. } = &proposal.decision else { return };
    let requests: Vec<&ActionRequest> = actions.iter().collect();
    assert!((1..=Actions::MOST).contains(&requests.len()));
    for (place, request) in requests.iter().enumerate() {
        assert_eq!(request.action_type, actions.action_type());
        let aim = |request: &ActionRequest| (request.pid(), request.cgroup().map(str::to_owned));
        assert!(requests[..place].iter().all(|before| aim(before) != aim(request)), "one target twice");
        check_request(request);
    }
}

/// Allowed at the highest level, it has the parameters of its kind, each in its range.
fn check_request(request: &ActionRequest) {
    let verdict = POLICY.check_action(request, Autonomy::Agent);
    let canonical = action_is_canonical(&request.action_type, &request.params);
    assert!(!verdict.allowed || canonical, "the policy allows {request}");
    assert!(is_escaped(&verdict.reason), "{:?}", verdict.reason);
}

fn check_refusal(error: &ToolError) {
    let said = error.to_string();
    assert!(is_escaped(&said), "{said:?}");
    assert!(said.chars().count() <= REFUSAL_MAX, "a refusal of {} characters", said.chars().count());
}

/// No character that ends a line, moves the cursor, or turns the order of others around.
fn is_prose(c: char) -> bool {
    let turns = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !turns && (!c.is_control() || c == '\n')
}
