//! What the agent's verbs answer with `--json`: the one place that knows their shapes.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// A client of one running agent, as anybody with its socket is.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) binary: PathBuf,
    pub(crate) socket: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Signal {
    pub(crate) id: i64,
    pub(crate) signal_type: String,
    pub(crate) measure: String,
    pub(crate) entity: Entity,
    pub(crate) peak_severity: Severity,
    pub(crate) sentence: String,
    /// Unix time, ms: when the value first crossed, which is before it lasted long enough to be a signal.
    pub(crate) first_seen_ms: i64,
    /// None while it is open.
    pub(crate) closed_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    None,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Entity {
    pub(crate) kind: String,
    pub(crate) pid: Option<u32>,
    /// Of a cgroup or a mount.
    pub(crate) path: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) comm: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Incident {
    pub(crate) uid: String,
    pub(crate) opened_ms: i64,
    /// None while a signal of it is open.
    pub(crate) closed_ms: Option<i64>,
    pub(crate) status: String,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) primary: Signal,
}

/// One pass of the loop over one incident.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Trace {
    pub(crate) trace_id: i64,
    /// The incident's uid.
    pub(crate) incident: String,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    pub(crate) explanation: Option<Explanation>,
    pub(crate) proposal: Option<Proposal>,
    pub(crate) denial: Option<Denial>,
    #[serde(default)]
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) verification: Option<Verification>,
    #[serde(default)]
    pub(crate) undone: Vec<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Step {
    pub(crate) phase: String,
    pub(crate) at_ms: i64,
    pub(crate) text: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Explanation {
    pub(crate) primary: Signal,
    #[serde(default)]
    pub(crate) symptoms: Vec<Signal>,
    pub(crate) suspects: Vec<Suspect>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Suspect {
    pub(crate) entity: Entity,
    pub(crate) cgroup: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Proposal {
    pub(crate) hypotheses: Vec<Hypothesis>,
    pub(crate) decision: Decision,
    /// The number of what a model was asked about it.
    #[serde(default)]
    pub(crate) case: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Decision {
    /// `act`, `advise`, `inconclusive`.
    pub(crate) kind: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Hypothesis {
    pub(crate) failure_mode: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Denial {
    pub(crate) reason: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Outcome {
    /// None for what only looks.
    pub(crate) action_id: Option<i64>,
    pub(crate) action: Action,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) change: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Action {
    pub(crate) action_type: String,
    #[serde(default)]
    pub(crate) params: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Verification {
    pub(crate) verdict: String,
}

/// A proposal that waits.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) id: i64,
    /// The incident's uid.
    pub(crate) incident: String,
    pub(crate) proposal: Authored,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Authored {
    /// `rules`, or a provider and its model.
    pub(crate) author: String,
}

/// What a model was asked about, and what came of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) case: CaseRow,
    pub(crate) turns: Vec<TurnRow>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CaseRow {
    /// Unix time, ms.
    pub(crate) begun_ms: i64,
    /// None: it was about a question.
    pub(crate) incident: Option<CaseIncident>,
    /// None while it is thought about.
    pub(crate) ending: Option<Value>,
    /// How the model stood to the rules.
    pub(crate) agreement: Option<String>,
    /// Each claim of the last draft, with what was found.
    pub(crate) looked_up: Vec<(Value, Value)>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CaseIncident {
    pub(crate) uid: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TurnRow {
    pub(crate) turn: Turn,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Turn {
    pub(crate) took_ms: u64,
    pub(crate) reply: Option<Reply>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Reply {
    pub(crate) usage: Usage,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Usage {
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

impl Client {
    pub(crate) fn status(&self) -> Result<Status> {
        self.ask(&["status"])
    }

    /// The signals that are open, and those that closed lately where the verb gives them.
    pub(crate) fn signals(&self) -> Result<Vec<Signal>> {
        self.ask_list(&["signals"], "signals")
    }

    pub(crate) fn incidents(&self) -> Result<Vec<Incident>> {
        self.ask_list(&["incidents"], "incidents")
    }

    /// What waits for an operator's word.
    pub(crate) fn proposals(&self) -> Result<Vec<Waiting>> {
        self.ask_list(&["proposals"], "proposals")
    }

    /// The operator's leave for one.
    pub(crate) fn approve(&self, proposal: i64) -> Result<()> {
        self.run(&["approve", &proposal.to_string()]).map(drop)
    }

    /// What a model was asked and said, by its number; none: there is no such case.
    pub(crate) fn case(&self, case: i64) -> Option<Case> {
        self.ask(&["call", "query_case", &format!("case={case}")]).ok()
    }

    /// Every pass of the loop over that incident, oldest first.
    pub(crate) fn traces(&self, incident: &str) -> Result<Vec<Trace>> {
        self.ask_list(&["trace", incident], "traces")
    }

    /// The same as the verb answers it.
    pub(crate) fn traces_json(&self, incident: &str) -> Result<Value> {
        self.ask(&["trace", incident])
    }

    /// The story as the verb prints it for eyes.
    pub(crate) fn trace_text(&self, incident: &str) -> Result<String> {
        self.run(&["trace", incident])
    }

    /// What a model was asked and said, as the verb prints it; none where there is no such case.
    pub(crate) fn case_text(&self, case: i64) -> Option<String> {
        self.run(&["trace", "--case", &case.to_string()]).ok()
    }

    fn ask<T: DeserializeOwned>(&self, verb: &[&str]) -> Result<T> {
        let said = self.run(&[verb, &["--json"]].concat())?;
        serde_json::from_str(&said).with_context(|| format!("what `kernelsight {}` answers", verb.join(" ")))
    }

    /// A list; some verbs give it bare, some under its name, and one alone may come without its list.
    fn ask_list<T: DeserializeOwned>(&self, verb: &[&str], key: &str) -> Result<Vec<T>> {
        let answer: Value = self.ask(verb)?;
        list(answer, key).with_context(|| format!("what `kernelsight {}` answers", verb.join(" ")))
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let done = Command::new(&self.binary)
            .arg("--socket")
            .arg(&self.socket)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{} cannot be started", self.binary.display()))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            bail!("`kernelsight {}` failed ({}): {}", arguments.join(" "), done.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }
}

impl Entity {
    /// For eyes.
    pub(crate) fn words(&self) -> String {
        match (self.pid, &self.path, &self.name) {
            (Some(pid), ..) => format!("{} (pid {pid})", self.comm.as_deref().unwrap_or("process")),
            (_, Some(path), _) => format!("{} {path}", self.kind),
            (.., Some(name)) => format!("{} {name}", self.kind),
            _ => self.kind.clone(),
        }
    }
}

impl Trace {
    pub(crate) fn steps_of(&self, phase: &'static str) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.phase == phase)
    }

    /// What was carried out, each with its step: an outcome has no time of its own. A step of this phase that begins with
    /// no command tells of what was not carried out.
    pub(crate) fn deeds(&self) -> impl Iterator<Item = (&Step, &Outcome)> {
        self.steps_of("execute").filter(|step| step.text.starts_with('`')).zip(&self.outcomes)
    }

    /// What was taken back, each with its step.
    pub(crate) fn undoings(&self) -> impl Iterator<Item = (&Step, &Outcome)> {
        self.steps_of("verify").filter(|step| step.text.starts_with("taken back: `")).zip(&self.undone)
    }

    /// What it is said to be caused by, most likely.
    pub(crate) fn cause(&self) -> Option<&String> {
        Some(&self.proposal.as_ref()?.hypotheses.first()?.failure_mode)
    }

    /// The verdict's step.
    pub(crate) fn verdict(&self) -> Option<(&Step, &str)> {
        let verdict = self.verification.as_ref()?.verdict.as_str();
        Some((self.steps_of("verify").find(|step| step.text.starts_with(verdict))?, verdict))
    }
}

impl Severity {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Part {
    pub(crate) fn is_well(&self) -> bool {
        self.state == "on"
    }
}

impl Client {
    /// Whether that file can be run at all.
    pub(crate) fn check(binary: &Path) -> Result<()> {
        if !binary.exists() {
            bail!("there is no {}", binary.display());
        }
        Ok(())
    }
}

fn list<T: DeserializeOwned>(answer: Value, key: &str) -> Result<Vec<T>> {
    let items = match answer {
        Value::Array(items) => items,
        Value::Object(mut object) => match object.remove(key) {
            Some(Value::Array(items)) => items,
            Some(_) => bail!("`{key}` is no list"),
            None => vec![Value::Object(object)],
        },
        other => bail!("neither a list nor an object: {other}"),
    };
    items.into_iter().map(|item| Ok(serde_json::from_value(item)?)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signal() -> Value {
        json!({
            "id": 3, "signal_type": "load_mismatch", "measure": "run_queue_p99_ms",
            "entity": { "kind": "process", "pid": 812, "start_ticks": 5, "comm": "cpu_hog" },
            "severity": "medium", "peak_severity": "high", "pressure": 0.7, "value": 9.0, "numbers": [["a", 1.0]],
            "sentence": "runs", "first_seen_ms": 1000, "last_seen_ms": 2000, "count": 2, "closed_ms": null,
            "lost_events": 0
        })
    }

    #[test]
    fn a_list_is_read_bare_under_its_name_and_alone() {
        for answer in [json!([signal()]), json!({ "signals": [signal()], "note": "x" }), signal()] {
            let signals: Vec<Signal> = list(answer, "signals").expect("signals");
            assert_eq!(signals.len(), 1);
            assert_eq!(signals[0].entity.words(), "cpu_hog (pid 812)");
            assert_eq!(signals[0].peak_severity, Severity::High);
        }
    }

    #[test]
    fn a_severity_that_is_none_of_the_five_is_refused() {
        let mut odd = signal();
        odd["peak_severity"] = json!("awful");
        assert!(list::<Signal>(json!([odd]), "signals").is_err());
    }
}
