//! `reasoning_traces`: one pass of the loop over one incident; and `beliefs`, a view of what they teach.

use rusqlite::{Connection, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Listed, Reader, StoreError,
    rows::{bounded, json, limit, name_of, parse},
};
use crate::{
    decide::Decision,
    execute::Outcome,
    explain::IncidentUid,
    reflect::{Belief, Trace},
};

pub(super) const TABLE: &str = "reasoning_traces";
/// A prediction of less change than this is no measure of what came.
const SMALLEST_CHANGE: f64 = 1e-9;

/// Which traces to read, newest first.
#[derive(Clone, Debug, Default)]
pub struct TraceFilter {
    /// Of the incident of this uid.
    pub incident: Option<String>,
    /// Begun at or after, Unix ms.
    pub since_ms: Option<i64>,
    pub limit: Option<usize>,
}

/// A trace, ready to be written.
pub(super) struct TraceRow {
    trace: Trace,
    learnt: Learnt,
    steps: String,
    parts: [Option<String>; 7],
}

/// What beliefs are made of; all none where nothing was tried and verified.
#[derive(Default)]
struct Learnt {
    action_type: Option<String>,
    failure_mode: Option<String>,
    verdict: Option<&'static str>,
    relative_effect: Option<f64>,
    effect_factor: Option<f64>,
}

impl TraceRow {
    pub(super) fn of(trace: &Trace) -> Result<Self, StoreError> {
        fn part<T: Serialize + DeserializeOwned>(part: &Option<T>) -> Result<Option<String>, StoreError> {
            part.as_ref().map(|part| json(TABLE, part)).transpose()
        }
        let several = |all: &Vec<Outcome>| (!all.is_empty()).then(|| json(TABLE, all)).transpose();
        Ok(Self {
            learnt: Learnt::of(trace)?,
            steps: json(TABLE, &trace.steps)?,
            parts: [
                part(&trace.explanation)?,
                part(&trace.forecast)?,
                part(&trace.proposal)?,
                part(&trace.denial)?,
                several(&trace.outcomes)?,
                part(&trace.verification)?,
                several(&trace.undone)?,
            ],
            trace: Trace {
                // The parts are JSON by now.
                steps: Vec::new(),
                explanation: None,
                forecast: None,
                proposal: None,
                denial: None,
                outcomes: Vec::new(),
                verification: None,
                undone: Vec::new(),
                ..trace.clone()
            },
        })
    }

    /// Inserts a trace without an id, or writes over the one of that id; answers the id.
    pub(super) fn write(&self, connection: &Connection) -> Result<i64, StoreError> {
        let Self { trace, learnt, steps, parts } = self;
        let id = (trace.trace_id > 0).then_some(trace.trace_id);
        let text = |text: &Option<String>| text.as_deref().map(bounded);
        let [explanation, forecast, proposal, denial, outcomes, verification, undone] = parts;
        let write = || {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO reasoning_traces (trace_id, incident, timestamp, observation, hypothesis,
                         evidence, predicted_outcome, recommended_action, confidence, actual_outcome,
                         prediction_accurate, accuracy, lessons_learned, autonomy, closed_ms, action_type,
                         failure_mode, verdict, relative_effect, effect_factor, steps, explanation, forecast,
                         proposal, denial, outcomes, verification, undone)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
                         ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
                )?
                .insert(params![
                    id,
                    trace.incident.0,
                    trace.timestamp,
                    bounded(&trace.observation),
                    bounded(&trace.hypothesis),
                    bounded(&trace.evidence),
                    bounded(&trace.predicted_outcome),
                    bounded(&trace.recommended_action),
                    trace.confidence,
                    text(&trace.actual_outcome),
                    trace.prediction_accurate,
                    trace.accuracy,
                    text(&trace.lessons_learned),
                    bounded(&trace.autonomy),
                    trace.closed_ms,
                    learnt.action_type,
                    learnt.failure_mode,
                    learnt.verdict,
                    learnt.relative_effect,
                    learnt.effect_factor,
                    steps,
                    explanation,
                    forecast,
                    proposal,
                    denial,
                    outcomes,
                    verification,
                    undone,
                ])
        };
        write().map_err(StoreError::sqlite("write a trace"))
    }
}

impl Learnt {
    fn of(trace: &Trace) -> Result<Self, StoreError> {
        let Some(proposal) = &trace.proposal else {
            return Ok(Self::default());
        };
        let failure_mode = match proposal.hypotheses.first() {
            Some(hypothesis) => Some(name_of(TABLE, &hypothesis.failure_mode)?),
            None => None,
        };
        // What a test teaches is of the suspect, and not of the action.
        let Decision::Act { actions, prediction, is_test: false, .. } = &proposal.decision else {
            return Ok(Self { failure_mode, ..Self::default() });
        };
        let change = trace.verification.as_ref().and_then(|seen| Some((seen.before, seen.after? - seen.before)));
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let predicted = prediction.after - prediction.before;
        Ok(Self {
            action_type: Some(bounded(actions.action_type())),
            failure_mode,
            verdict: trace.verification.as_ref().map(|seen| seen.verdict.name()),
            relative_effect: change.and_then(|(before, change)| finite(change / before.abs())),
            effect_factor: change
                .filter(|_| predicted.abs() > SMALLEST_CHANGE)
                .and_then(|(_, change)| finite(change / predicted)),
        })
    }
}

/// Columns as [`read`] takes them.
const COLUMNS: &str = "trace_id, incident, timestamp, observation, hypothesis, evidence, predicted_outcome,
    recommended_action, confidence, actual_outcome, prediction_accurate, accuracy, lessons_learned, autonomy, closed_ms,
    steps, explanation, forecast, proposal, denial, outcomes, verification, undone";

impl Reader {
    /// The traces that pass the filter, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn traces(&self, filter: &TraceFilter) -> Result<Listed<Trace>, StoreError> {
        let since = filter.since_ms.unwrap_or(i64::MIN);
        let values = params![since, limit(filter.limit), filter.incident];
        self.list("read traces", &query(filter), &values[..2 + usize::from(filter.incident.is_some())], read)
    }

    /// The trace of that id; none when there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn trace(&self, id: i64) -> Result<Option<Trace>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM reasoning_traces WHERE trace_id = ?1");
        self.one("read a trace", &sql, [id], read)
    }

    /// Traces in which that action was proposed for that failure mode (any, if none is given), newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn similar_traces(
        &self,
        action_type: &str,
        failure_mode: Option<&str>,
        limit: usize,
    ) -> Result<Listed<Trace>, StoreError> {
        let values = params![action_type, super::rows::limit(Some(limit)), failure_mode];
        let sql = similar(failure_mode.is_some());
        self.list("read similar traces", &sql, &values[..2 + usize::from(failure_mode.is_some())], read)
    }

    /// What the past says of each action on each failure mode.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn beliefs(&self) -> Result<Vec<Belief>, StoreError> {
        let sql = "SELECT action_type, failure_mode, attempts, successes, mean_effect, effect_factor FROM beliefs
            ORDER BY action_type, failure_mode";
        let read = |row: &Row<'_>| -> rusqlite::Result<Belief> {
            Ok(Belief {
                action_type: row.get(0)?,
                failure_mode: row.get(1)?,
                attempts: row.get(2)?,
                successes: row.get(3)?,
                mean_effect: row.get(4)?,
                effect_factor: row.get(5)?,
            })
        };
        self.rows("read beliefs", sql, [], |row| read(row).map_err(StoreError::sqlite("read a belief")))
    }
}

pub(super) fn query(filter: &TraceFilter) -> String {
    // The newest of one incident are those of the highest ids.
    let (of, by) = match filter.incident {
        Some(_) => (" AND incident = ?3", "trace_id"),
        None => ("", "timestamp"),
    };
    format!("SELECT {COLUMNS} FROM reasoning_traces WHERE timestamp >= ?1{of} ORDER BY {by} DESC LIMIT ?2")
}

pub(super) fn similar(with_mode: bool) -> String {
    let mode = if with_mode { " AND failure_mode = ?3" } else { "" };
    format!("SELECT {COLUMNS} FROM reasoning_traces WHERE action_type = ?1{mode} ORDER BY trace_id DESC LIMIT ?2")
}

fn read(row: &Row<'_>) -> Result<Trace, StoreError> {
    fn part<T: DeserializeOwned>(id: i64, text: Option<String>) -> Result<Option<T>, StoreError> {
        text.map(|text| parse(TABLE, id, &text)).transpose()
    }
    let what = "read a trace";
    let id: i64 = row.get(0).map_err(StoreError::sqlite(what))?;
    let text = |column: usize| row.get::<_, String>(column).map_err(StoreError::sqlite(what));
    let maybe = |column: usize| row.get::<_, Option<String>>(column).map_err(StoreError::sqlite(what));
    let real = |column: usize| row.get::<_, Option<f64>>(column).map_err(StoreError::sqlite(what));
    Ok(Trace {
        trace_id: id,
        incident: IncidentUid(text(1)?),
        timestamp: row.get(2).map_err(StoreError::sqlite(what))?,
        observation: text(3)?,
        hypothesis: text(4)?,
        evidence: text(5)?,
        predicted_outcome: text(6)?,
        recommended_action: text(7)?,
        confidence: real(8)?.unwrap_or(f64::NAN),
        actual_outcome: maybe(9)?,
        prediction_accurate: row.get(10).map_err(StoreError::sqlite(what))?,
        accuracy: real(11)?,
        lessons_learned: maybe(12)?,
        autonomy: text(13)?,
        closed_ms: row.get(14).map_err(StoreError::sqlite(what))?,
        steps: parse(TABLE, id, &text(15)?)?,
        explanation: part(id, maybe(16)?)?,
        forecast: part(id, maybe(17)?)?,
        proposal: part(id, maybe(18)?)?,
        denial: part(id, maybe(19)?)?,
        outcomes: part(id, maybe(20)?)?.unwrap_or_default(),
        verification: part(id, maybe(21)?)?,
        undone: part(id, maybe(22)?)?.unwrap_or_default(),
    })
}
