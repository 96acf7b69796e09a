//! Orders of operators: the level, approvals, denials, undo, and actions they ask for. All are judged like any other.

use std::sync::Arc;

use super::{
    Agent,
    docket::Ending,
    remedy::{Approved, Reply},
    rooms::Rooms,
    standing::AUTONOMY,
};
use crate::{
    clock::{now_ms, uptime_ms},
    decide::{Attempt, Decision},
    execute::{ActionRequest, Denied, Errand, Outcome, OutcomeStatus, Undo},
    explain::{Incident, IncidentStatus},
    live::{Autonomy, Operator, Order},
    reflect::Trace,
    store::{Listed, ProposalRow, ProposalStatus},
};

impl Agent {
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::SetAutonomy { level, by, reply } => drop(reply.send(self.set_autonomy(level, &by))),
            Order::Approve { proposal, by, reply } => self.approve(proposal, &by, reply),
            Order::Deny { proposal, reason, by, reply } => drop(reply.send(self.deny(proposal, &reason, &by))),
            Order::LookAgain { incident } => {
                self.docket.look_again(&incident);
                // Whoever asks for it has waited for a model already.
                self.take_up();
            }
            Order::Pause { why, for_s, by, reply } => drop(reply.send(self.pause(why, for_s, &by))),
            Order::Resume { by, reply } => drop(reply.send(self.resume(&by))),
            Order::Undo { action, by, reply } => {
                let rooms = Arc::clone(&self.rooms);
                tokio::spawn(async move {
                    let undone = rooms.undo(action).await.map_err(|error| error.to_string());
                    if undone.is_ok() {
                        rooms.note(format!("action {action} was taken back by {}", by.name));
                    }
                    drop(reply.send(undone));
                });
            }
            Order::UndoAll { by, reply } => {
                let rooms = Arc::clone(&self.rooms);
                tokio::spawn(async move { drop(reply.send(rooms.undo_all(&by).await)) });
            }
            Order::DryRun { actions, targets, incident, by, reply } => {
                let rooms = Arc::clone(&self.rooms);
                tokio::task::spawn_blocking(move || {
                    let errand = incident.as_ref().map_or_else(Errand::ordered, Errand::of);
                    let judging = rooms.judging(&by.name, None, targets.as_deref());
                    let run = |action| rooms.executor.dry_run(action, &judging, &errand, &rooms.daemon.store);
                    drop(reply.send(Ok(actions.iter().map(run).collect())));
                });
            }
            Order::Execute { request, justification, by, reply, .. } => {
                let rooms = Arc::clone(&self.rooms);
                tokio::spawn(async move {
                    drop(reply.send(rooms.ask(request, &justification, &by).await));
                });
            }
        }
    }

    /// Ends proposals that waited too long; their incidents are looked at again.
    pub(super) fn expire_proposals(&mut self) {
        for row in self.pending_proposals().into_iter().filter(|row| row.expires_ms <= now_ms()) {
            if let Err(error) = self.settle(&row, ProposalStatus::Expired, "the agent", "nobody answered in time") {
                tracing::warn!(%error, proposal = row.id, "a proposal could not be ended");
            }
        }
    }

    /// Ends the proposals of incidents that became worse while they waited, and are decided anew.
    pub(super) fn withdraw_outgrown(&self) {
        if self.docket.outgrown().is_empty() {
            return;
        }
        let store = &self.rooms.daemon.store;
        for row in self.pending_proposals().iter().filter(|row| self.docket.outgrown().contains(&row.incident)) {
            let why = "the incident became worse, and is decided anew";
            if let Err(error) = store.settle_proposal(row.id, ProposalStatus::Expired, "the agent", why, now_ms()) {
                tracing::warn!(%error, proposal = row.id, "a proposal could not be ended");
            }
        }
    }

    fn pending_proposals(&self) -> Vec<ProposalRow> {
        let pending = self.rooms.daemon.store.reader().and_then(|reader| reader.proposals(true));
        match pending {
            // Whoever asks for proposals is told of those that cannot be read; a log every few seconds would say no more.
            Ok(pending) => pending.rows,
            Err(error) => {
                tracing::warn!(%error, "proposals could not be read; they are looked at again");
                Vec::new()
            }
        }
    }

    fn set_autonomy(&mut self, level: Autonomy, by: &Operator) -> Result<Autonomy, String> {
        let store = &self.rooms.daemon.store;
        store.keep_setting(AUTONOMY, level.name(), &by.name, now_ms()).map_err(|error| error.to_string())?;
        self.rooms.daemon.change().status.autonomy = level;
        self.rooms.note(format!("{} set the autonomy level to {}", by.name, level.name()));
        Ok(level)
    }

    fn approve(&mut self, id: i64, by: &Operator, reply: Reply) {
        match self.approvable(id, by) {
            Err(reason) => drop(reply.send(Err(reason))),
            Ok((row, incident)) => {
                let usual = self.eyes.baseline(&incident.primary);
                self.set_status(&incident.uid, IncidentStatus::Working);
                let (rooms, uid, by) = (Arc::clone(&self.rooms), incident.uid.clone(), by.clone());
                let pass = async move {
                    let mut trace = Trace::open(&incident, rooms.autonomy(), now_ms());
                    let explanation = rooms.explain(&incident, usual);
                    let explanation = trace.keep(explanation, now_ms());
                    let proposal = trace.keep(row.proposal, now_ms());
                    let approved = Approved { by: by.clone(), reply };
                    let pass = rooms.act(trace, &incident, &explanation, proposal, Some(approved)).await;
                    rooms.settle_approved(id, &by, &pass.ending);
                    pass
                };
                self.at_work.insert(self.passes.spawn(pass).id(), uid);
            }
        }
    }

    /// The proposal and its incident, if it can still be approved; it counts as approved then.
    fn approvable(&mut self, id: i64, by: &Operator) -> Result<(ProposalRow, Incident), String> {
        let row = self.pending(id)?;
        if row.expires_ms <= now_ms() {
            return Err(format!("proposal {id} has expired; a new one comes if it is still needed"));
        }
        if !matches!(row.proposal.decision, Decision::Act { .. }) {
            return Err(format!("proposal {id} has no action to approve"));
        }
        let open = self.correlator.open().iter().find(|incident| incident.uid == row.incident);
        let incident =
            open.cloned().ok_or_else(|| format!("the incident of proposal {id} is over; nothing is done"))?;
        self.docket.take(&incident.uid)?;
        let store = &self.rooms.daemon.store;
        if let Err(error) = store.settle_proposal(id, ProposalStatus::Approved, &by.name, "approved", now_ms()) {
            self.docket.close(&incident.uid, Ending::AwaitsApproval, uptime_ms());
            return Err(error.to_string());
        }
        Ok((row, incident))
    }

    fn deny(&mut self, id: i64, reason: &str, by: &Operator) -> Result<(), String> {
        let row = self.pending(id)?;
        self.settle(&row, ProposalStatus::Denied, &by.name, reason)
    }

    fn pending(&self, id: i64) -> Result<ProposalRow, String> {
        let read = self.rooms.daemon.store.reader().and_then(|reader| reader.proposal(id));
        let row = read.map_err(|error| error.to_string())?.ok_or_else(|| format!("there is no proposal {id}"))?;
        if row.status == ProposalStatus::Pending {
            Ok(row)
        } else {
            Err(format!("proposal {id} is {} already", row.status))
        }
    }

    fn settle(&mut self, row: &ProposalRow, status: ProposalStatus, by: &str, reason: &str) -> Result<(), String> {
        let store = &self.rooms.daemon.store;
        store.settle_proposal(row.id, status, by, reason, now_ms()).map_err(|error| error.to_string())?;
        if let Decision::Act { actions, .. } = &row.proposal.decision {
            let result = format!("{status} by {by}: {reason}");
            let attempt = Attempt { actions: actions.clone(), result, is_test: row.proposal.decision.is_test() };
            self.docket.release(&row.incident, attempt, uptime_ms());
        }
        Ok(())
    }
}

impl Rooms {
    /// Takes back all that stands and that nobody verifies just now, the last first.
    async fn undo_all(self: &Arc<Self>, by: &Operator) -> Result<Vec<Result<Outcome, String>>, String> {
        let standing = self.daemon.store.reader().and_then(|reader| reader.standing_actions());
        let Listed { rows, unread } = standing.map_err(|error| error.to_string())?;
        let mut undone = unread.into_iter().map(Err).collect::<Vec<_>>();
        for row in rows {
            if matches!(row.intent.undo, Undo::Nothing { .. }) {
                continue;
            }
            undone.push(self.undo(row.id).await.map_err(|error| format!("action {}: {error}", row.id)));
        }
        self.note(format!("{} took back all that stood: {} actions", by.name, undone.len()));
        Ok(undone)
    }

    /// What became of a proposal that an operator approved.
    fn settle_approved(&self, id: i64, by: &Operator, ending: &Ending) {
        let (status, reason) = match ending {
            Ending::Acted { verdict, .. } => (ProposalStatus::Executed, format!("carried out: {}", verdict.name())),
            Ending::Refused { attempt } => (ProposalStatus::Refused, attempt.result.clone()),
            Ending::Later { why, .. } => (ProposalStatus::Refused, why.clone()),
            Ending::AwaitsApproval => (ProposalStatus::Refused, "it waits for approval anew".to_owned()),
            Ending::LeftAlone => (ProposalStatus::Refused, "nothing was to be done".to_owned()),
        };
        if let Err(error) = self.daemon.store.settle_proposal(id, status, &by.name, &reason, now_ms()) {
            tracing::warn!(%error, proposal = id, "a proposal could not be ended");
        }
    }

    /// An action that an operator asks for without an incident: judged by the level and the policy, run, journalled
    /// and leased. No measure tells whether it helped, so it stays until its lease ends or somebody takes it back.
    async fn ask(self: &Arc<Self>, request: ActionRequest, why: &str, by: &Operator) -> Result<Outcome, String> {
        let permit =
            self.policy.judge(&request, self.judging(&by.name, None, None)).map_err(|denied| match denied {
                Denied::NeedsApproval { .. } => {
                    format!("{denied}; raise the level, or wait for the loop to propose it")
                }
                denied => denied.to_string(),
            })?;
        let rooms = Arc::clone(self);
        let run = move || rooms.executor.run(permit, &rooms.daemon.store, &Errand::ordered(), now_ms());
        let outcome = tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?;
        let outcome = outcome.map_err(|error| error.to_string())?;
        if let (Some(id), OutcomeStatus::Done) = (outcome.action_id, outcome.status) {
            let note = format!("asked for by {}: {why}", by.name);
            if let Err(error) = self.confirm(id, &note) {
                self.note(format!("the journal was not told that action {id} is kept: {error}"));
            }
            self.note(format!("{} by {}: {}", outcome.command, by.name, outcome.change));
        }
        Ok(outcome)
    }
}
