//! What passes of the loop share: the rooms behind observation, and how they keep what they found.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    clock::now_ms,
    decide::{Proposal, Reasoner},
    execute::{ActionRequest, Approval, ExecuteError, Executor, Guard, HoldKind, Judging, Permit, Policy},
    explain::{Baseline, Explanation, Incident, explain},
    live::{Autonomy, Daemon, News},
    mind::packet,
    observe::{
        ProcessId, SignalType,
        classify::{self, Threshold},
    },
    reflect::{Belief, Part, Phase, Trace},
    store::{DenialRow, PermitRow, ProposalRow, ProposalStatus, StoreError},
};

/// A proposal waits so long for an operator, ms.
const PROPOSAL_LIFETIME_MS: i64 = 30 * 60 * 1000;

#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) daemon: Daemon,
    pub(super) reasoner: Arc<dyn Reasoner>,
    pub(super) policy: Arc<Policy>,
    pub(super) guard: Arc<Guard>,
    pub(super) executor: Executor,
    /// Actions that stay, by their row, of which the journal could not be told yet, and why they stay.
    pub(super) unconfirmed: Mutex<BTreeMap<i64, String>>,
}

impl Rooms {
    pub(super) fn autonomy(&self) -> Autonomy {
        self.daemon.look().status.autonomy
    }

    pub(super) fn explain(&self, incident: &Incident, usual: Option<Baseline>) -> Explanation {
        let known = self.daemon.known(usual);
        explain(incident, &self.daemon.look().view(), known)
    }

    pub(super) fn threshold(&self, signal_type: SignalType, measure: &str) -> Option<&Threshold> {
        self.daemon.thresholds.get(signal_type, classify::measure(signal_type, measure)?.name)
    }

    pub(super) fn judging<'a>(
        &self,
        author: &'a str,
        approval: Option<Approval>,
        expected: Option<&'a [ProcessId]>,
    ) -> Judging<'a> {
        Judging { approval, expected, ..Judging::new(author, self.autonomy(), now_ms()) }
    }

    /// What the past teaches; nothing when it cannot be read, which is said.
    pub(super) fn beliefs(&self) -> Vec<Belief> {
        let read = self.daemon.store.reader().and_then(|reader| reader.beliefs());
        read.unwrap_or_else(|error| {
            tracing::warn!(%error, "the past could not be read; this decision is made without it");
            Vec::new()
        })
    }

    /// Puts a part into the trace and tells those who follow.
    pub(super) fn keep<P: Part>(&self, trace: &mut Trace, part: P) -> P {
        let from = trace.steps.len();
        let part = trace.keep(part, now_ms());
        self.tell_steps(trace, from);
        part
    }

    /// A step in words.
    pub(super) fn step(&self, trace: &mut Trace, phase: Phase, text: String) {
        let from = trace.steps.len();
        trace.step(phase, now_ms(), text);
        self.tell_steps(trace, from);
    }

    pub(super) fn tell_steps(&self, trace: &Trace, from: usize) {
        for step in &trace.steps[from..] {
            self.daemon.tell(News::Step { incident: trace.incident.clone(), step: step.clone() });
        }
    }

    /// Something that a person should know, now and later.
    pub(super) fn note(&self, text: String) {
        self.complain("a note", self.daemon.store.keep_note(&text, now_ms()));
        self.daemon.change().status.notes.push(text.clone());
        self.daemon.tell(News::Note { text });
    }

    pub(super) fn keep_incident(&self, incident: &Incident) {
        self.complain("an incident", self.daemon.store.keep_incident(incident));
    }

    pub(super) fn keep_trace(&self, trace: &mut Trace) {
        self.complain("a trace", self.daemon.store.keep_trace(trace));
    }

    pub(super) fn keep_permit(&self, trace: &Trace, permit: &Permit, proposal: &Proposal) {
        let row = PermitRow {
            id: 0,
            at_ms: now_ms(),
            incident: Some(trace.incident.clone()),
            trace_id: Some(trace.trace_id),
            who: proposal.author.clone(),
            action: permit.request().clone(),
            command: permit.command().to_owned(),
            rule: permit.rule().to_owned(),
            reason: permit
                .approved_by()
                .map_or_else(|| "by the autonomy level".to_owned(), |by| format!("approved by {by}")),
        };
        self.complain("a permit", self.daemon.store.keep_permit(&row));
    }

    /// What was done about the first hypothesis changed nothing: on this evidence no model is to believe it again.
    pub(super) fn keep_refuted(&self, incident: &Incident, explanation: &Explanation, proposal: &Proposal) {
        let Some(best) = proposal.hypotheses.first() else { return };
        let evidence = packet::evidence(incident, explanation);
        let kept = self.daemon.store.keep_refuted(&incident.fingerprint, best.failure_mode, &evidence, now_ms());
        self.complain("what was refuted", kept);
    }

    /// A row for the denial of the trace, if it ended with one.
    pub(super) fn keep_denial(&self, trace: &Trace, action: &ActionRequest) {
        let (Some(denial), Some(proposal)) = (trace.denial.clone(), &trace.proposal) else { return };
        let row = DenialRow {
            id: 0,
            at_ms: now_ms(),
            incident: Some(trace.incident.clone()),
            trace_id: (trace.trace_id != 0).then_some(trace.trace_id),
            who: proposal.author.clone(),
            action: action.clone(),
            rule: denial.rule,
            reason: denial.reason,
        };
        self.complain("a denial", self.daemon.store.keep_denial(&row));
    }

    /// Lays a proposal before the operators; false when it could not be kept.
    pub(super) fn propose(&self, trace: &Trace, proposal: Proposal) -> bool {
        let row = ProposalRow {
            id: 0,
            incident: trace.incident.clone(),
            trace_id: (trace.trace_id != 0).then_some(trace.trace_id),
            proposal,
            status: ProposalStatus::Pending,
            made_at_ms: now_ms(),
            expires_ms: now_ms() + PROPOSAL_LIFETIME_MS,
            settled_ms: None,
            by: None,
            reason: None,
        };
        let kept = self.daemon.store.keep_proposal(&row);
        if let Ok(id) = &kept {
            self.daemon.tell(News::Note { text: format!("proposal {id} waits: kernelsight approve {id}") });
        }
        let proposed = kept.is_ok();
        self.complain("a proposal", kept);
        proposed
    }

    /// Tells the journal that an action stays. Where it cannot be told, it is told again with the housekeeping.
    pub(super) fn confirm(&self, id: i64, why: &str) -> Result<(), ExecuteError> {
        let told = self.executor.confirm(id, why, &self.daemon.store, now_ms());
        if matches!(told, Err(ExecuteError::Journal(_))) {
            self.unconfirmed().insert(id, why.to_owned());
        }
        told
    }

    /// Tells the journal what it could not be told before. Blocks.
    pub(super) fn confirm_again(&self) {
        let unconfirmed = std::mem::take(&mut *self.unconfirmed());
        for (id, why) in unconfirmed {
            if let Err(error) = self.confirm(id, &why) {
                tracing::warn!(%error, action = id, "the journal was not told that an action stays");
            }
        }
    }

    fn unconfirmed(&self) -> MutexGuard<'_, BTreeMap<i64, String>> {
        self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back what has outlived its lease. Blocks.
    pub(super) fn expire_leases(&self) {
        match self.executor.expire_leases(&self.daemon.store, now_ms()) {
            Ok(said) => said.into_iter().for_each(|text| self.note(text)),
            Err(error) => tracing::error!(%error, "leases could not be looked at; they are looked at again"),
        }
    }

    /// Takes back whatever no verdict confirmed. Blocks.
    pub(super) fn settle_journal(&self) {
        match self.executor.settle(&self.daemon.store, now_ms()) {
            Ok(said) => said.into_iter().for_each(|text| self.note(text)),
            Err(error) => tracing::error!(%error, "the journal could not be settled; the next start tries again"),
        }
    }

    /// Whether an actor of an earlier daemon may still be at work.
    pub(super) fn is_unsettled(&self) -> bool {
        self.guard.holds(now_ms()).iter().any(|hold| hold.kind == HoldKind::Unsettled)
    }

    /// Settles the journal once that one is gone, and lets go; whether that is so. Blocks.
    pub(super) fn settle_late(&self) -> bool {
        if self.executor.earlier_are_gone(Duration::ZERO).is_err() {
            return false;
        }
        self.settle_journal();
        self.guard.release(&[HoldKind::Unsettled]);
        self.note("no actor of an earlier daemon is at work any more; the journal is settled".to_owned());
        true
    }

    /// What could not be kept is said, and the status shows it; the loop goes on.
    fn complain<T>(&self, what: &str, kept: Result<T, StoreError>) {
        if let Err(error) = kept {
            tracing::error!(%error, "{what} could not be kept");
            self.daemon.tell(News::Note { text: format!("{what} could not be kept: {error}") });
        }
    }
}
