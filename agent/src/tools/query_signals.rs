//! `query_signals`: current and past anomalies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Audience, Caller, Tier, Tool, ToolError, ask,
    params::{Bounded, SeverityMin},
};
use crate::{
    clock::now_ms,
    live::Daemon,
    observe::{Severity, Signal, SignalType},
    store::SignalFilter,
};

/// Most signals in one answer.
const MOST: usize = 500;

#[derive(Debug)]
pub struct QuerySignals;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Only signals at least so severe: an open one as it is now, a closed one at its worst.
    pub severity_min: SeverityMin,
    /// How far back to look for signals that are over; open ones are always there.
    pub lookback_minutes: Bounded<1, 525_600>,
    /// Only these types; all when it is empty.
    pub signal_types: Vec<SignalType>,
}

impl Default for Params {
    fn default() -> Self {
        Self { severity_min: SeverityMin::Low, lookback_minutes: Bounded::clamped(60), signal_types: Vec::new() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Open ones first, worst first; then those that are over, latest first.
    pub signals: Vec<Signal>,
    /// How many of them are open.
    pub open: usize,
    pub lookback_minutes: i64,
    /// Whether there are more than an answer holds.
    pub truncated: bool,
    /// Why others cannot be read back, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Tool for QuerySignals {
    const NAME: &'static str = "query_signals";
    const DESCRIPTION: &'static str = "Current and past anomalies of this node: type, severity, who (process, cgroup, \
        device, …), numbers with units, since when, and one plain sentence each.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    fn unread(answer: &Answer) -> &[String] {
        &answer.unread
    }

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let severity_min = Severity::from(params.severity_min);
        let wanted = |signal: &&Signal| {
            signal.severity >= severity_min
                && (params.signal_types.is_empty() || params.signal_types.contains(&signal.signal_type))
        };
        let mut signals: Vec<Signal> = daemon.look().signals.iter().filter(wanted).cloned().collect();
        signals.sort_by_key(|signal| std::cmp::Reverse(signal.severity));
        let open = signals.len();
        let filter = SignalFilter {
            severity_min: Some(severity_min),
            since_ms: Some(now_ms() - params.lookback_minutes.get() * 60_000),
            types: params.signal_types.clone(),
            limit: Some(MOST + open + 1),
            ..SignalFilter::default()
        };
        let past = ask::read(daemon, move |reader| reader.signals(&filter)).await?;
        // A row that says "open" and is not open now is of an earlier run that was killed: it is over, too.
        let unread = past.unread;
        let past = past.rows.into_iter().filter(|row| !signals.iter().any(|open| open.id == row.id));
        let past: Vec<Signal> = past.collect();
        signals.extend(past);
        let truncated = signals.len() > MOST;
        signals.truncate(MOST);
        Ok(Answer { open: open.min(MOST), signals, lookback_minutes: params.lookback_minutes.get(), truncated, unread })
    }
}
