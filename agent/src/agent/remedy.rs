//! One pass of the loop over one incident: explain, simulate, decide, execute, verify, reflect.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task::spawn_blocking, time::sleep};

use super::{docket::Ending, rooms::Rooms};
use crate::{
    clock::now_ms,
    decide::{Attempt, Case, Decision, Outdated, Prediction, Proposal, rules},
    execute::{
        ActionRequest, Actions, Approval, Barred, Denial, Denied, Errand, ExecuteError, Judging, Outcome,
        OutcomeStatus, Over, Permit,
    },
    explain::{Baseline, Explanation, Incident},
    live::{Autonomy, Operator},
    reflect::{Phase, Trace},
    simulate::simulate,
    verify::{Observed, Verdict, Verification, verify},
};

/// What a pass comes back with.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) trace: Trace,
    pub(super) ending: Ending,
    /// Steps of the trace that were told already: those of a pass that only looks are told when it ends, if it came to
    /// anything new.
    pub(super) told: usize,
}

impl Pass {
    /// What was decided, whether or not it was done.
    pub(super) fn would_do(&self) -> Option<&ActionRequest> {
        match &self.trace.proposal.as_ref()?.decision {
            Decision::Act { actions, .. } => Some(actions.first()),
            _ => None,
        }
    }

    /// What it came to without its numbers, to tell a new conclusion from one that was recorded before.
    pub(super) fn conclusion(&self) -> String {
        let Trace { hypothesis, recommended_action, denial, proposal, .. } = &self.trace;
        let failure_mode = hypothesis.split(':').next().unwrap_or_default();
        let rule = denial.as_ref().map_or("", |denial| &denial.rule);
        let heard =
            if proposal.as_ref().is_some_and(|proposal| proposal.case.is_some()) { "a model was heard" } else { "" };
        format!("{failure_mode} {recommended_action} {rule} {heard}").replace(|c: char| c.is_ascii_digit(), "")
    }
}

/// Where an operator is told how each action went.
pub(super) type Reply = oneshot::Sender<Result<Vec<Outcome>, String>>;

/// An operator's yes to a proposal, and where the outcome is told as soon as it is known.
#[derive(Debug)]
pub(super) struct Approved {
    pub(super) by: Operator,
    pub(super) reply: Reply,
}

/// Why a proposal is not carried out.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{denied}")]
    Denied { action: ActionRequest, denied: Denied },
    #[error(transparent)]
    Outdated(#[from] Outdated),
    #[error("{barred}")]
    Barred { action: ActionRequest, barred: Barred },
}

/// What a refusal leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The same at every look while the level stays.
    LeaveAlone,
    AskOperator,
    WaitMs(i64),
    TryAnother,
}

impl Refused {
    /// The first action that may not be.
    fn action(&self) -> &ActionRequest {
        match self {
            Self::Denied { action, .. } | Self::Barred { action, .. } | Self::Outdated(Outdated { action }) => action,
        }
    }

    fn denial(&self) -> Denial {
        match self {
            Self::Denied { denied, .. } => denied.denial(),
            Self::Outdated(_) => Denial { reason: self.to_string(), rule: "target.outdated".to_owned() },
            Self::Barred { barred, .. } => barred.denial(),
        }
    }

    fn next(&self) -> Next {
        match self {
            Self::Denied { denied: Denied::Advisor, .. } => Next::LeaveAlone,
            Self::Denied { denied, .. } if denied.needs_approval() => Next::AskOperator,
            Self::Barred { barred: Barred::Over(Over { operator_may: true, .. }), .. } => Next::AskOperator,
            Self::Barred { barred: Barred::Over(over), .. } => Next::WaitMs(over.wait_ms),
            Self::Denied { .. } | Self::Outdated(_) | Self::Barred { .. } => Next::TryAnother,
        }
    }
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
        let explanation = trace.keep(self.explain(&incident, usual), now_ms());
        let forecast = trace.keep(simulate(&explanation, &rules::candidates(&explanation)), now_ms());
        let may_test = self.autonomy() >= Autonomy::Guardian;
        let case = Case { incident, explanation, forecast, beliefs: self.beliefs(), tried, may_test };
        let proposal = trace.keep(self.reasoner.decide(&case).await, now_ms());
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
        let Decision::Act { actions, prediction, is_test, .. } = proposal.decision.clone() else {
            return end(trace, Ending::LeftAlone, 0);
        };
        let (approved_by, reply) = approved.map_or((None, None), |approved| (Some(approved.by), Some(approved.reply)));
        let errand = Errand::of(&incident.uid);
        let permits = match self.judge_all(&proposal, explanation, &errand, approved_by.as_ref()) {
            Ok(permits) => permits,
            Err(refused) => {
                answer(reply, Err(refused.to_string()));
                return self.refused(trace, proposal, actions, &refused);
            }
        };
        self.tell_steps(&trace, 0);
        self.keep_trace(&mut trace);
        for permit in &permits {
            self.keep_permit(&trace, permit, &proposal);
        }
        let begun_ms = now_ms();
        if let Err(why) = self.execute_all(&mut trace, permits, &errand).await {
            answer(reply, Err(why.clone()));
            let told = trace.steps.len();
            return end(trace, Ending::Refused { attempt: Attempt { actions, result: why, is_test } }, told);
        }
        answer(reply, Ok(trace.outcomes.clone()));
        self.keep_trace(&mut trace);
        let done_ms = now_ms();
        sleep(Duration::from_secs(prediction.within_s.into())).await;
        let verification = self.verify(&prediction, actions.first(), begun_ms..done_ms);
        let verdict = self.keep(&mut trace, verification).verdict;
        self.settle(&mut trace, verdict).await;
        if verdict.calls_for_undo() && !is_test {
            self.keep_refuted(incident, explanation, &proposal);
        }
        let attempt = Attempt { actions, result: verdict.name().to_owned(), is_test };
        let told = trace.steps.len();
        end(trace, Ending::Acted { attempt, verdict }, told)
    }

    /// A permit for each action, or the first that may not be, and why.
    fn judge_all(
        &self,
        proposal: &Proposal,
        explanation: &Explanation,
        errand: &Errand,
        approved_by: Option<&Operator>,
    ) -> Result<Vec<Permit>, Box<Refused>> {
        let Decision::Act { actions, targets, .. } = &proposal.decision else { return Ok(Vec::new()) };
        proposal.decision.still_fits(explanation).map_err(|outdated| Box::new(outdated.into()))?;
        let judge = |action: &ActionRequest| {
            let approval = approved_by.map(|by| Approval::of(action, by, now_ms()));
            let needs_word = self.needs_word(proposal);
            let judging = Judging { needs_word, ..self.judging(&proposal.author, approval, Some(targets)) };
            let denied = |denied| Box::new(Refused::Denied { action: action.clone(), denied });
            self.policy.judge(action, judging).map_err(denied)
        };
        let permits: Vec<Permit> = actions.iter().map(judge).collect::<Result<_, _>>()?;
        let barred = |barred| Box::new(Refused::Barred { action: actions.first().clone(), barred });
        self.executor.may(&permits, errand, &self.daemon.store, now_ms()).map_err(barred)?;
        Ok(permits)
    }

    /// Why what was proposed is not done without an operator's word: whoever proposed it said so, or it is of a model that
    /// the watchtower suspends.
    fn needs_word(&self, proposal: &Proposal) -> Option<String> {
        let suspended = || self.daemon.mind.watch(|tower| tower.suspends(Instant::now()));
        let of_suspended = || {
            let why = proposal.is_of_model().then(suspended)??;
            Some(format!("the model is suspended: {why}"))
        };
        proposal.only_with_approval.clone().or_else(of_suspended)
    }

    fn refused(&self, mut trace: Trace, proposal: Proposal, actions: Actions, refused: &Refused) -> Pass {
        trace.keep(refused.denial(), now_ms());
        let next = refused.next();
        // What is the same at every look is kept only when it is new.
        match next {
            Next::LeaveAlone => return end(trace, Ending::LeftAlone, 0),
            Next::WaitMs(wait_ms) => return end(trace, Ending::Later { wait_ms, why: refused.to_string() }, 0),
            Next::AskOperator | Next::TryAnother => {}
        }
        self.keep_trace(&mut trace);
        self.keep_denial(&trace, refused.action());
        let is_test = proposal.decision.is_test();
        let ending = if next == Next::AskOperator && self.propose(&trace, proposal) {
            Ending::AwaitsApproval
        } else {
            Ending::Refused { attempt: Attempt { actions, result: format!("denied: {refused}"), is_test } }
        };
        end(trace, ending, 0)
    }

    /// Spends the permits one after the other. If one cannot be carried out, those before it are taken back.
    async fn execute_all(
        self: &Arc<Self>,
        trace: &mut Trace,
        permits: Vec<Permit>,
        errand: &Errand,
    ) -> Result<(), String> {
        for permit in permits {
            let failure = match self.execute(permit, errand.clone()).await {
                Ok(outcome) => {
                    let outcome = self.keep(trace, outcome);
                    (outcome.status != OutcomeStatus::Done).then(|| format!("failed: {}", outcome.output))
                }
                Err(error) => {
                    let why = format!("not carried out: {error}");
                    self.step(trace, Phase::Execute, why.clone());
                    Some(why)
                }
            };
            if let Some(why) = failure {
                self.take_back(trace).await;
                return Err(why);
            }
        }
        Ok(())
    }

    async fn execute(self: &Arc<Self>, permit: Permit, errand: Errand) -> Result<Outcome, ExecuteError> {
        let rooms = Arc::clone(self);
        let run = move || rooms.executor.run(permit, &rooms.daemon.store, &errand, now_ms());
        finish(spawn_blocking(run).await)
    }

    /// The same measure of the same entity, before and after what was `done` between two times. What was read in between
    /// is neither: of several actions some had their effect by then.
    fn verify(&self, prediction: &Prediction, action: &ActionRequest, done: Range<i64>) -> Verification {
        let live = self.daemon.look();
        let Prediction { signal_type, measure, entity, .. } = prediction;
        let points = || live.history.points(*signal_type, measure, entity);
        let before: Vec<_> = points().filter(|point| point.at_ms <= done.start).collect();
        let after: Vec<_> = points().filter(|point| point.at_ms > done.end).collect();
        let threshold = self.threshold(*signal_type, measure);
        let observed = Observed {
            before: &before,
            after: &after,
            settled_s: (now_ms() - done.end) as f64 / 1000.0,
            entity_lives: live.window.has(entity),
            meant_to_end: action.action().is_some_and(|action| action.predicts.ends_processes()),
            still_read: live.history.is_read_since(*signal_type, measure, done.end),
            severity_of: &|value| threshold.map(|threshold| threshold.severity(value)).unwrap_or_default(),
        };
        verify(prediction, &observed)
    }

    /// Keeps what helped, takes back what did not.
    async fn settle(self: &Arc<Self>, trace: &mut Trace, verdict: Verdict) {
        if verdict.calls_for_undo() {
            return self.take_back(trace).await;
        }
        for id in done(trace) {
            if let Err(error) = self.confirm(id, verdict.name()) {
                self.step(trace, Phase::Verify, format!("the journal was not told that it is kept: {error}"));
            }
        }
    }

    /// Takes back what was done, the last first.
    async fn take_back(self: &Arc<Self>, trace: &mut Trace) {
        for id in done(trace).into_iter().rev() {
            match self.undo(id).await {
                Ok(undone) => {
                    let from = trace.steps.len();
                    trace.keep_undo(undone, now_ms());
                    self.tell_steps(trace, from);
                }
                Err(error) => {
                    let text = format!("it could not be taken back, which is tried again: {error}");
                    self.step(trace, Phase::Verify, text);
                }
            }
        }
    }

    /// Takes an action back, on a thread that may block.
    pub(super) async fn undo(self: &Arc<Self>, id: i64) -> Result<Outcome, ExecuteError> {
        let rooms = Arc::clone(self);
        finish(spawn_blocking(move || rooms.executor.undo(id, &rooms.daemon.store, now_ms())).await)
    }
}

fn end(trace: Trace, ending: Ending, told: usize) -> Pass {
    Pass { trace: trace.close(now_ms()), ending, told }
}

/// The rows of the journal for what the trace says was done, in order.
fn done(trace: &Trace) -> Vec<i64> {
    let done = trace.outcomes.iter().filter(|outcome| outcome.status == OutcomeStatus::Done);
    done.filter_map(|outcome| outcome.action_id).collect()
}

fn answer(reply: Option<Reply>, with: Result<Vec<Outcome>, String>) {
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
