//! `predict`: what happens if nobody acts.

use clap::Args;

use super::{
    CliError, Context,
    client::{self, Client},
    eyes::{self, Eyes, Mood, paint},
    incidents::short,
};
use crate::{
    observe::SignalType,
    tools::{
        params::Bounded,
        simulate_scenario::{Answer, Params, Scenario, SimulateScenario},
    },
};

#[derive(Debug, Args)]
pub struct Predict {
    /// Only this type; all ten without it.
    #[arg(value_name = "TYPE")]
    pub signal_type: Option<SignalType>,
    /// How far ahead, in minutes.
    #[arg(long, value_name = "MINUTES", default_value = "60")]
    pub minutes: Bounded<1, 1440>,
}

impl Predict {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let types = self.signal_type.map_or_else(|| SignalType::ALL.to_vec(), |one| vec![one]);
        let answers = client::runtime()?.block_on(async {
            let client = Client::connect(&context.socket).await?;
            let mut answers = Vec::new();
            for signal_type in types {
                let params = Params { signal_type, duration_minutes: self.minutes };
                answers.push(client.ask::<SimulateScenario>(&params).await?);
            }
            client.close().await;
            Ok::<_, CliError>(answers)
        })?;
        context.print(&answers, |answers, eyes| text(answers, eyes))
    }
}

/// The predictions for eyes.
#[must_use]
pub fn text(answers: &[Answer], eyes: &Eyes) -> String {
    let minutes = answers.first().map_or(0.0, |answer| answer.duration_minutes as f64);
    let ahead = eyes::duration(minutes * 60.0);
    let mut told: Vec<&Scenario> = Vec::new();
    for scenario in answers.iter().flat_map(|answer| &answer.incidents) {
        // One incident may have signals of several types.
        if !told.iter().any(|known| known.incident == scenario.incident) {
            told.push(scenario);
        }
    }
    let mut parts: Vec<String> = told.into_iter().map(|scenario| eyes::finish(&one(scenario))).collect();
    let rows: Vec<[String; 6]> = answers
        .iter()
        .flat_map(|answer| answer.lines.iter().map(move |line| (answer, line)))
        .map(|(answer, line)| {
            let measured = |value| eyes::measured(&line.trend.measure, value);
            let sign = if line.trend.slope_per_min > 0.0 { "+" } else { "" };
            [
                answer.signal_type.to_string(),
                format!("{} of {}", line.trend.measure, line.who),
                measured(line.trend.current),
                format!("{sign}{}", measured(line.trend.slope_per_min)),
                measured(line.at_end),
                format!("r² {}, {} points", eyes::short(line.trend.r_squared), line.trend.points),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let head = format!("IN {}", ahead.to_uppercase());
        parts.push(format!(
            "If every line goes on as it does:\n{}",
            eyes.table(["TYPE", "MEASURE", "NOW", "A MINUTE", head.as_str(), "HOW SURE"], rows)
        ));
    }
    if parts.is_empty() {
        return format!("Nothing is wrong and nothing moves: no change is foreseen in {ahead}.");
    }
    parts.join("\n\n")
}

fn one(scenario: &Scenario) -> String {
    let mood = if scenario.reached_within { Mood::Bad } else { Mood::Strong };
    let mut lines = vec![
        format!("{}  {}", short(&scenario.incident), scenario.title),
        format!("  {}", paint(mood, &scenario.forecast.if_nothing_is_done)),
    ];
    for projection in &scenario.forecast.projections {
        lines.push(format!("  {}: {}", projection.what, projection.formula));
    }
    lines.extend(scenario.unknown.iter().map(|unknown| format!("  not known: {unknown}")));
    lines.join("\n")
}
