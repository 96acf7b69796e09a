//! What models were asked and what came of it, in numbers: counted over `cases` and `turns` without what was said.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::{
    Reader, StoreError,
    histogram::Histogram,
    rows::{named, unsigned},
};
use crate::{decide::council::Agreement, mind::case::EndingKind};

/// Cases of a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseUse {
    /// By what came of them; none: they are not over, or the agent ended before they were.
    pub endings: BTreeMap<Option<EndingKind>, u64>,
    /// By how the model stood to the rules, of those where that is known.
    pub agreements: BTreeMap<Agreement, u64>,
    /// Of all that are over: calls of tools, claims, drafts and opinions, with those of them that were wrong.
    pub calls: u64,
    pub refused_calls: u64,
    pub claims: u64,
    pub false_claims: u64,
    pub drafts: u64,
    pub sent_back: u64,
}

/// Turns of a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TurnUse {
    /// Answered from the record, and asked of nobody.
    pub cached: u64,
    /// Asked and answered.
    pub answered: u64,
    /// Asked and not answered, by the kind of failure.
    pub failed: BTreeMap<String, u64>,
    /// How long those took that were answered, ms.
    pub took_ms: Histogram,
    /// How many tokens were sent in each that was answered, and the most.
    pub sent_tokens: Histogram,
    pub most_sent_tokens: u64,
    /// Of those that were answered, as the provider counts them.
    pub input_tokens: u64,
    pub cached_tokens: u64,
    pub output_tokens: u64,
    /// Of those that failed, by an estimate.
    pub failed_tokens: u64,
    /// What those cost whose price is known; none: of none is.
    pub usd: Option<f64>,
    /// Turns whose price is not known.
    pub unpriced: u64,
}

pub(super) const CASES: &str = "SELECT came_of, agreement, count(*), sum(tally ->> '$.calls'),
    sum(tally ->> '$.refused_calls'), sum(tally ->> '$.claims'), sum(tally ->> '$.false_claims'),
    sum(tally ->> '$.drafts'), sum(tally ->> '$.sent_back')
    FROM cases WHERE begun_ms >= ?1 GROUP BY came_of, agreement";
pub(super) const TURNS: &str =
    "SELECT cached, failed, took_ms, input_tokens, cached_tokens, output_tokens, usd FROM turns WHERE at_ms >= ?1";

impl Reader {
    /// Cases that began since then (Unix time).
    ///
    /// # Errors
    /// When the database cannot be read, or a row is damaged.
    pub fn case_use(&self, since_ms: i64) -> Result<CaseUse, StoreError> {
        let mut all = CaseUse::default();
        self.each("count cases", CASES, [since_ms], |row| add_cases(&mut all, row))?;
        Ok(all)
    }

    /// Turns that ended since then (Unix time).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn turn_use(&self, since_ms: i64) -> Result<TurnUse, StoreError> {
        let mut all = TurnUse::default();
        self.each("count turns", TURNS, [since_ms], |row| add_turn(&mut all, row))?;
        Ok(all)
    }
}

fn add_cases(all: &mut CaseUse, row: &Row<'_>) -> Result<(), StoreError> {
    let what = "count cases";
    let name = |column: usize| row.get::<_, Option<String>>(column).map_err(StoreError::sqlite(what));
    let count = |column: usize| {
        let count: Option<i64> = row.get(column).map_err(StoreError::sqlite(what))?;
        Ok::<_, StoreError>(count.map_or(0, unsigned))
    };
    let ending = name(0)?.map(|kind| named("cases", "came_of", &kind)).transpose()?;
    let cases = count(2)?;
    *all.endings.entry(ending).or_default() += cases;
    if let Some(agreement) = name(1)? {
        *all.agreements.entry(named("cases", "agreement", &agreement)?).or_default() += cases;
    }
    for (sum, column) in [
        (&mut all.calls, 3),
        (&mut all.refused_calls, 4),
        (&mut all.claims, 5),
        (&mut all.false_claims, 6),
        (&mut all.drafts, 7),
        (&mut all.sent_back, 8),
    ] {
        *sum += count(column)?;
    }
    Ok(())
}

fn add_turn(all: &mut TurnUse, row: &Row<'_>) -> Result<(), StoreError> {
    let what = "count turns";
    let number = |column: usize| row.get(column).map(unsigned).map_err(StoreError::sqlite(what));
    if row.get(0).map_err(StoreError::sqlite(what))? {
        all.cached += 1;
        return Ok(());
    }
    match row.get::<_, Option<f64>>(6).map_err(StoreError::sqlite(what))? {
        Some(usd) => *all.usd.get_or_insert(0.0) += usd,
        None => all.unpriced += 1,
    }
    let sent = number(3)?;
    if let Some(kind) = row.get::<_, Option<String>>(1).map_err(StoreError::sqlite(what))? {
        *all.failed.entry(kind).or_default() += 1;
        all.failed_tokens = all.failed_tokens.saturating_add(sent);
        return Ok(());
    }
    all.answered += 1;
    all.took_ms.add(number(2)? as f64);
    all.sent_tokens.add(sent as f64);
    all.most_sent_tokens = all.most_sent_tokens.max(sent);
    all.input_tokens = all.input_tokens.saturating_add(sent);
    all.cached_tokens = all.cached_tokens.saturating_add(number(4)?);
    all.output_tokens = all.output_tokens.saturating_add(number(5)?);
    Ok(())
}
