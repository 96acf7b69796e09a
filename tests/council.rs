//! Rules and a model together: who is asked when, and what holds where they disagree.

use std::sync::{Arc, Mutex};

use kernelsight::{
    decide::{
        Case, Decision, Proposal, Reasoner,
        council::{Agreement, join},
        model::{Thinker, Thought, Together},
        rules,
    },
    mind::settings::{Consult, Decide},
};

use crate::{
    decide::{case, cpu_waits, spinner, victim},
    scene::{Scene, group},
};

/// A model that says what it is told to, to who recalls it; cases that are put before it are counted.
#[derive(Debug)]
struct Scripted {
    terms: Option<(Decide, Consult)>,
    reflex: bool,
    thought: Option<Thought>,
    /// Whether each is to lead to another look.
    begun: Mutex<Vec<bool>>,
}

impl Thinker for Scripted {
    fn terms(&self) -> Option<(Decide, Consult)> {
        self.terms
    }

    fn is_reflex(&self, _: &Proposal) -> bool {
        self.reflex
    }

    fn recall(&self, _: &Case, _: &Proposal, _: &[Proposal]) -> Option<Thought> {
        self.thought.clone()
    }

    fn begin(&self, _: &Case, _: &Proposal, _: Vec<Proposal>, look_again: bool) {
        self.begun.lock().unwrap().push(look_again);
    }
}

fn hogs() -> Case {
    let hog = |pid| spinner(pid, "spin", "/x");
    let scene = Scene::of(&[hog(41), hog(42), hog(43), victim()], &[group("/x")]);
    case(&scene, &[cpu_waits(&scene)])
}

/// What is decided, at once or not at all, and the cases that were begun.
fn decided(terms: Option<(Decide, Consult)>, reflex: bool, thought: Option<Thought>) -> (Proposal, Vec<bool>) {
    let thinker = Arc::new(Scripted { terms, reflex, thought, begun: Mutex::default() });
    let together = Together::new(thinker.clone());
    let case = hogs();
    let mut deciding = together.decide(&case);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(proposal) = deciding.as_mut().poll(&mut context) else { panic!("somebody waits") };
    drop(deciding);
    let begun = thinker.begun.lock().unwrap().clone();
    (proposal, begun)
}

const BOTH: Option<(Decide, Consult)> = Some((Decide::Both, Consult::Unsure));

fn model(decision: Decision) -> Proposal {
    Proposal {
        author: "gemini/scripted".to_owned(),
        justification: "So.".to_owned(),
        decision,
        ..rules::decide(&hogs())
    }
}

fn nothing() -> Decision {
    Decision::Advise { advice: "wait".to_owned() }
}

/// The options, the harshest last.
fn options() -> Vec<Proposal> {
    let options = rules::options(&hogs());
    assert!(options.len() > 1, "{options:#?}");
    options
}

#[test]
fn the_rules_answer_at_once_and_a_model_is_asked_beside_them() {
    let ours = rules::decide(&hogs());
    let course = |proposal: &Proposal| proposal.decision.to_string();
    let (proposal, begun) = decided(BOTH, false, None);
    assert_eq!((course(&proposal), begun), (course(&ours), vec![true]));
    let (proposal, begun) = decided(None, false, None);
    assert_eq!((course(&proposal), begun), (course(&ours), vec![]));
    let (_, begun) = decided(Some((Decide::Rules, Consult::Always)), false, None);
    assert_eq!(begun, Vec::<bool>::new());
}

#[test]
fn a_known_reflex_is_done_whatever_a_model_thinks() {
    let objects = Some(Thought { case: 3, proposal: Some(model(nothing())) });
    for consult in [Consult::Unsure, Consult::Always] {
        let (proposal, _) = decided(Some((Decide::Model, consult)), true, objects.clone());
        assert!(matches!(proposal.decision, Decision::Act { .. }), "{proposal:?}");
    }
    assert_eq!(decided(BOTH, true, None).1, Vec::<bool>::new());
    // For the record only: what was done is not looked at sooner for it.
    assert_eq!(decided(Some((Decide::Both, Consult::Always)), true, None).1, [false]);
}

#[test]
fn what_was_thought_is_heeded_and_the_milder_holds() {
    let heard = |decision| decided(BOTH, false, Some(Thought { case: 3, proposal: Some(model(decision)) })).0;
    let objected = heard(nothing());
    assert!(matches!(&objected.decision, Decision::Advise { advice } if advice.contains("The model objects")));
    assert_eq!(objected.case, Some(3));
    let harsher = heard(options().pop().unwrap().decision);
    assert!(harsher.decision.is_like(&rules::decide(&hogs()).decision));
    assert!(!harsher.is_of_model() && harsher.only_with_approval.is_none());
    let late = decided(BOTH, false, Some(Thought { case: 4, proposal: None })).0;
    assert!(late.decision.is_like(&rules::decide(&hogs()).decision) && late.case == Some(4));
}

#[test]
fn where_a_model_decides_what_is_harsher_than_the_rules_needs_an_operators_word() {
    let harshest = options().pop().unwrap().decision;
    let thought = Some(Thought { case: 3, proposal: Some(model(harshest.clone())) });
    let (proposal, _) = decided(Some((Decide::Model, Consult::Unsure)), false, thought);
    assert!(proposal.decision.is_like(&harshest) && proposal.is_of_model());
    assert_eq!(proposal.only_with_approval.as_deref(), Some("it is harsher than what the rules would do"));
}

#[test]
fn what_only_a_model_wants_is_left_to_an_operator() {
    let rules = Proposal { decision: nothing(), ..rules::decide(&hogs()) };
    let joined = join(rules, model(options().remove(0).decision));
    assert_eq!(joined.agreement, Agreement::Adds);
    assert_eq!(joined.proposal.only_with_approval.as_deref(), Some("only the model wants it"));
}
