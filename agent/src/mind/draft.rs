//! What a model concludes with, and how that is judged: each claim is looked up, and what is false goes back once.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    decide::{Confidence, ConfidencePart, Decision, FailureMode, Hypothesis, Proposal},
    explain::{Incident, IncidentUid},
    observe::Signal,
    tools::{
        params::{Bounded, Prose},
        verify_claim::{self, Claim, Verdict},
    },
};

/// Claims of one hypothesis.
const CLAIMS: usize = 8;
/// Below this part of the specialists that agree, the answer is a recommendation only.
pub const AGREEMENT: f64 = 0.5;
/// What recommends nothing else.
pub const INCONCLUSIVE: &str = "Status: INCONCLUSIVE. Recommend Human Investigation.";

/// The director's recommendation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Exactly three, which differ in cause.
    pub hypotheses: [Supposed; 3],
    /// Numbers of the incident's signals in the order in which things happened, the cause first.
    pub timeline: Vec<i64>,
    /// Which option to take, by its number; none: the agent should do nothing.
    pub option: Option<Bounded<1, 32>>,
    /// What a person should know or do, in one or two sentences.
    pub advice: Prose<1000>,
    /// How sure, 0 to 1.
    pub confidence: f64,
}

/// One hypothesis of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Supposed {
    pub failure_mode: FailureMode,
    pub statement: Prose<500>,
    pub would_confirm: Prose<300>,
    pub would_refute: Prose<300>,
    pub verdict: Finding,
    /// What was found that decides it, at most 8; each is looked up.
    pub claims: Vec<Claim>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    Confirmed,
    Rejected,
}

/// A specialist's opinion.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Opinion {
    /// Whether the cause lies in its field.
    pub mine: bool,
    /// What it thinks is wrong.
    pub failure_mode: FailureMode,
    pub statement: Prose<500>,
    /// Which option it would take; none: none.
    pub option: Option<Bounded<1, 32>>,
    /// 0 to 1.
    pub confidence: f64,
    pub claims: Vec<Claim>,
}

/// What a draft is held against.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    pub incident: &'a Incident,
    pub options: &'a [Proposal],
    /// Failure modes that were wrong before on the same evidence.
    pub forbidden: &'a [FailureMode],
    pub opinions: &'a [(String, Opinion)],
    /// Who speaks: the provider and its model.
    pub author: &'a str,
}

/// A draft that holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub proposal: Proposal,
    /// Part of the specialists that would do the same, 0 to 1; none where none was heard.
    pub agreement: Option<f64>,
}

/// Judges a draft; `look_up` answers each claim.
///
/// # Errors
/// All that is wrong with it, in words that a model can act on.
pub fn judge(
    draft: &Draft,
    bench: &Bench<'_>,
    mut look_up: impl FnMut(&Claim) -> Result<verify_claim::Answer, String>,
) -> Result<Judged, Vec<String>> {
    let mut wrong = Vec::new();
    let mut hypotheses = Vec::new();
    for (at, supposed) in draft.hypotheses.iter().enumerate() {
        let number = at + 1;
        let checked = check_claims(&supposed.claims, &mut look_up);
        wrong.extend(checked.wrong.iter().map(|what| format!("hypothesis {number}: {what}")));
        if supposed.verdict == Finding::Confirmed {
            if checked.held.is_empty() {
                wrong.push(format!("hypothesis {number} is confirmed by no claim that could be looked up"));
            }
            if bench.forbidden.contains(&supposed.failure_mode) {
                wrong.push(format!(
                    "hypothesis {number}: {} was believed before on this evidence, and what was done about it changed nothing; \
                     it may not be confirmed",
                    supposed.failure_mode.name()
                ));
            }
        }
        hypotheses.push(hypothesis(supposed, checked, draft.confidence));
    }
    let kinds: BTreeSet<_> = draft.hypotheses.iter().map(|one| (one.failure_mode, one.statement.as_str())).collect();
    if kinds.len() < draft.hypotheses.len() {
        wrong.push("two hypotheses are the same; they must differ in cause".to_owned());
    }
    let confirmed = draft.hypotheses.iter().filter(|one| one.verdict == Finding::Confirmed).count();
    if confirmed > 1 {
        wrong.push("more than one hypothesis is confirmed; only one can be the cause".to_owned());
    }
    if confirmed == 0 && draft.option.is_some() {
        wrong.push("an option is chosen while every hypothesis is rejected; choose none".to_owned());
    }
    if !(0.0..=1.0).contains(&draft.confidence) {
        wrong.push(format!("`confidence` is {}; it must be from 0 to 1", draft.confidence));
    }
    let chosen = match draft.option.map(|option| (option, bench.options.get(option.count() - 1))) {
        Some((option, None)) => {
            wrong.push(format!("there is no option {option}; there are {}", bench.options.len()));
            None
        }
        Some((_, chosen)) => chosen,
        None => None,
    };
    wrong.extend(timeline_is_wrong(&draft.timeline, bench.incident));
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // The one that holds first; the order among the others is the model's.
    hypotheses.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let agreement = agreement(bench.opinions, draft.option);
    let (decision, mut parts) = match (chosen, confirmed) {
        (Some(option), _) => (option.decision.clone(), option.confidence.parts.clone()),
        (None, 0) => {
            (Decision::Inconclusive { missing: format!("{INCONCLUSIVE} {}", draft.advice.as_str()) }, Vec::new())
        }
        (None, _) => (Decision::Advise { advice: draft.advice.as_str().to_owned() }, Vec::new()),
    };
    parts.push(ConfidencePart { name: "the model's own".to_owned(), factor: draft.confidence });
    if let Some(agreement) = agreement {
        parts.push(ConfidencePart { name: "agreement of specialists".to_owned(), factor: agreement });
    }
    let best = hypotheses.first().map(|best| best.statement.clone()).unwrap_or_default();
    let proposal = Proposal {
        incident: incident_of(bench),
        author: bench.author.to_owned(),
        hypotheses,
        decision,
        justification: format!("{best}. {}", draft.advice.as_str()),
        confidence: Confidence::of(parts),
        only_with_approval: agreement
            .filter(|agreement| *agreement < AGREEMENT)
            .map(|agreement| format!("only {:.0} % of the specialists would do the same", agreement * 100.0)),
        case: None,
    };
    Ok(Judged { proposal, agreement })
}

fn incident_of(bench: &Bench<'_>) -> IncidentUid {
    bench.incident.uid.clone()
}

/// The claims of an opinion that are not so.
///
/// # Errors
/// All of them, in words.
pub fn judge_opinion(
    opinion: &Opinion,
    options: usize,
    mut look_up: impl FnMut(&Claim) -> Result<verify_claim::Answer, String>,
) -> Result<(), Vec<String>> {
    let mut wrong = check_claims(&opinion.claims, &mut look_up).wrong;
    if let Some(option) = opinion.option.filter(|option| option.count() > options) {
        wrong.push(format!("there is no option {option}; there are {options}"));
    }
    if !(0.0..=1.0).contains(&opinion.confidence) {
        wrong.push(format!("`confidence` is {}; it must be from 0 to 1", opinion.confidence));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

#[derive(Default)]
struct Checked {
    held: Vec<String>,
    wrong: Vec<String>,
}

fn check_claims(claims: &[Claim], look_up: &mut impl FnMut(&Claim) -> Result<verify_claim::Answer, String>) -> Checked {
    let mut checked = Checked::default();
    if claims.len() > CLAIMS {
        checked.wrong.push(format!("{} claims; give the {CLAIMS} that decide", claims.len()));
    }
    for claim in claims.iter().take(CLAIMS) {
        match look_up(claim) {
            Ok(answer) if answer.verdict == Verdict::True => checked.held.push(answer.found),
            Ok(answer) if answer.verdict == Verdict::False => {
                checked.wrong.push(format!("a claim is not so: {}", answer.found));
            }
            Ok(answer) => checked.wrong.push(format!("a claim cannot be looked up: {}", answer.found)),
            Err(problem) => checked.wrong.push(problem),
        }
    }
    checked
}

fn hypothesis(supposed: &Supposed, checked: Checked, confidence: f64) -> Hypothesis {
    let is_confirmed = supposed.verdict == Finding::Confirmed;
    let (evidence_for, evidence_against) =
        if is_confirmed { (checked.held, Vec::new()) } else { (Vec::new(), checked.held) };
    Hypothesis {
        failure_mode: supposed.failure_mode,
        statement: supposed.statement.as_str().to_owned(),
        evidence_for,
        evidence_against,
        confidence: if is_confirmed { confidence } else { 0.0 },
    }
}

/// What is wrong with the order of things: a signal that is none of the incident's, or one that came before its cause.
fn timeline_is_wrong(timeline: &[i64], incident: &Incident) -> Option<String> {
    let signals: Vec<&Signal> = incident.signals().collect();
    let mut before: Option<&Signal> = None;
    for id in timeline {
        let Some(signal) = signals.iter().find(|signal| signal.id == *id) else {
            return Some(format!("`timeline` names signal {id}, which is none of this incident's"));
        };
        if let Some(before) = before.filter(|before| before.first_seen_ms > signal.first_seen_ms) {
            return Some(format!(
                "`timeline` has signal {} before {id}, but it was seen {} ms later; a cause comes before its symptom",
                before.id,
                before.first_seen_ms - signal.first_seen_ms
            ));
        }
        before = Some(signal);
    }
    timeline.is_empty().then(|| "`timeline` is empty; give the incident's signals, the cause first".to_owned())
}

/// Part of the specialists that would take the same option.
fn agreement(opinions: &[(String, Opinion)], option: Option<Bounded<1, 32>>) -> Option<f64> {
    let same = opinions.iter().filter(|(_, opinion)| opinion.option == option).count();
    (!opinions.is_empty()).then(|| same as f64 / opinions.len() as f64)
}
