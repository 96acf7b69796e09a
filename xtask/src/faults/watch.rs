//! One fault from its warm-up to its end, as a client of the agent sees it.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    beside::Beside,
    catalogue::{Check, Fault},
    curve::{Curve, value_of},
    filesystem::Filesystem,
    inject::{self, Running},
    network::Network,
    node::NodeMeasures,
    score::{Seen, Strangers},
    settings::Settings,
    swap::Swap,
};
use crate::{
    agent::Agent,
    client::{Client, Incident, Signal, Trace},
    clock,
    say::Step,
};

const POLL: Duration = Duration::from_millis(250);
/// After an incident is settled and everything holds, the load goes on for so long to see whether it stays so.
const CALM_S: u64 = 3;
/// A decoy's own beginning, which is none of the fault, is over after that: longer than anything is told over, and than
/// a signal stays open after it.
const DECOY_SETTLES: Duration = Duration::from_secs(12);
/// A victim outlives the load by that, which on a slow disk starts long after it.
const VICTIM_LONGER_S: u64 = 44;

/// Runs one fault; what the agent and the load said is left in `evidence`.
pub(crate) fn watch(fault: &Fault, evidence: &Path, beside: &mut dyn Beside, step: &mut Step) -> Result<Seen> {
    fs::create_dir_all(evidence).with_context(|| format!("{} cannot be made", evidence.display()))?;
    // The network's own settings are the fault's to change.
    let _network = fault.network.as_ref().map(Network::of_its_own).transpose()?;
    let _swap = fault.swap.as_ref().map(Swap::of_its_own).transpose()?;
    let filesystem = fault.filesystem.as_ref().map(Filesystem::of_its_own).transpose()?;
    let filled = filesystem.as_ref().map(Filesystem::path);
    let before = Settings::read()?;
    beside.begin()?;
    let more = beside.arguments();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let level = beside.autonomy().unwrap_or(&fault.autonomy).to_owned();
    let (agent, _) = Agent::start_with(&level, &more, &evidence.join("agent.log"))?;
    wait(step, Duration::from_secs(fault.warm_up_s));
    // What is left behind is compared with what was there before the agent came.
    let mut seen = Seen { cpu_wait_before_percent: inject::psi_percent("cpu"), ..Seen::default() };
    let watched = inject_and_follow(fault, &agent, filled, evidence, beside, step, &mut seen);
    if let Err(error) = agent.stop() {
        seen.agent_troubles.push(format!("{error:#}"));
    }
    watched?;
    beside.over(&mut seen);
    seen.changes = before.changes(&Settings::read()?);
    if fault.network.is_some() {
        // The network is the load's alone, and goes with it.
        seen.changes.retain(|change| !change.starts_with("net."));
    }
    Ok(seen)
}

fn inject_and_follow(
    fault: &Fault,
    agent: &Agent,
    filled: Option<&Path>,
    evidence: &Path,
    beside: &mut dyn Beside,
    step: &mut Step,
    seen: &mut Seen,
) -> Result<()> {
    // The victim first: what it measures alone is none of the fault.
    let victim_seconds = fault.bound_s + VICTIM_LONGER_S;
    let mut victim = fault
        .victim
        .as_ref()
        .map(|victim| Running::start_beside(victim, &format!("{}/victim", fault.name), victim_seconds, filled))
        .transpose()?;
    let start_decoy = |decoy| Running::start(decoy, &format!("{}/decoy", fault.name), victim_seconds);
    let decoy = fault.decoy.as_ref().map(start_decoy).transpose()?;
    seen.decoy = decoy.as_ref().map(|decoy| Strangers {
        processes: decoy.processes(),
        cgroup: decoy.cgroup.as_ref().map(|cgroup| cgroup.path().to_owned()),
    });
    if decoy.is_some() {
        wait(step, DECOY_SETTLES);
    }
    let onset_ms = clock::now_ms();
    let mut load = Running::start_beside(&fault.load, &format!("{}/load", fault.name), fault.bound_s, filled)?;
    let onset = Instant::now();
    seen.onset_ms = clock::now_ms();
    seen.curve = Curve::of(fault);
    seen.culprits.clone_from(&load.culprits);
    seen.cgroup = load.cgroup.as_ref().map(|cgroup| cgroup.path().to_owned());

    let mut picture = Picture::default();
    let mut checks = Checks::of(fault);
    let mut node = NodeMeasures::of(agent.pid());
    let bound = Duration::from_secs(fault.bound_s);
    let (mut sampled, mut calm_since) = (Instant::now(), None);
    while onset.elapsed() < bound.saturating_sub(Duration::from_millis(500)) {
        wait(step, POLL);
        picture.look(&agent.client, onset_ms, onset)?;
        beside.look(&agent.client)?;
        if sampled.elapsed() < Duration::from_secs(1) {
            continue;
        }
        sampled = Instant::now();
        load.sample();
        victim.iter_mut().for_each(Running::sample);
        node.sample();
        checks.take(&load, victim.as_ref(), &node);
        seen.curve.take(onset.elapsed().as_secs_f64(), &load, victim.as_ref(), &node);
        seen.processes = merged(&seen.processes, load.processes());
        // Settled early: there is nothing more to see.
        if settled(fault, &picture, &checks) {
            if calm_since.get_or_insert_with(Instant::now).elapsed() >= Duration::from_secs(CALM_S) {
                break;
            }
        } else {
            calm_since = None;
        }
        if !load.runs() {
            break;
        }
    }
    picture.look(&agent.client, onset_ms, onset)?;
    beside.look(&agent.client)?;
    if calm_since.is_none() && settled(fault, &picture, &checks) {
        calm_since = Some(Instant::now());
    }
    seen.relieved_s = calm_since.map(|since| since.duration_since(onset).as_secs_f64());
    seen.watched_s = onset.elapsed().as_secs_f64();
    picture.leave(evidence, &agent.client, &load, victim.as_ref())?;
    seen.unmet = checks.unmet();
    seen.ended = ended(fault, onset.elapsed() + Duration::from_secs(1), &mut load, victim.as_mut());
    seen.signals = picture.signals.into_values().collect();
    seen.signals.sort_by(|a, b| a.0.total_cmp(&b.0));
    seen.earlier = picture.earlier;
    seen.incidents = picture.incidents;
    seen.traces = picture.traces.into_values().flatten().collect();
    Ok(())
}

/// Whether an action helped, and all that must hold does.
fn settled(fault: &Fault, picture: &Picture, checks: &Checks) -> bool {
    fault.control.is_none() && picture.helped() && checks.unmet().is_empty()
}

/// Those who did not live to their bound, or lived and did not serve.
fn ended(fault: &Fault, elapsed: Duration, load: &mut Running, victim: Option<&mut Running>) -> Vec<String> {
    let mut ended = Vec::new();
    let may_end =
        fault.expect.as_ref().is_some_and(|expect| expect.actions.iter().any(|name| name == "terminate_process"));
    let bound_reached = elapsed.as_secs() >= fault.bound_s;
    let lost = load.culprits.len() - load.culprits_alive();
    if !may_end && !bound_reached && (lost > 0 || !load.runs()) {
        ended.push(format!("the load was ended ({lost} of its processes), which is no cure"));
    }
    let may_lose = fault.expect.as_ref().is_some_and(|expect| expect.may_lose_processes);
    if !may_lose && load.cgroup.as_ref().is_some_and(|cgroup| cgroup.oom_kills() > 0) {
        ended.push("the kernel killed a process of the load for memory".to_owned());
    }
    if let Some(victim) = victim {
        victim.sample();
        if !(victim.runs() && victim.speaks()) {
            ended.push("the victim does not serve any more".to_owned());
        }
    }
    ended
}

/// What a client has seen so far.
#[derive(Default)]
struct Picture {
    /// By id: seconds from the onset to the first sight, and the newest form.
    signals: HashMap<i64, (f64, Signal)>,
    incidents: Vec<Incident>,
    traces: HashMap<String, Vec<Trace>>,
    /// Titles of the incidents that were open when the fault came, and may have taken in its signals.
    earlier: BTreeSet<String>,
}

impl Picture {
    fn look(&mut self, client: &Client, onset_ms: i64, onset: Instant) -> Result<()> {
        let now_s = onset.elapsed().as_secs_f64();
        for signal in client.signals()? {
            // What was abnormal before is not this fault's.
            if signal.first_seen_ms >= onset_ms {
                let first = self.signals.get(&signal.id).map_or(now_s, |(first, _)| *first);
                self.signals.insert(signal.id, (first, signal));
            }
        }
        self.incidents = client.incidents()?;
        for incident in self.incidents.iter().filter(|incident| incident.opened_ms >= onset_ms) {
            self.traces.insert(incident.uid.clone(), client.traces(&incident.uid)?);
        }
        let was_open = |incident: &&Incident| {
            incident.opened_ms < onset_ms && incident.closed_ms.is_none_or(|closed_ms| closed_ms >= onset_ms)
        };
        self.earlier.extend(self.incidents.iter().filter(was_open).map(|incident| incident.title.clone()));
        Ok(())
    }

    /// Whether an action was verified to have helped.
    fn helped(&self) -> bool {
        self.traces.values().flatten().any(|trace| {
            trace.verification.as_ref().is_some_and(|v| matches!(v.verdict.as_str(), "resolved" | "improved"))
        })
    }

    /// The stories and the loads' own lines, for whoever asks why.
    fn leave(&self, evidence: &Path, client: &Client, load: &Running, victim: Option<&Running>) -> Result<()> {
        let mut stories = String::new();
        for incident in self.traces.keys() {
            stories.push_str(&client.trace_text(incident)?);
            stories.push('\n');
        }
        let lines = |running: &Running| running.said.iter().map(|line| format!("{line}\n")).collect::<String>();
        let signals = self.signals.values().map(|(at_s, signal)| {
            format!(
                "{at_s:.1} s  {} {:?} {}: {}\n",
                signal.signal_type,
                signal.peak_severity,
                signal.entity.words(),
                signal.sentence
            )
        });
        for (name, text) in [
            ("traces.txt", stories),
            ("cases.txt", (1..).map_while(|case| client.case_text(case)).collect()),
            ("signals.txt", signals.collect()),
            ("load.jsonl", lines(load)),
            ("victim.jsonl", victim.map(lines).unwrap_or_default()),
        ] {
            let file = evidence.join(name);
            fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
        }
        Ok(())
    }
}

/// The checks of a fault, each with what was measured.
struct Checks<'a>(Vec<(&'a Check, Measured)>);

#[derive(Default)]
struct Measured {
    latest: VecDeque<Option<f64>>,
    peak: f64,
}

impl<'a> Checks<'a> {
    fn of(fault: &'a Fault) -> Self {
        let checks = fault.expect.iter().flat_map(|expect| &expect.after);
        Self(checks.map(|check| (check, Measured::default())).collect())
    }

    fn take(&mut self, load: &Running, victim: Option<&Running>, node: &NodeMeasures) {
        for (check, measured) in &mut self.0 {
            measured.take(value_of(&check.measure, load, victim, node), check.for_s);
        }
    }

    /// What does not hold over its last seconds, in words.
    fn unmet(&self) -> Vec<String> {
        self.0.iter().filter_map(|(check, measured)| measured.unmet(check)).collect()
    }
}

impl Measured {
    fn take(&mut self, value: Option<f64>, keep: usize) {
        self.peak = self.peak.max(value.unwrap_or_default());
        self.latest.push_back(value);
        if self.latest.len() > keep {
            self.latest.pop_front();
        }
    }

    fn unmet(&self, check: &Check) -> Option<String> {
        let (bound, values) = (check.bound(self.peak), &self.latest);
        let good = |value: &Option<f64>| value.is_some_and(|value| bound.holds(value));
        if values.len() >= check.for_s && values.iter().all(good) {
            return None;
        }
        let shown: Vec<String> =
            values.iter().map(|value| value.map_or("unknown".to_owned(), |value| format!("{value:.1}"))).collect();
        Some(format!("{} is not {bound} for {} s: {}", check.measure, check.for_s, shown.join(", ")))
    }
}

fn merged(known: &[u32], more: Vec<u32>) -> Vec<u32> {
    let mut all = [known, &more].concat();
    all.sort_unstable();
    all.dedup();
    all
}

fn wait(step: &mut Step, time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        step.tick();
        thread::sleep(left.min(Duration::from_millis(100)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Check = Check { measure: String::new(), below: Some(5.0), above: None, below_of_peak: None, for_s: 2 };

    fn unmet(check: &Check, values: &[Option<f64>]) -> Option<String> {
        let mut measured = Measured::default();
        values.iter().for_each(|value| measured.take(*value, check.for_s));
        measured.unmet(check)
    }

    #[test]
    fn a_measure_must_hold_for_its_seconds() {
        assert_eq!(unmet(&ASKED, &[Some(9.0), Some(4.0), Some(4.5)]), None);
        let said = unmet(&ASKED, &[Some(4.0)]);
        assert_eq!(said.as_deref(), Some(" is not below 5 for 2 s: 4.0"));
    }

    #[test]
    fn what_is_not_measured_does_not_hold() {
        let said = unmet(&ASKED, &[Some(4.0), None]);
        assert_eq!(said.as_deref(), Some(" is not below 5 for 2 s: 4.0, unknown"));
    }

    #[test]
    fn a_share_of_the_peak_is_of_all_that_was_seen() {
        let check = Check { below: None, below_of_peak: Some(0.5), ..ASKED };
        assert_eq!(unmet(&check, &[Some(8.0), None, Some(3.0), Some(3.9)]), None);
        let said = unmet(&check, &[Some(8.0), None, Some(3.0), Some(4.0)]);
        assert_eq!(said.as_deref(), Some(" is not below 4 for 2 s: 3.0, 4.0"));
        assert!(unmet(&check, &[Some(4.0); 2]).is_some(), "nothing went down");
    }
}
