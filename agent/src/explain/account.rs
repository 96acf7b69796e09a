//! The account of one incident: all that is known of it now, put together.

use super::{
    Baseline, Deviation, Direction, Explanation, Incident, NodeFacts, Suspect, Trend, Yardstick,
    attribution::attribute,
    baseline::deviation,
    contested::Contested,
    facts,
    figures::{figure, scale_of},
    steps::Steps,
    trend::trend,
};
use crate::{
    observe::{
        Entity, ProcessId, Signal, View,
        classify::{RELATIVE_SAMPLES, Thresholds, measure},
    },
    text::Text,
};

/// What others know that an explanation needs: looked up by the caller, so that explaining stays pure.
#[derive(Clone, Debug, Default)]
pub struct Known<'a> {
    /// The agent itself, which is never a suspect.
    pub own_pid: u32,
    /// What is usual for the primary measure, where enough was seen.
    pub baseline: Option<Baseline>,
    /// From which value on a measure is how bad.
    pub thresholds: Option<&'a Thresholds>,
    /// Units that an operator lists among those that may be restarted.
    pub restartable: &'a [String],
}

/// Explains an incident from what is seen now.
#[must_use]
pub fn explain(incident: &Incident, view: &View, known: Known) -> Explanation {
    let primary = &incident.primary;
    let mut unknown = Vec::new();
    let attribution = attribute(primary, view.window, known.own_pid);
    unknown.extend(attribution.unknown);
    let mut suspects = attribution.suspects;
    if suspects.is_empty() {
        let of_symptoms =
            incident.symptoms.iter().map(|symptom| attribute(symptom, view.window, known.own_pid).suspects);
        suspects = of_symptoms.into_iter().find(|suspects| !suspects.is_empty()).unwrap_or_default();
    }
    for suspect in &mut suspects {
        let listed = |unit: &Text| known.restartable.iter().any(|listed| listed == unit.as_str());
        suspect.may_restart = suspect.unit.as_ref().is_some_and(listed);
    }
    let steps = view.now().and_then(|tick| incident.signals().find_map(|signal| Steps::of(signal, tick)));
    if let (Some(steps), Some(culprit)) = (&steps, suspects.first_mut()) {
        steps.tell(culprit);
    }
    let samples = known.baseline.as_ref().map_or(0, |baseline| baseline.samples);
    let baseline = known.baseline.filter(|baseline| baseline.samples >= RELATIVE_SAMPLES);
    let deviation = baseline.map(|baseline| deviation(primary.value, baseline));
    if deviation.is_none() {
        unknown.push(format!(
            "what is usual for {} is not known yet: {samples} samples, {RELATIVE_SAMPLES} are needed",
            primary.measure
        ));
    }
    let trend = or_note(trend_of(primary, view), "the trend", &mut unknown);
    let growth = steps.map(|steps| steps.trend());
    let growth = growth.or_else(|| growth_of(suspects.first()?, view));
    let lost: u64 = incident.signals().map(|signal| signal.lost_events).sum();
    if lost > 0 {
        unknown.push(format!("{lost} kernel events were lost in the window of these signals"));
    }
    let node = facts::node(view.window);
    if let Some(unseen) = node.cpu_unseen_percent.filter(|percent| *percent >= 10.0) {
        unknown.push(format!("{unseen:.0} % of the CPU time went to processes too short-lived to be seen"));
    }
    let measure = measure(primary.signal_type, &primary.measure);
    let threshold = measure.and_then(|measure| known.thresholds?.get(primary.signal_type, measure.name));
    Explanation {
        incident: incident.uid.clone(),
        summary: summary(incident, &suspects, deviation.as_ref(), trend.as_ref().or(growth.as_ref()), &node),
        primary: primary.clone(),
        symptoms: incident.symptoms.clone(),
        since_ms: incident.opened_ms,
        suspects,
        deviation,
        trend,
        growth,
        medium_at: threshold.and_then(|threshold| threshold.levels[1]),
        falling: measure.is_some_and(|measure| measure.falling),
        measured_by: Yardstick::of_others(primary, view.history, known.thresholds),
        node,
        unknown,
    }
}

fn or_note(trend: Result<Trend, super::TooLittle>, what: &str, unknown: &mut Vec<String>) -> Option<Trend> {
    trend.map_err(|too_little| unknown.push(format!("{what} is not known: {too_little}"))).ok()
}

fn trend_of(signal: &Signal, view: &View) -> Result<Trend, super::TooLittle> {
    let points = view.history.points(signal.signal_type, &signal.measure, &signal.entity);
    trend(&signal.measure, points.map(|point| (point.at_ms as f64 / 1e3, point.value)))
}

/// The resident memory of the culprit, or of the process of its cgroup that moved most.
fn growth_of(culprit: &Suspect, view: &View) -> Option<Trend> {
    let of_process = |id: ProcessId| {
        trend("rss_bytes", view.window.rss_track(id).map(|(at, rss)| (at as f64 / 1e9, rss as f64))).ok()
    };
    match &culprit.entity {
        Entity::Process { id, .. } => of_process(*id),
        Entity::Cgroup { path } => {
            let members = view.now()?.processes.iter().filter(|process| process.sample.cgroup == *path);
            let trends = members.filter_map(|process| of_process(process.sample.id));
            trends.max_by(|a, b| a.slope_per_min.total_cmp(&b.slope_per_min))
        }
        _ => None,
    }
}

fn summary(
    incident: &Incident,
    suspects: &[Suspect],
    deviation: Option<&Deviation>,
    trend: Option<&Trend>,
    node: &NodeFacts,
) -> String {
    let primary = &incident.primary;
    let mut said = vec![primary.sentence.clone()];
    match suspects {
        [] => said.push("Nobody can be named as its cause".to_owned()),
        [culprit, others @ ..] => {
            let unit = culprit.unit.as_ref().map_or(String::new(), |unit| format!(" (unit {unit})"));
            let beside = match others.first() {
                Some(next) => format!("; next is {} with {:.0} %", next.entity, next.share * 100.0),
                None => String::new(),
            };
            said.push(format!("{}{unit}{beside}", culprit.why));
        }
    }
    if let Some(Deviation { baseline, times_p95: Some(times), .. }) = deviation {
        let p95 = figure(&primary.measure, baseline.p95);
        said.push(format!("That is {times:.1} times its 95th percentile of {p95} ({} samples)", baseline.samples));
    }
    if let Some(trend) = trend.filter(|trend| trend.direction != Direction::Flat) {
        let way = if trend.direction == Direction::Rising { "rises" } else { "falls" };
        let scale = scale_of(&trend.measure);
        said.push(format!(
            "{} {way} by {} a minute (r² {:.2}, {} points)",
            trend.measure,
            scale.show(trend.slope_per_min.abs()),
            trend.r_squared,
            trend.points
        ));
    }
    if let (Some(wait), true) = (node.others_wait_percent, Contested::is_about_cpu(primary)) {
        said.push(format!("Who uses little CPU waits for it {wait:.0} % of the time that it wants one"));
    }
    if !incident.symptoms.is_empty() {
        said.push(format!("{} more signals have the same cause", incident.symptoms.len()));
    }
    said.join(". ") + "."
}
