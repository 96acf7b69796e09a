//! `trends`: how each measure moves.

use clap::Args;

use super::{
    CliError, Context,
    client::{self, Client},
    eyes::{self, Eyes, Mood, counted, paint},
    warn,
};
use crate::{
    explain::Direction,
    observe::{Severity, SignalType},
    tools::{
        params::Bounded,
        summarize_trends::{Answer, Params, Series, SummarizeTrends},
    },
};

#[derive(Debug, Args)]
pub struct Trends {
    /// Only this type; all ten without it.
    #[arg(value_name = "TYPE")]
    pub signal_type: Option<SignalType>,
    /// How far back, in minutes.
    #[arg(long, value_name = "MINUTES", default_value = "5")]
    pub window: Bounded<1, 10_080>,
    /// Measures that do not move, and those that too little is known of, too.
    #[arg(long)]
    pub all: bool,
}

impl Trends {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let types = self.signal_type.map_or_else(|| SignalType::ALL.to_vec(), |one| vec![one]);
        let answers = client::runtime()?.block_on(async {
            let client = Client::connect(&context.socket).await?;
            let mut answers = Vec::new();
            for signal_type in types {
                let params = Params { signal_type, analysis_window: self.window };
                answers.push(client.ask::<SummarizeTrends>(&params).await?);
            }
            client.close().await;
            Ok::<_, CliError>(answers)
        })?;
        context.print(&answers, |answers, eyes| text(answers, self.all, eyes))?;
        answers.iter().for_each(|answer| warn(&answer.unread));
        Ok(())
    }
}

/// The trends for eyes.
#[must_use]
pub fn text(answers: &[Answer], all: bool, eyes: &Eyes) -> String {
    let moves = |series: &Series| series.trend.as_ref().is_some_and(|trend| trend.direction != Direction::Flat);
    let series: usize = answers.iter().map(|answer| answer.series.len()).sum();
    let rows: Vec<[String; 7]> = answers
        .iter()
        .flat_map(|answer| answer.series.iter().map(move |series| (answer, series)))
        .filter(|(_, series)| all || moves(series))
        .map(|(answer, series)| row(answer, series))
        .collect();
    let window = eyes::duration(answers.first().map_or(0.0, |answer| answer.window_minutes as f64 * 60.0));
    let mut text = if rows.is_empty() {
        format!("Nothing moves: {} looked at over {window}.", counted(series, "measure was", "measures were"))
    } else {
        let heads = ["TYPE", "MEASURE", "OF", "NOW", "A MINUTE", "R²", "USUAL (P50 TO P95)"];
        eyes.table(heads, rows)
    };
    let patterns: Vec<String> =
        answers.iter().filter(|answer| answer.pattern.signals > 0).map(|answer| pattern(answer, &window)).collect();
    if !patterns.is_empty() {
        text.push_str("\n\n");
        text.push_str(&patterns.join("\n"));
    }
    text
}

fn row(answer: &Answer, series: &Series) -> [String; 7] {
    let measured = |value| eyes::measured(&series.measure, value);
    let usual = series.usual.as_ref().map_or_else(
        || "not known yet".to_owned(),
        |usual| format!("{} to {}", measured(usual.p50), measured(usual.p95)),
    );
    let (now, slope, fit) = match (&series.trend, &series.unknown) {
        (Some(trend), _) => {
            let arrow = match trend.direction {
                Direction::Rising => paint(Mood::Warn, "↑"),
                Direction::Falling => paint(Mood::Good, "↓"),
                Direction::Flat => "→".to_owned(),
            };
            let sign = if trend.slope_per_min > 0.0 { "+" } else { "" };
            (
                measured(trend.current),
                format!("{arrow} {sign}{}", measured(trend.slope_per_min)),
                eyes::short(trend.r_squared),
            )
        }
        (None, Some(why)) => (why.clone(), String::new(), String::new()),
        (None, None) => (String::new(), String::new(), String::new()),
    };
    [answer.signal_type.to_string(), series.measure.clone(), series.who.clone(), now, slope, fit, usual]
}

fn pattern(answer: &Answer, window: &str) -> String {
    let pattern = &answer.pattern;
    let about: Vec<String> = pattern.about.iter().map(|(who, times)| format!("{who} ({times})")).collect();
    let worst =
        if pattern.worst > Severity::None { format!(", {} at the worst", pattern.worst) } else { String::new() };
    format!(
        "{}: {} in {window}, {} open{worst}; some stood for {} in all; about {}.",
        answer.signal_type,
        counted(pattern.signals, "signal", "signals"),
        pattern.open,
        eyes::duration(pattern.stood_s),
        about.join(", "),
    )
}
