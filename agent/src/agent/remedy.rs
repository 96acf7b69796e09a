//! One pass of the loop over one incident: explain, simulate, decide, execute, verify, reflect.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, task::spawn_blocking, time::sleep};

use super::{docket::Ending, rooms::Rooms};
use crate::{
    clock::now_ms,
    decide::{Attempt, Case, Decision, Prediction, Proposal, rules},
    execute::{
        ActionRequest, Approval, Denied, ExecuteError, Journal as _, JournalState, Outcome, OutcomeStatus, Permit,
    },
    explain::{Baseline, Explanation, Incident},
    reflect::{Phase, Trace},
    simulate::simulate,
    verify::{Observed, Verdict, Verification, verify},
};

/// What a pass comes back with.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) trace: Trace,
    pub(super) ending: Ending,
}

impl Pass {
    /// What it came to without its numbers, to tell a new conclusion from one that was recorded before.
    pub(super) fn conclusion(&self) -> String {
        let Trace { hypothesis, recommended_action, denial, .. } = &self.trace;
        let failure_mode = hypothesis.split(':').next().unwrap_or_default();
        let rule = denial.as_ref().map_or("", |denial| &denial.rule);
        format!("{failure_mode} {recommended_action} {rule}").replace(|c: char| c.is_ascii_digit(), "")
    }
}

/// An operator's yes to a proposal, and where the outcome is told as soon as it is known.
#[derive(Debug)]
pub(super) struct Approved {
    pub(super) approval: Approval,
    pub(super) reply: oneshot::Sender<Result<Outcome, String>>,
}

impl Rooms {
    /// Takes `incident` through the seven steps; `tried` bounds what is tried now.
    pub(super) async fn remedy(
        self: Arc<Self>,
        incident: Incident,
        tried: Vec<Attempt>,
        usual: Option<Baseline>,
    ) -> Pass {
        let mut trace = Trace::open(&incident, self.autonomy(), now_ms());
        self.tell_steps(&trace, 0);
        let explanation = self.explain(&incident, usual);
        let explanation = self.keep(&mut trace, explanation);
        let forecast = simulate(&explanation, &rules::candidates(&explanation));
        let forecast = self.keep(&mut trace, forecast);
        let case = Case { incident, explanation, forecast, beliefs: self.beliefs(), tried };
        let proposal = self.reasoner.decide(&case).await;
        let proposal = self.keep(&mut trace, proposal);
        self.act(trace, &case.incident, &case.explanation, proposal, None).await
    }

    /// The second half, from a proposal on: judged, carried out, verified, and taken back if it did not help.
    pub(super) async fn act(
        self: &Arc<Self>,
        mut trace: Trace,
        incident: &Incident,
        explanation: &Explanation,
        proposal: Proposal,
        approved: Option<Approved>,
    ) -> Pass {
        let Decision::Act { action, prediction } = proposal.decision.clone() else {
            return self.end(trace, Ending::LeftAlone);
        };
        let (approval, reply) =
            approved.map_or((None, None), |approved| (Some(approved.approval), Some(approved.reply)));
        let permit = match self.judge(&proposal.author, &action, explanation, approval) {
            Ok(permit) => permit,
            Err(denied) => {
                answer(reply, Err(denied.to_string()));
                return self.refused(trace, proposal, &denied);
            }
        };
        self.keep_permit(&mut trace, &permit, &proposal);
        let outcome = match self.execute(permit, incident).await {
            Ok(outcome) => self.keep(&mut trace, outcome),
            Err(error) => {
                answer(reply, Err(error.to_string()));
                self.step(&mut trace, Phase::Execute, format!("not carried out: {error}"));
                let attempt = Attempt { action, result: format!("not carried out: {error}") };
                return self.end(trace, Ending::Refused { attempt });
            }
        };
        answer(reply, Ok(outcome.clone()));
        self.keep_trace(&mut trace);
        if outcome.status != OutcomeStatus::Done {
            let attempt = Attempt { action, result: format!("failed: {}", outcome.output) };
            return self.end(trace, Ending::Refused { attempt });
        }
        let done_ms = now_ms();
        sleep(Duration::from_secs(prediction.within_s.into())).await;
        let verification = self.verify(&prediction, &action, done_ms);
        let verdict = self.keep(&mut trace, verification).verdict;
        if let Some(id) = outcome.action_id {
            self.settle(&mut trace, id, verdict).await;
        }
        let attempt = Attempt { action, result: verdict.name().to_owned() };
        self.end(trace, Ending::Acted { attempt, verdict })
    }

    fn judge(
        &self,
        author: &str,
        action: &ActionRequest,
        explanation: &Explanation,
        approval: Option<Approval>,
    ) -> Result<Permit, Denied> {
        let pid = action.params.get("pid").and_then(serde_json::Value::as_u64);
        let mut processes = explanation.suspects.iter().filter_map(|suspect| suspect.entity.process());
        let expected = processes.find(|id| Some(u64::from(id.pid)) == pid);
        self.policy.judge(action, self.judging(author, approval, expected))
    }

    fn refused(&self, mut trace: Trace, proposal: Proposal, denied: &Denied) -> Pass {
        self.keep(&mut trace, denied.denial());
        let Decision::Act { action, .. } = &proposal.decision else { return self.end(trace, Ending::LeftAlone) };
        self.keep_trace(&mut trace);
        self.keep_denial(&trace, &proposal.author, action, denied);
        let ending = match denied {
            Denied::Advisor => Ending::LeftAlone,
            Denied::NeedsApproval { .. } if self.propose(&trace, proposal.clone()) => Ending::AwaitsApproval,
            _ => Ending::Refused { attempt: Attempt { action: action.clone(), result: format!("denied: {denied}") } },
        };
        self.end(trace, ending)
    }

    async fn execute(self: &Arc<Self>, permit: Permit, incident: &Incident) -> Result<Outcome, ExecuteError> {
        let (rooms, uid) = (Arc::clone(self), incident.uid.clone());
        let run = move || rooms.executor.run(permit, &rooms.daemon.store, Some(uid), now_ms());
        finish(spawn_blocking(run).await)
    }

    /// The same measure of the same entity, before and after.
    fn verify(&self, prediction: &Prediction, action: &ActionRequest, done_ms: i64) -> Verification {
        let live = self.daemon.look();
        let Prediction { signal_type, measure, entity, .. } = prediction;
        let points: Vec<_> = live.history.points(*signal_type, measure, entity).collect();
        let (before, after): (Vec<_>, Vec<_>) = points.into_iter().partition(|point| point.at_ms <= done_ms);
        let threshold = self.threshold(*signal_type, measure);
        let observed = Observed {
            before: &before,
            after: &after,
            settled_s: (now_ms() - done_ms) as f64 / 1000.0,
            entity_lives: live.window.has(entity),
            meant_to_end: action.action_type == "terminate_process",
            still_read: live.history.is_read_since(*signal_type, measure, done_ms),
            severity_of: &|value| threshold.map(|threshold| threshold.severity(value)).unwrap_or_default(),
        };
        verify(prediction, &observed)
    }

    /// Keeps what helped, takes back what did not.
    async fn settle(self: &Arc<Self>, trace: &mut Trace, id: i64, verdict: Verdict) {
        if !verdict.calls_for_undo() {
            if let Err(error) = self.daemon.store.advance(id, JournalState::Kept, verdict.name(), now_ms()) {
                self.step(trace, Phase::Verify, format!("the journal could not be told that it is kept: {error}"));
            }
            return;
        }
        match self.undo(id).await {
            Ok(undone) => {
                let from = trace.steps.len();
                trace.keep_undo(undone, now_ms());
                self.tell_steps(trace, from);
            }
            Err(error) => self.step(trace, Phase::Verify, format!("it could not be taken back: {error}")),
        }
    }

    /// Takes an action back, on a thread that may block.
    pub(super) async fn undo(self: &Arc<Self>, id: i64) -> Result<Outcome, ExecuteError> {
        let rooms = Arc::clone(self);
        finish(spawn_blocking(move || rooms.executor.undo(id, &rooms.daemon.store, now_ms())).await)
    }

    fn end(&self, trace: Trace, ending: Ending) -> Pass {
        let from = trace.steps.len();
        let trace = trace.close(now_ms());
        self.tell_steps(&trace, from);
        Pass { trace, ending }
    }
}

fn answer(reply: Option<oneshot::Sender<Result<Outcome, String>>>, with: Result<Outcome, String>) {
    if let Some(reply) = reply {
        // Who asked may have gone away; the trace tells it all the same.
        drop(reply.send(with));
    }
}

/// A panic of the executor's thread goes on in the pass, which the spine sees die.
fn finish<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    match joined {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
