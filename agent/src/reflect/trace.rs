//! A trace in the making: opened with the incident, given each part as it is made, closed with the lesson.

use super::{Phase, Trace, TraceStep, accuracy, lesson, lesson_of_test};
use crate::{
    decide::{Decision, Hypothesis, Proposal},
    execute::{Denial, Outcome, OutcomeStatus},
    explain::{Explanation, Incident},
    live::Autonomy,
    simulate::Forecast,
    verify::Verification,
};

/// What a trace keeps: a part of the loop's work, put in its place, its columns and its step.
pub trait Part: Sized {
    fn put(&self, trace: &mut Trace, now_ms: i64);
}

impl Trace {
    /// Begins the story of one pass over an incident.
    #[must_use]
    pub fn open(incident: &Incident, autonomy: Autonomy, now_ms: i64) -> Self {
        let primary = &incident.primary;
        let symptoms = match incident.symptoms.len() {
            0 => String::new(),
            n => format!(", with {n} more signals of the same cause"),
        };
        let observation = format!("{} {}: {}{symptoms}", primary.severity, primary.signal_type, primary.sentence);
        let mut trace = Self {
            trace_id: 0,
            incident: incident.uid.clone(),
            timestamp: now_ms,
            observation: observation.clone(),
            hypothesis: String::new(),
            evidence: String::new(),
            predicted_outcome: String::new(),
            recommended_action: String::new(),
            confidence: 0.0,
            actual_outcome: None,
            prediction_accurate: None,
            accuracy: None,
            lessons_learned: None,
            autonomy: autonomy.name().to_owned(),
            closed_ms: None,
            steps: Vec::new(),
            explanation: None,
            forecast: None,
            proposal: None,
            denial: None,
            outcomes: Vec::new(),
            verification: None,
            undone: Vec::new(),
        };
        trace.step(Phase::Observe, now_ms, observation);
        trace
    }

    /// Keeps a part, and hands it back to work on with.
    pub fn keep<P: Part>(&mut self, part: P, now_ms: i64) -> P {
        part.put(self, now_ms);
        part
    }

    /// Keeps how an undo ended.
    pub fn keep_undo(&mut self, undo: Outcome, now_ms: i64) {
        self.step(Phase::Verify, now_ms, format!("taken back: {}", in_words(&undo)));
        self.undone.push(undo);
    }

    /// Adds a step in words, for what has no part of its own.
    pub fn step(&mut self, phase: Phase, now_ms: i64, text: String) {
        self.steps.push(TraceStep { phase, at_ms: now_ms, text });
    }

    /// Ends the story: compares what was predicted with what came, and says what it teaches.
    #[must_use]
    pub fn close(mut self, now_ms: i64) -> Self {
        let learned = self.learn();
        self.step(Phase::Reflect, now_ms, learned.clone());
        self.lessons_learned = Some(learned);
        self.closed_ms = Some(now_ms);
        self
    }

    fn learn(&mut self) -> String {
        let decision = self.proposal.as_ref().map(|proposal| proposal.decision.clone());
        match (decision, &self.verification, &self.denial) {
            (Some(Decision::Act { actions, prediction, is_test: true, .. }), Some(verification), _) => {
                lesson_of_test(&actions, &prediction, verification)
            }
            (Some(Decision::Act { actions, prediction, .. }), Some(verification), _) => {
                let compared = accuracy(&prediction, verification);
                self.accuracy = compared.map(|compared| compared.accuracy);
                self.prediction_accurate = compared.map(|compared| compared.within_tolerance);
                lesson(actions.action_type(), &prediction, verification)
            }
            (Some(Decision::Act { .. }), None, Some(denial)) => {
                format!("Nothing was done: {} ({}). The prediction stays untested.", denial.reason, denial.rule)
            }
            (Some(Decision::Act { .. }), None, None) => "Nothing was done, so nothing was learnt.".to_owned(),
            (Some(Decision::Advise { .. }), ..) => "Advice was given; what came of it is not known.".to_owned(),
            (Some(Decision::Inconclusive { .. }), ..) => "Inconclusive; a person was asked.".to_owned(),
            (None, ..) => "It ended before anything was decided.".to_owned(),
        }
    }
}

impl Part for Explanation {
    fn put(&self, trace: &mut Trace, now_ms: i64) {
        let unknown = match self.unknown.as_slice() {
            [] => String::new(),
            unknown => format!(" Not known: {}.", unknown.join("; ")),
        };
        trace.step(Phase::Explain, now_ms, format!("{}{unknown}", self.summary));
        trace.explanation = Some(self.clone());
    }
}

impl Part for Forecast {
    fn put(&self, trace: &mut Trace, now_ms: i64) {
        let effects = self.effects.iter().map(|effect| {
            let verdict = if effect.suffices { "suffices" } else { "does not suffice" };
            format!(" {} {verdict}: {}.", effect.actions.action_type(), effect.formula)
        });
        let text = format!("{}.{}", self.if_nothing_is_done, effects.collect::<String>());
        trace.predicted_outcome.clone_from(&self.if_nothing_is_done);
        trace.step(Phase::Simulate, now_ms, text);
        trace.forecast = Some(self.clone());
    }
}

impl Part for Proposal {
    fn put(&self, trace: &mut Trace, now_ms: i64) {
        if let Some(best) = self.hypotheses.first() {
            trace.hypothesis = format!("{}: {}", best.failure_mode.name(), best.statement);
            trace.evidence = evidence_of(best);
        }
        if let Decision::Act { prediction, .. } = &self.decision {
            trace.predicted_outcome.clone_from(&prediction.statement);
        }
        trace.recommended_action = self.decision.to_string();
        trace.confidence = self.confidence.value;
        let parts: Vec<String> =
            self.confidence.parts.iter().map(|part| format!("{} {:.2}", part.name, part.factor)).collect();
        let text = format!(
            "{}: {}. {} Confidence {:.2} = {}.",
            self.author,
            trace.recommended_action.trim_end_matches('.'),
            self.justification,
            self.confidence.value,
            parts.join(" × ")
        );
        trace.step(Phase::Decide, now_ms, text);
        trace.proposal = Some(self.clone());
    }
}

impl Part for Denial {
    fn put(&self, trace: &mut Trace, now_ms: i64) {
        trace.step(Phase::Execute, now_ms, format!("denied by {}: {}", self.rule, self.reason));
        trace.actual_outcome = Some(format!("denied: {}", self.reason));
        trace.denial = Some(self.clone());
    }
}

impl Part for Outcome {
    fn put(&self, trace: &mut Trace, now_ms: i64) {
        trace.step(Phase::Execute, now_ms, in_words(self));
        if self.status != OutcomeStatus::Done {
            trace.actual_outcome = Some(in_words(self));
        }
        trace.outcomes.push(self.clone());
    }
}

impl Part for Verification {
    fn put(&self, trace: &mut Trace, now_ms: i64) {
        let text = format!("{}: {}", self.verdict.name(), self.statement);
        trace.step(Phase::Verify, now_ms, text.clone());
        trace.actual_outcome = Some(text);
        trace.verification = Some(self.clone());
    }
}

fn evidence_of(hypothesis: &Hypothesis) -> String {
    let list = |facts: &[String]| if facts.is_empty() { "nothing".to_owned() } else { facts.join("; ") };
    format!("for: {}. against: {}.", list(&hypothesis.evidence_for), list(&hypothesis.evidence_against))
}

fn in_words(outcome: &Outcome) -> String {
    let status = match outcome.status {
        OutcomeStatus::Done => "done",
        OutcomeStatus::Failed => "failed, nothing changed",
        OutcomeStatus::TimedOut => "timed out",
        OutcomeStatus::LeftAlone => "left alone, for somebody changed it since",
    };
    let change = if outcome.change.is_empty() { String::new() } else { format!(", {}", outcome.change) };
    format!("`{}` {status}{change} ({} ms)", outcome.command, outcome.duration_ms)
}
