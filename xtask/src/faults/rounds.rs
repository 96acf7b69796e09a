//! Every chosen fault, round after round. The report is written anew after each, so that a run that is interrupted leaves
//! all that was seen until then.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    beside::{self, Beside},
    catalogue::Fault,
    rates::Rates,
    report::{self, story::Story},
    score::{self, BUSY_PERCENT, Score},
    tally::Tally,
    watch,
};
use crate::{page::Machine, place, say};

/// What a run of the catalogue has come to so far.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) machine: Machine,
    /// What runs the same again.
    pub(crate) command: String,
    /// Rounds that are planned of each fault.
    pub(crate) planned: usize,
    pub(crate) courses: Vec<Course>,
    pub(crate) end: End,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "why", rename_all = "snake_case")]
pub(crate) enum End {
    /// There are rounds to come, or there were when it was interrupted.
    UnderWay,
    Over,
    Stopped(String),
}

/// All rounds of one fault.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) fault: Fault,
    pub(crate) rounds: Vec<Round>,
}

#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) score: Score,
    pub(crate) story: Story,
    /// The directory of what the agent and the load said.
    pub(crate) evidence: PathBuf,
}

/// What was seen of a round, as it is kept in its evidence.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Witnessed {
    pub(super) score: Score,
    pub(super) story: Story,
}

/// The file of it.
pub(super) const WITNESSED: &str = "round.json";

/// The directory of what is left of a round; the first is 1.
pub(super) fn evidence_of(all: &Path, fault: &str, round: usize, planned: usize) -> PathBuf {
    let left = all.join(fault);
    if planned > 1 { left.join(format!("round-{round}")) } else { left }
}

/// Runs them all `planned` times, adds those that ran elsewhere, and keeps `page` up to date.
pub(super) fn run_all(
    chosen: Vec<Fault>,
    elsewhere: Vec<Course>,
    planned: usize,
    command: String,
    page: &Path,
) -> Result<Run> {
    if !nix::unistd::geteuid().is_root() {
        bail!("faults are injected into cgroups and watched through eBPF; both need root");
    }
    let evidence = place::target()?.join("faults");
    let here = chosen.len();
    let courses = chosen.into_iter().map(|fault| Course { fault, rounds: Vec::new() }).chain(elsewhere).collect();
    let mut run = Run { machine: Machine::read(), command, planned, courses, end: End::UnderWay };
    run.stop_at_a_control();
    // A place that cannot be written is told of now, and not after the first fault.
    report::write(&run, page)?;
    for round in 1..=planned {
        for at in 0..here {
            if run.end != End::UnderWay {
                return Ok(run);
            }
            let course = &mut run.courses[at];
            if round == 1 {
                // What an earlier run left explains nothing of this one.
                let _ = fs::remove_dir_all(evidence.join(&course.fault.name));
            }
            let left = evidence_of(&evidence, &course.fault.name, round, planned);
            let mut beside = beside::of(course.fault.model);
            course.rounds.push(one(&course.fault, left, &mut *beside)?);
            run.stop_at_a_control();
            report::write(&run, page)?;
        }
        if planned > 1 {
            say::note(&format!("round {round} of {planned} is over"));
        }
    }
    if run.end == End::UnderWay {
        run.end = End::Over;
    }
    report::write(&run, page)?;
    Ok(run)
}

/// One round of one fault.
pub(crate) fn one(fault: &Fault, evidence: PathBuf, beside: &mut dyn Beside) -> Result<Round> {
    let mut step = say::Step::begin(format!("{} ({})", fault.name, fault.about));
    let seen = watch::watch(fault, &evidence, beside, &mut step).with_context(|| format!("the fault {}", fault.name));
    // A run that broke is a failure of this fault, with its reason, and the others go on.
    let seen = seen
        .unwrap_or_else(|error| score::Seen { agent_troubles: vec![format!("{error:#}")], ..score::Seen::default() });
    let score = score::score(fault, &seen);
    if score.passed {
        step.done(&fault.name);
    } else {
        step.failed(&format!("{}: {}", fault.name, score.reasons.join("; ")));
    }
    let witnessed = Witnessed { story: Story::of(&seen), score };
    let file = evidence.join(WITNESSED);
    fs::write(&file, serde_json::to_vec(&witnessed)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    let Witnessed { score, story } = witnessed;
    Ok(Round { score, story, evidence })
}

impl Run {
    /// Ends here if a control was acted on: an agent that does that once has failed, whatever else it can.
    fn stop_at_a_control(&mut self) {
        let acted = |course: &&Course| course.rounds.iter().any(|round| round.score.acted_on_a_control(&course.fault));
        if let Some(course) = self.courses.iter().find(acted) {
            let why = format!("{} is a control and was acted on: the whole run fails here", course.fault.name);
            say::note(&why);
            self.end = End::Stopped(why);
        }
    }

    pub(crate) fn scores(&self) -> impl Iterator<Item = &Score> {
        self.courses.iter().flat_map(|course| &course.rounds).map(|round| &round.score)
    }

    /// Rounds that passed, and that failed.
    pub(crate) fn passed_and_failed(&self) -> (usize, usize) {
        let passed = self.scores().filter(|score| score.passed).count();
        (passed, self.scores().count() - passed)
    }

    /// What is to be said where the node was not calm before some rounds.
    pub(crate) fn unrest(&self) -> Option<String> {
        let busy = self.scores().filter(|score| score.began_busy()).count();
        (busy > 0).then(|| {
            format!(
                "before {busy} of {} rounds some task waited for a CPU over {BUSY_PERCENT} % of the time; they say less",
                self.scores().count()
            )
        })
    }

    pub(crate) fn all_passed(&self) -> bool {
        self.end == End::Over && self.scores().all(|score| score.passed)
    }

    pub(crate) fn tally(&self, course: &Course) -> Tally {
        let scores: Vec<&Score> = course.rounds.iter().map(|round| &round.score).collect();
        Tally::of(&scores, self.planned)
    }

    pub(crate) fn rates(&self) -> Rates {
        let of = |course: &Course| course.fault.control.is_some();
        let rounds =
            self.courses.iter().flat_map(|course| course.rounds.iter().map(move |round| (of(course), &round.score)));
        Rates::of(rounds)
    }

    /// All of it but the stories.
    pub(super) fn json(&self, page: &Path) -> Value {
        let (passed, failed) = self.passed_and_failed();
        let rates = self.rates();
        let faults = self.courses.iter().map(|course| {
            let rounds: Vec<&Score> = course.rounds.iter().map(|round| &round.score).collect();
            json!({
                "name": course.fault.name, "about": course.fault.about, "kind": course.kind(), "open": course.fault.open,
                "tally": self.tally(course), "rounds": rounds,
            })
        });
        json!({
            "passed": passed, "failed": failed, "goals_met": rates.met, "end": self.end, "planned_rounds": self.planned,
            "command": self.command, "machine": self.machine, "report": page, "rates": rates,
            "faults": faults.collect::<Vec<_>>(),
        })
    }
}

impl Course {
    pub(crate) const fn kind(&self) -> &'static str {
        if self.fault.control.is_some() { "control" } else { "fault" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::report::sample;

    #[test]
    fn the_json_has_every_round_the_rates_and_whether_the_goals_are_met() {
        let json = sample::run_of("cpu_hog").json(Path::new("report.html"));
        assert_eq!((&json["passed"], &json["failed"], &json["goals_met"]), (&json!(1), &json!(1), &json!(false)));
        assert_eq!(json["faults"][0]["rounds"][1]["resolved"], json!("no"));
        assert_eq!(json["faults"][0]["rounds"][0]["times"]["relief_s"], json!(30.0));
        assert_eq!(json["faults"][0]["tally"]["pass_every_round"], json!(false));
        assert_eq!(json["faults"][0]["tally"]["detect"]["median_s"], json!(3.0));
        assert_eq!(json["rates"]["faults"][3]["percent"], json!(50.0));
        assert_eq!(json["end"]["state"], json!("over"));
    }

    #[test]
    fn a_round_is_the_same_after_it_was_kept() {
        let round = sample::run_of("cpu_hog").courses.remove(0).rounds.remove(0);
        let kept = Witnessed { score: round.score, story: round.story };
        let text = serde_json::to_string(&kept).expect("JSON");
        let back: Witnessed = serde_json::from_str(&text).expect("a round");
        assert_eq!(back.score, kept.score);
        assert_eq!(
            serde_json::to_string(&back.story).expect("JSON"),
            serde_json::to_string(&kept.story).expect("JSON")
        );
    }

    #[test]
    fn a_control_that_was_acted_on_elsewhere_ends_the_run() {
        let mut run = sample::run_of("cpu_hog");
        run.end = End::UnderWay;
        run.courses[0].fault.control = Some(crate::faults::catalogue::Control { worst: crate::client::Severity::Low });
        run.courses[0].rounds[0].score.actions = vec!["throttle_cpu".to_owned()];
        run.stop_at_a_control();
        assert!(matches!(&run.end, End::Stopped(why) if why.starts_with("cpu_hog is a control")), "{:?}", run.end);
    }

    #[test]
    fn a_run_that_was_cut_short_did_not_pass() {
        let mut run = sample::run_of("cpu_hog");
        run.courses[0].rounds.truncate(1);
        assert!(run.all_passed());
        run.end = End::UnderWay;
        assert!(!run.all_passed());
    }
}
