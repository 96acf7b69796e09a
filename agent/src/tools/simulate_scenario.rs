//! `simulate_scenario`: what happens in so many minutes if nobody acts. Arithmetic that shows its inputs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Audience, Caller, Tier, Tool, ToolError, ask, params::Bounded};
use crate::{
    explain::{Direction, Explanation, Incident, IncidentUid, Trend, explain, trend::trend},
    live::Daemon,
    observe::{Entity, SignalType},
    simulate::{Forecast, simulate},
};

/// Most lines in one answer: those that move most surely.
const LINES: usize = 20;

#[derive(Debug)]
pub struct SimulateScenario;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub signal_type: SignalType,
    /// How far ahead, in minutes.
    pub duration_minutes: Bounded<1, 1440>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub signal_type: SignalType,
    pub duration_minutes: i64,
    /// One for each open incident that has a signal of the type.
    pub incidents: Vec<Scenario>,
    /// Measures of the type that move, calm or not, carried on to the end of the time.
    pub lines: Vec<Line>,
}

/// What becomes of one incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    pub incident: IncidentUid,
    pub title: String,
    /// The one to blame.
    pub culprit: Option<Entity>,
    pub forecast: Forecast,
    /// Whether a threshold is reached within the time asked for.
    pub reached_within: bool,
    /// What could not be read or was lost.
    pub unknown: Vec<String>,
}

/// One measure carried on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The entity's key, such as `process:812@53412`.
    pub entity: String,
    /// The same for eyes: `python3 (pid 812)`.
    pub who: String,
    pub trend: Trend,
    /// The value at the end of the time, if the line goes on.
    pub at_end: f64,
}

impl Tool for SimulateScenario {
    const NAME: &'static str = "simulate_scenario";
    const DESCRIPTION: &'static str = "What happens in so many minutes if nobody acts: time to each threshold and the \
        value at the end, with the line's slope, r² and number of points.";
    const TIER: Tier = Tier::Analyse;
    const AUDIENCE: Audience = Audience::All;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, _: &Caller, params: Params) -> Result<Answer, ToolError> {
        let minutes = params.duration_minutes.get();
        let of_type = |incident: &Incident| incident.signals().any(|signal| signal.signal_type == params.signal_type);
        let mut incidents = Vec::new();
        for (incident, explanation) in explained(daemon, of_type).await? {
            incidents.push(scenario(incident, explanation, minutes as f64));
        }
        let lines = lines(daemon, params.signal_type, minutes as f64);
        Ok(Answer { signal_type: params.signal_type, duration_minutes: minutes, incidents, lines })
    }
}

/// The open incidents that are wanted, each explained from what is seen now.
pub(super) async fn explained(
    daemon: &Daemon,
    wanted: impl Fn(&Incident) -> bool,
) -> Result<Vec<(Incident, Explanation)>, ToolError> {
    let incidents: Vec<Incident> =
        daemon.look().incidents.iter().filter(|incident| wanted(incident)).cloned().collect();
    let mut explained = Vec::new();
    for incident in incidents {
        let primary = incident.primary.clone();
        let class = primary.entity.class();
        let baseline =
            ask::read(daemon, move |reader| reader.baseline(primary.signal_type, &primary.measure, &class)).await?;
        let explanation = explain(&incident, &daemon.look().view(), daemon.known(baseline));
        explained.push((incident, explanation));
    }
    Ok(explained)
}

fn scenario(incident: Incident, explanation: Explanation, minutes: f64) -> Scenario {
    let forecast = simulate(&explanation, &[]);
    let within = |reached: Option<f64>| reached.is_some_and(|reached| reached <= minutes);
    Scenario {
        incident: incident.uid,
        title: incident.title,
        culprit: explanation.culprit().map(|culprit| culprit.entity.clone()),
        reached_within: forecast.projections.iter().any(|projection| within(projection.minutes)),
        forecast,
        unknown: explanation.unknown,
    }
}

/// What moves, the surest first. A measure never falls below nothing.
fn lines(daemon: &Daemon, signal_type: SignalType, minutes: f64) -> Vec<Line> {
    let live = daemon.look();
    let mut lines: Vec<Line> = live
        .history
        .of_type(signal_type)
        .filter_map(|(measure, entity, points)| {
            let trend = trend(measure, points.iter().map(|point| (point.at_ms as f64 / 1e3, point.value))).ok()?;
            let at_end = (trend.current + trend.slope_per_min * minutes).max(trend.current.min(0.0));
            let who = ask::who(&live, entity);
            (trend.direction != Direction::Flat).then(|| Line { entity: entity.to_owned(), who, trend, at_end })
        })
        .collect();
    drop(live);
    lines.sort_by(|a, b| {
        let names = || (&a.trend.measure, &a.entity).cmp(&(&b.trend.measure, &b.entity));
        b.trend.r_squared.total_cmp(&a.trend.r_squared).then_with(names)
    });
    lines.truncate(LINES);
    lines
}
