//! The docket: which incident the loop takes up, and when it looks again. Pure; time is given, since boot: a wait is as
//! long as it is, wherever somebody sets the wall clock to.

use std::collections::HashMap;

use crate::{
    decide::Attempt,
    explain::{Incident, IncidentUid},
    observe::Severity,
    verify::Verdict,
};

/// Time that an incident is given before the first look, ms: its symptoms join, rates exist. A critical one waits not.
const PATIENCE_MS: i64 = 2_000;
/// Waits between looks that led to no action, ms; the last one repeats.
const WAITS_MS: [i64; 6] = [3_000, 5_000, 10_000, 20_000, 40_000, 60_000];
/// Wait after an action that helped, before the incident is looked at again, ms.
const AFTER_HELP_MS: i64 = 30_000;
/// Wait after an action that was taken back, ms.
const AFTER_UNDO_MS: i64 = 5_000;
/// Actions on one incident, tests not counted; after so many a person is asked.
const MOST_ATTEMPTS: usize = 3;
/// Incidents that are worked on at once.
const MOST_AT_ONCE: usize = 4;

/// How a pass over an incident ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// An action was carried out and verified.
    Acted { attempt: Attempt, verdict: Verdict },
    /// The policy said no, or the action could not be carried out; something else may be allowed.
    Refused { attempt: Attempt },
    /// A limit stands in the way for so long, ms: the same is looked at again then.
    Later { wait_ms: i64, why: String },
    /// A proposal waits for an operator.
    AwaitsApproval,
    /// Nothing was to be done: advice, or inconclusive.
    LeftAlone,
}

impl Ending {
    /// Verdicts that failed in a row with this one, after so many before it. A test of a suspicion that changed nothing has
    /// told what it was made for.
    #[must_use]
    pub fn failures_in_a_row(&self, before: u32) -> u32 {
        match self {
            Self::Acted { attempt, verdict: Verdict::Unchanged } if attempt.is_test => before,
            Self::Acted { verdict, .. } if verdict.calls_for_undo() => before.saturating_add(1),
            Self::Acted { .. } => 0,
            _ => before,
        }
    }
}

/// What was worse once is left alone while it calms down.
fn is_calm_now(incident: &Incident) -> bool {
    incident.signals().all(|signal| signal.severity < Severity::Medium)
}

#[derive(Debug, Default)]
pub struct Docket {
    cases: HashMap<IncidentUid, Case>,
    outgrown: Vec<IncidentUid>,
}

#[derive(Debug, Default)]
struct Case {
    busy: bool,
    /// How bad the incident was when a proposal was laid before the operators that waits still.
    proposed_at: Option<Severity>,
    /// When the docket first heard of it: it opened earlier, for a signal must last before it is one.
    known_since_ms: i64,
    tried: Vec<Attempt>,
    looks: usize,
    next_look_ms: i64,
    /// Whether somebody asked for a look at once, though a proposal waits.
    look_again: bool,
    severity: Severity,
    /// What it was at the last look: while that goes on it may become worse.
    looked_at: Severity,
    /// What the last look concluded, so that the same conclusion is not recorded again and again.
    conclusion: Option<String>,
}

impl Docket {
    /// The incidents to take up now, each with what was tried before; they count as busy until [`Docket::close`].
    pub fn due(&mut self, incidents: &[Incident], now_ms: i64) -> Vec<(Incident, Vec<Attempt>)> {
        self.cases.retain(|uid, case| case.busy || incidents.iter().any(|incident| incident.uid == *uid));
        self.outgrown.clear();
        let mut free = MOST_AT_ONCE.saturating_sub(self.cases.values().filter(|case| case.busy).count());
        let mut due = Vec::new();
        for incident in incidents {
            if free == 0 || incident.closed_ms.is_some() || is_calm_now(incident) {
                continue;
            }
            let case = self
                .cases
                .entry(incident.uid.clone())
                .or_insert_with(|| Case { known_since_ms: now_ms, ..Case::default() });
            if incident.severity > case.severity {
                case.severity = incident.severity;
                case.next_look_ms = now_ms.min(case.next_look_ms);
            }
            let ripe = incident.severity == Severity::Critical || now_ms - case.known_since_ms >= PATIENCE_MS;
            // Whoever is asked may be asleep: what has become worse since is decided anew.
            let waits = !case.look_again && case.proposed_at.is_some_and(|then| incident.severity <= then);
            let attempts = case.tried.iter().filter(|attempt| !attempt.is_test).count();
            let free_of_others = !case.busy && !waits && attempts < MOST_ATTEMPTS;
            if ripe && free_of_others && (case.look_again || now_ms >= case.next_look_ms) {
                case.busy = true;
                case.look_again = false;
                case.looked_at = incident.severity;
                if case.proposed_at.take().is_some() {
                    self.outgrown.push(incident.uid.clone());
                }
                free -= 1;
                due.push((incident.clone(), case.tried.clone()));
            }
        }
        due
    }

    /// The incident is due at once, whatever waits; a proposal of it that is pending is decided anew.
    pub fn look_again(&mut self, incident: &IncidentUid) {
        if let Some(case) = self.cases.get_mut(incident) {
            case.look_again = true;
        }
    }

    /// Of those that were due last, whose proposal waited while they became worse.
    #[must_use]
    pub fn outgrown(&self) -> &[IncidentUid] {
        &self.outgrown
    }

    /// Says how a pass ended; sets when the next look is due.
    pub fn close(&mut self, incident: &IncidentUid, ending: Ending, now_ms: i64) {
        let Some(case) = self.cases.get_mut(incident) else { return };
        case.busy = false;
        case.proposed_at = (ending == Ending::AwaitsApproval).then_some(case.looked_at);
        let wait_ms = match ending {
            Ending::Acted { attempt, verdict } => {
                case.tried.push(attempt);
                case.looks = 0;
                if verdict.calls_for_undo() { AFTER_UNDO_MS } else { AFTER_HELP_MS }
            }
            Ending::Refused { attempt } => {
                case.tried.push(attempt);
                AFTER_UNDO_MS
            }
            Ending::Later { wait_ms, .. } => wait_ms.clamp(WAITS_MS[0], WAITS_MS[WAITS_MS.len() - 1]),
            Ending::AwaitsApproval => 0,
            Ending::LeftAlone => {
                let wait_ms = WAITS_MS[case.looks.min(WAITS_MS.len() - 1)];
                case.looks += 1;
                wait_ms
            }
        };
        case.next_look_ms = now_ms + wait_ms;
    }

    /// Whether this conclusion differs from that of the last look at the incident; remembers it.
    pub fn is_new(&mut self, incident: &IncidentUid, conclusion: String) -> bool {
        let case = self.cases.entry(incident.clone()).or_default();
        let new = case.conclusion.as_ref() != Some(&conclusion);
        case.conclusion = Some(conclusion);
        new
    }

    /// Takes the incident for an approved proposal; refused while the loop is at work on it.
    pub fn take(&mut self, incident: &IncidentUid) -> Result<Vec<Attempt>, &'static str> {
        let case = self.cases.entry(incident.clone()).or_default();
        if case.busy {
            return Err("the loop is at work on this incident; wait for its verdict");
        }
        case.busy = true;
        case.proposed_at = None;
        Ok(case.tried.clone())
    }

    /// A proposal was denied or expired: the incident is looked at again, knowing that this was not wanted.
    pub fn release(&mut self, incident: &IncidentUid, attempt: Attempt, now_ms: i64) {
        if let Some(case) = self.cases.get_mut(incident) {
            case.proposed_at = None;
            case.tried.push(attempt);
            case.next_look_ms = now_ms + AFTER_UNDO_MS;
        }
    }
}
