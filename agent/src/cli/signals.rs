//! `signals`: what is abnormal, now and lately.

use clap::Args;

use super::{
    CliError, Context,
    eyes::{self, Eyes, Mood, counted, paint},
};
use crate::{
    observe::{Signal, SignalType},
    tools::{
        params::{Bounded, SeverityMin},
        query_signals::{Answer, Params, QuerySignals},
    },
};

#[derive(Debug, Args)]
pub struct Signals {
    /// Only signals at least so severe.
    #[arg(long, value_name = "LEVEL", default_value = "low")]
    pub severity: SeverityMin,
    /// How far back to look, in minutes, for signals that are over.
    #[arg(long, value_name = "MINUTES", default_value = "60")]
    pub lookback: Bounded<1, 525_600>,
    /// Only this type; may be given more than once.
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<SignalType>,
}

impl Signals {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let params = Params { severity_min: self.severity, lookback_minutes: self.lookback, signal_types: self.types };
        context.show::<QuerySignals>(&params, text)
    }
}

/// The signals for eyes: open ones first.
#[must_use]
pub fn text(answer: &Answer, eyes: &Eyes) -> String {
    if answer.signals.is_empty() {
        let back = eyes::duration(answer.lookback_minutes as f64 * 60.0);
        return format!("Nothing is abnormal now, nor was in the last {back}.");
    }
    let rows = answer.signals.iter().map(|signal| {
        [
            eyes::severity(if signal.closed_ms.is_some() { signal.peak_severity } else { signal.severity }),
            signal.signal_type.to_string(),
            signal.entity.to_string(),
            eyes.clock(signal.first_seen_ms),
            lasted(signal, eyes),
            value(signal),
            signal.sentence.clone(),
        ]
    });
    let table = eyes.table(["SEVERITY", "TYPE", "WHO", "SINCE", "FOR", "VALUE", "WHAT"], rows);
    let more = if answer.truncated { "\nThere are more: narrow it by --severity, --type or --lookback." } else { "" };
    let open = counted(answer.open, "signal is open", "signals are open");
    format!("{table}\n\n{open}, {} shown.{more}", answer.signals.len())
}

fn lasted(signal: &Signal, eyes: &Eyes) -> String {
    let until = signal.closed_ms.unwrap_or(eyes.now_ms);
    let lasted = eyes::duration((until - signal.first_seen_ms).max(0) as f64 / 1000.0);
    if signal.closed_ms.is_some() { paint(Mood::Dim, &format!("{lasted}, over")) } else { lasted }
}

fn value(signal: &Signal) -> String {
    let value = eyes::measured(&signal.measure, signal.value);
    if signal.lost_events > 0 { format!("{value} ({} events lost)", signal.lost_events) } else { value }
}
