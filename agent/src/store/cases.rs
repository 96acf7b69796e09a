//! `cases` and `turns`: what a model was asked and said, whole, so that it can be gone through again; and `refuted`, the
//! hypotheses that a deed showed to be wrong.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Reader, StoreError,
    rows::{bounded, name_of, named, parse, signed, unsigned},
};
use crate::{
    decide::{FailureMode, Proposal, council::Agreement},
    explain::{Incident, IncidentUid},
    llm::{Reply, Usage},
    mind::{
        Ending,
        brief::{Brief, Turn},
        budget::{HOUR_MS, MONTH_MS, Spent},
        case::{LookedUp, Tally},
        veil::Veil,
    },
};

const CASES: &str = "cases";
const TURNS: &str = "turns";
/// Most bytes of one part. Nothing is cut: what is gone through again must be what it was.
const PART_BYTES: usize = 4 << 20;

/// A case as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRow {
    pub id: i64,
    /// Unix time, ms.
    pub begun_ms: i64,
    pub ended_ms: Option<i64>,
    /// As it was then; none: it is about a question.
    pub incident: Option<Incident>,
    pub brief: Brief,
    pub options: Vec<Proposal>,
    pub names: Veil,
    /// What the rules decided; none: it is about a question.
    pub rules: Option<Proposal>,
    /// The claims of the last draft.
    pub looked_up: Vec<LookedUp>,
    pub tally: Tally,
    pub ending: Option<Ending>,
    /// How the model stood to the rules.
    pub agreement: Option<Agreement>,
}

/// A case in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseHead {
    pub case: i64,
    /// Unix time, ms.
    pub begun_ms: i64,
    /// `gemini/gemini-3-pro-preview`
    pub author: String,
    /// `recommended`, `answered`, `refused`, `stopped`, `late`; none while it is thought about.
    pub ended: Option<String>,
    /// How the model stood to the rules.
    pub agreement: Option<Agreement>,
}

/// A turn as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnRow {
    pub case: i64,
    /// Unix time, ms.
    pub at_ms: i64,
    pub turn: Turn,
    /// What it counts for; of one that failed what it was sent, by an estimate.
    pub usage: Usage,
    pub usd: Option<f64>,
}

/// A part whole; it is certain to read back.
fn whole<T: Serialize + DeserializeOwned>(table: &'static str, part: &T) -> Result<String, StoreError> {
    let unstorable = |why: String| StoreError::Unstorable { table, why };
    let text = serde_json::to_string(part).map_err(|error| unstorable(error.to_string()))?;
    if text.len() > PART_BYTES {
        return Err(unstorable(format!("it has {} bytes as JSON; {PART_BYTES} at most are kept", text.len())));
    }
    serde_json::from_str::<T>(&text).map_err(|error| unstorable(error.to_string()))?;
    Ok(text)
}

/// A case, ready to be written.
pub(super) struct StoredCase {
    row: CaseRow,
    question: Option<String>,
    parts: [String; 5],
    rules: Option<String>,
    subject: Option<String>,
    ending: Option<String>,
    came_of: Option<String>,
    agreement: Option<String>,
}

impl StoredCase {
    pub(super) fn of(row: &CaseRow) -> Result<Self, StoreError> {
        use crate::mind::brief::About;
        let question = match &row.brief.about {
            About::Question { text, .. } => Some(bounded(text)),
            About::Incident => None,
        };
        let parts = [
            whole(CASES, &row.brief)?,
            whole(CASES, &row.options)?,
            whole(CASES, &row.names)?,
            whole(CASES, &row.looked_up)?,
            whole(CASES, &row.tally)?,
        ];
        let subject = row.incident.as_ref().map(|incident| whole(CASES, incident)).transpose()?;
        let rules = row.rules.as_ref().map(|rules| whole(CASES, rules)).transpose()?;
        let agreement = row.agreement.map(|agreement| name_of(CASES, &agreement)).transpose()?;
        let ending = row.ending.as_ref().map(|ending| whole(CASES, ending)).transpose()?;
        let came_of = row.ending.as_ref().map(|ending| name_of(CASES, &ending.kind())).transpose()?;
        Ok(Self { row: row.clone(), question, parts, rules, subject, ending, came_of, agreement })
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let Self { row, question, parts, rules, subject, ending, came_of, agreement } = self;
        let [brief, options, names, looked_up, tally] = parts;
        let model = &row.brief.model;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO cases (case_id, begun_ms, ended_ms, incident, question, provider, model, brief,
                     options, names, rules, looked_up, tally, ending, fingerprint, agreement, subject, came_of)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    row.id,
                    row.begun_ms,
                    row.ended_ms,
                    row.incident.as_ref().map(|incident| incident.uid.0.as_str()),
                    question,
                    bounded(&model.provider),
                    bounded(&model.model),
                    brief,
                    options,
                    names,
                    rules,
                    looked_up,
                    tally,
                    ending,
                    row.incident.as_ref().map(|incident| bounded(&incident.fingerprint)),
                    agreement,
                    subject,
                    came_of,
                ])
            })
            .map(drop)
            .map_err(StoreError::sqlite("write a case"))
    }
}

/// A turn, ready to be written.
pub(super) struct StoredTurn {
    row: TurnRow,
    sent: String,
    reply: Option<String>,
}

impl StoredTurn {
    pub(super) fn of(row: &TurnRow) -> Result<Self, StoreError> {
        let sent = whole(TURNS, &row.turn.sent)?;
        let reply = row.turn.reply.as_ref().map(|reply| whole(TURNS, reply)).transpose()?;
        Ok(Self { row: row.clone(), sent, reply })
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let Self { row: TurnRow { case, at_ms, turn, usage, usd }, sent, reply } = self;
        connection
            .prepare_cached(
                "INSERT INTO turns (case_id, at_ms, voice, number, digest, cached, took_ms, failed, input_tokens,
                     cached_tokens, output_tokens, usd, sent, reply)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    case,
                    at_ms,
                    bounded(&turn.voice),
                    turn.number,
                    turn.digest,
                    turn.cached,
                    signed(turn.took_ms),
                    turn.failed.as_deref().map(bounded),
                    signed(usage.input_tokens),
                    signed(usage.cached_tokens),
                    signed(usage.output_tokens),
                    usd,
                    sent,
                    reply,
                ])
            })
            .map(drop)
            .map_err(StoreError::sqlite("write a turn"))
    }
}

/// Keeps how the model of a case stood to the rules.
pub(super) fn write_agreement(connection: &Connection, case: i64, agreement: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE cases SET agreement = ?2 WHERE case_id = ?1")
        .and_then(|mut update| update.execute(params![case, agreement]))
        .map(drop)
        .map_err(StoreError::sqlite("write an agreement"))
}

/// Keeps that a hypothesis was wrong on that evidence.
pub(super) fn write_refuted(
    connection: &Connection,
    fingerprint: &str,
    failure_mode: FailureMode,
    evidence: &str,
    at_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO refuted (fingerprint, failure_mode, evidence, at_ms) VALUES (?1, ?2, ?3, ?4)",
        )
        .and_then(|mut insert| insert.execute(params![fingerprint, failure_mode.name(), evidence, at_ms]))
        .map(drop)
        .map_err(StoreError::sqlite("write what was refuted"))
}

const CASE_COLUMNS: &str =
    "case_id, begun_ms, ended_ms, subject, brief, options, names, ending, rules, looked_up, tally, agreement";
/// A thought that was interrupted goes on within this, ms.
const RESUMED_WITHIN_MS: i64 = HOUR_MS;
pub(super) const TURNS_OF: &str =
    "SELECT case_id, at_ms, voice, number, digest, cached, took_ms, failed, usd, sent, reply, input_tokens, cached_tokens,
        output_tokens
    FROM turns WHERE case_id = ?1 ORDER BY turn_id";
pub(super) const BY_DIGEST: &str = "SELECT turn_id, reply FROM turns WHERE digest = ?1 AND reply IS NOT NULL AND at_ms >= ?2 ORDER BY turn_id DESC LIMIT 1";
pub(super) const SPENT: &str =
    "SELECT coalesce(sum(input_tokens + output_tokens), 0), coalesce(sum(usd), 0.0) FROM turns
    WHERE at_ms >= ?1";
pub(super) const SPENT_ON: &str = "SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM turns
    WHERE case_id IN (SELECT case_id FROM cases WHERE incident = ?1)";

pub(super) const OF_INCIDENT: &str =
    "SELECT case_id, begun_ms, provider || '/' || model, json_extract(ending, '$.kind'), agreement
    FROM cases WHERE incident = ?1 ORDER BY case_id DESC LIMIT ?2";

impl Reader {
    /// The latest cases of an incident, in short, latest first.
    ///
    /// # Errors
    /// When the database cannot be read, or a row is damaged.
    pub fn cases_of(&self, incident: &IncidentUid, most: u32) -> Result<Vec<CaseHead>, StoreError> {
        let what = "read the cases of an incident";
        self.rows(what, OF_INCIDENT, params![incident.0, most], |row| {
            let case = row.get(0).map_err(StoreError::sqlite(what))?;
            let agreement: Option<String> = row.get(4).map_err(StoreError::sqlite(what))?;
            Ok(CaseHead {
                case,
                begun_ms: row.get(1).map_err(StoreError::sqlite(what))?,
                author: row.get(2).map_err(StoreError::sqlite(what))?,
                ended: row.get(3).map_err(StoreError::sqlite(what))?,
                agreement: agreement.map(|agreement| named(CASES, case, &agreement)).transpose()?,
            })
        })
    }

    /// The case of that number.
    ///
    /// # Errors
    /// When the database cannot be read, or the row is damaged.
    pub fn case(&self, id: i64) -> Result<Option<CaseRow>, StoreError> {
        self.one("read a case", &format!("SELECT {CASE_COLUMNS} FROM cases WHERE case_id = ?1"), [id], read_case)
    }

    /// The latest case of that fingerprint, if it was interrupted within the last hour.
    ///
    /// # Errors
    /// When the database cannot be read, or the row is damaged.
    pub fn interrupted(&self, fingerprint: &str, now_ms: i64) -> Result<Option<CaseRow>, StoreError> {
        let sql = format!(
            "SELECT {CASE_COLUMNS} FROM cases WHERE fingerprint = ?1 AND begun_ms >= ?2 ORDER BY case_id DESC LIMIT 1"
        );
        let latest = self.one("read a case", &sql, params![fingerprint, now_ms - RESUMED_WITHIN_MS], read_case)?;
        Ok(latest.filter(|row| row.ending.is_none()))
    }

    /// Its turns in the order in which they ended.
    ///
    /// # Errors
    /// When the database cannot be read, or a row is damaged.
    pub fn turns(&self, case: i64) -> Result<Vec<TurnRow>, StoreError> {
        self.rows("read turns", TURNS_OF, [case], read_turn)
    }

    /// The number that no case has yet.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next_case(&self) -> Result<i64, StoreError> {
        let what = "read the last case";
        let last = self.one(what, "SELECT coalesce(max(case_id), 0) FROM cases", [], |row| {
            row.get::<_, i64>(0).map_err(StoreError::sqlite(what))
        })?;
        Ok(last.unwrap_or(0) + 1)
    }

    /// The reply to all that was sent, if the same was sent since `since_ms` (Unix time).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn reply_to(&self, digest: &str, since_ms: i64) -> Result<Option<Reply>, StoreError> {
        let what = "read an earlier reply";
        self.one(what, BY_DIGEST, params![digest, since_ms], |row| {
            let id: i64 = row.get(0).map_err(StoreError::sqlite(what))?;
            let text: String = row.get(1).map_err(StoreError::sqlite(what))?;
            parse(TURNS, id, &text)
        })
    }

    /// What was spent by now, of it on that incident.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn spent(&self, incident: Option<&IncidentUid>, now_ms: i64) -> Result<Spent, StoreError> {
        let what = "read what models cost";
        let since = |from_ms: i64| {
            let read = |row: &Row<'_>| {
                let tokens: i64 = row.get(0).map_err(StoreError::sqlite(what))?;
                let usd: f64 = row.get(1).map_err(StoreError::sqlite(what))?;
                Ok((unsigned(tokens), usd))
            };
            self.one(what, SPENT, [from_ms], read).map(Option::unwrap_or_default)
        };
        let (hour_tokens, _) = since(now_ms - HOUR_MS)?;
        let (month_tokens, month_usd) = since(now_ms - MONTH_MS)?;
        let on_it = match incident {
            None => None,
            Some(uid) => self.one(what, SPENT_ON, [&uid.0], |row| {
                row.get::<_, i64>(0).map(unsigned).map_err(StoreError::sqlite(what))
            })?,
        };
        Ok(Spent { incident_tokens: on_it.unwrap_or(0), hour_tokens, month_tokens, month_usd })
    }

    /// Failure modes that were wrong before on the same evidence.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn refuted(&self, fingerprint: &str, evidence: &str) -> Result<Vec<FailureMode>, StoreError> {
        let what = "read what was refuted";
        let sql = "SELECT failure_mode FROM refuted WHERE fingerprint = ?1 AND evidence = ?2 ORDER BY failure_mode";
        let names = self.rows(what, sql, [fingerprint, evidence], |row| {
            row.get::<_, String>(0).map_err(StoreError::sqlite(what))
        })?;
        // One that this version does not know cannot be confirmed either.
        Ok(names.into_iter().filter_map(|name| serde_json::from_value(name.into()).ok()).collect())
    }
}

fn read_case(row: &Row<'_>) -> Result<CaseRow, StoreError> {
    let what = "read a case";
    let id: i64 = row.get(0).map_err(StoreError::sqlite(what))?;
    let text = |column: usize| row.get::<_, String>(column).map_err(StoreError::sqlite(what));
    let subject: Option<String> = row.get(3).map_err(StoreError::sqlite(what))?;
    let ending: Option<String> = row.get(7).map_err(StoreError::sqlite(what))?;
    let agreement: Option<String> = row.get(11).map_err(StoreError::sqlite(what))?;
    let rules: Option<String> = row.get(8).map_err(StoreError::sqlite(what))?;
    Ok(CaseRow {
        id,
        begun_ms: row.get(1).map_err(StoreError::sqlite(what))?,
        ended_ms: row.get(2).map_err(StoreError::sqlite(what))?,
        incident: subject.map(|subject| parse(CASES, id, &subject)).transpose()?,
        brief: parse(CASES, id, &text(4)?)?,
        options: parse(CASES, id, &text(5)?)?,
        names: parse(CASES, id, &text(6)?)?,
        ending: ending.map(|ending| parse(CASES, id, &ending)).transpose()?,
        rules: rules.map(|rules| parse(CASES, id, &rules)).transpose()?,
        looked_up: parse(CASES, id, &text(9)?)?,
        tally: parse(CASES, id, &text(10)?)?,
        agreement: agreement.map(|agreement| named(CASES, id, &agreement)).transpose()?,
    })
}

fn read_turn(row: &Row<'_>) -> Result<TurnRow, StoreError> {
    let what = "read a turn";
    let case: i64 = row.get(0).map_err(StoreError::sqlite(what))?;
    let text = |column: usize| row.get::<_, String>(column).map_err(StoreError::sqlite(what));
    let reply: Option<String> = row.get(10).map_err(StoreError::sqlite(what))?;
    let tokens = |column: usize| row.get(column).map(unsigned).map_err(StoreError::sqlite(what));
    Ok(TurnRow {
        case,
        at_ms: row.get(1).map_err(StoreError::sqlite(what))?,
        usage: Usage { input_tokens: tokens(11)?, cached_tokens: tokens(12)?, output_tokens: tokens(13)? },
        usd: row.get(8).map_err(StoreError::sqlite(what))?,
        turn: Turn {
            voice: text(2)?,
            number: row.get(3).map_err(StoreError::sqlite(what))?,
            digest: text(4)?,
            cached: row.get(5).map_err(StoreError::sqlite(what))?,
            took_ms: unsigned(row.get(6).map_err(StoreError::sqlite(what))?),
            failed: row.get(7).map_err(StoreError::sqlite(what))?,
            sent: parse(TURNS, case, &text(9)?)?,
            reply: reply.map(|reply| parse(TURNS, case, &reply)).transpose()?,
        },
    })
}
