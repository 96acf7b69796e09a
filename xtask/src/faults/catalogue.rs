//! The catalogue as data: `tests/faults/NAME.toml`, one file a fault.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{cgroup::Limits, client::Severity, load, model::Script, place};

/// No fault lasts longer.
const BOUND_MAX_S: u64 = 60;
/// What an incident may be said to be caused by: the agent's failure modes.
const CAUSES: [&str; 22] = [
    "memory_leak",
    "memory_hog",
    "cgroup_memory_limit",
    "swap_thrash",
    "cpu_hog",
    "cpu_quota",
    "fork_storm",
    "switch_storm",
    "minor_fault_churn",
    "major_fault_storm",
    "fd_exhaustion",
    "syscall_storm",
    "syscall_errors",
    "disk_full",
    "pids_limit",
    "device_saturation",
    "writeback_congestion",
    "port_exhaustion",
    "listen_overflow",
    "close_wait_leak",
    "network_loss",
    "unknown",
];
const SIGNALS: [&str; 10] = [
    "memory_pressure",
    "load_mismatch",
    "io_congestion",
    "network_degradation",
    "tcp_exhaustion",
    "swap_thrashing",
    "block_device_saturation",
    "scheduler",
    "syscall",
    "page_fault",
];

/// One fault, or one control: something that is no fault and must be taken for none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// The file's name.
    #[serde(skip)]
    pub(crate) name: String,
    /// One line for `--list`.
    pub(crate) about: String,
    /// Why the agent does not pass it yet. `faults` runs it all the same; `test` leaves it out, and says so.
    pub(crate) open: Option<String>,
    #[serde(default = "guardian")]
    pub(crate) autonomy: String,
    /// The agent watches a calm node for so long before the onset.
    #[serde(default = "warm_up_s")]
    pub(crate) warm_up_s: u64,
    /// It runs in a virtual machine, with control groups v2 and a disk of its own.
    pub(crate) guest: Option<Guest>,
    /// The agent and the load are in a network namespace of their own.
    pub(crate) network: Option<OwnNetwork>,
    /// The load has a filesystem of its own to fill, mounted where `KERNELSIGHT_FILESYSTEM` says.
    pub(crate) filesystem: Option<OwnFilesystem>,
    /// The node has swap while the fault lasts.
    pub(crate) swap: Option<OwnSwap>,
    /// The agent asks a model, which says this.
    pub(crate) model: Option<Script>,
    /// The load ends by itself after this.
    pub(crate) bound_s: u64,
    pub(crate) load: Process,
    /// Who suffers, if that is somebody else: must run to the end.
    pub(crate) victim: Option<Process>,
    /// Who takes most of what is contested, and is not to blame; an action on it must be taken back.
    pub(crate) decoy: Option<Process>,
    /// What must come of it; a fault has this or `control`.
    pub(crate) expect: Option<Expect>,
    pub(crate) control: Option<Control>,
}

/// How fast the disk of a virtual machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guest {
    pub(crate) disk_ops_per_s: u32,
    pub(crate) disk_mb_per_s: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnNetwork {
    /// What is set in it before the agent comes, by the names below `net.ipv4`.
    #[serde(default)]
    pub(crate) ipv4: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnFilesystem {
    pub(crate) mb: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnSwap {
    pub(crate) mb: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pub(crate) name: String,
    #[serde(default = "no_settings")]
    pub(crate) settings: Value,
    /// A group of its own below `/kernelsight-xtask`; none: where the runner is.
    pub(crate) cgroup: Option<Limits>,
    /// It calls itself and all that is its own so that whoever reads it is told something.
    #[serde(skip)]
    pub(crate) disguised: bool,
}

impl Process {
    pub(crate) fn new(name: &str, settings: Value, cgroup: Option<Limits>) -> Self {
        Self { name: name.to_owned(), settings, cgroup, disguised: false }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// One of these must open.
    pub(crate) signals: Vec<String>,
    /// Types that its incident may be named after instead, if one of `signals` is a symptom in it.
    #[serde(default)]
    pub(crate) headed_by: Vec<String>,
    /// From the onset, to the signal.
    pub(crate) within_s: f64,
    /// Which of the load's own may be blamed.
    pub(crate) culprit: Vec<Culprit>,
    pub(crate) cause: Vec<String>,
    /// Actions that help; none of them: it is rightly left alone.
    #[serde(default)]
    pub(crate) actions: Vec<String>,
    /// To report it and do nothing is right too.
    #[serde(default)]
    pub(crate) may_be_left_alone: bool,
    /// An action may turn out not to help, if it is taken back then.
    #[serde(default)]
    pub(crate) may_be_in_vain: bool,
    /// The kernel may end processes of the load for memory: that is the fault.
    #[serde(default)]
    pub(crate) may_lose_processes: bool,
    /// What must hold at the end.
    #[serde(default)]
    pub(crate) after: Vec<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Culprit {
    /// A process that the load itself names as its culprit.
    Process,
    /// The load's cgroup.
    Cgroup,
    /// A limit of the load's cgroup: what is told is about that, and whoever is named lives in it.
    Limit,
}

/// A measure that must be on the good side of a bound for some seconds on end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// `load.FIELD` or `victim.FIELD` of their own lines, or a measure that the runner takes: `load.rss_growth_mb_per_s`,
    /// `load.cpu_percent`, `load.oom_kills`, `node.memory_psi_percent`, `node.swap_in_pages_per_s`, `agent.rss_mb`,
    /// `agent.cpu_percent`.
    pub(crate) measure: String,
    pub(crate) below: Option<f64>,
    pub(crate) above: Option<f64>,
    /// Share of the highest value since the onset that it must be below: for a rate that only the machine's speed bounds.
    pub(crate) below_of_peak: Option<f64>,
    #[serde(default = "hold_s")]
    pub(crate) for_s: usize,
}

impl Check {
    /// The bound, which a peak so far may set.
    pub(crate) fn bound(&self, peak: f64) -> Bound {
        match (self.above, self.below_of_peak) {
            (Some(above), _) => Bound::Above(above),
            (_, Some(share)) => Bound::Below(share * peak),
            _ => Bound::Below(self.below.unwrap_or_default()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    Below(f64),
    Above(f64),
}

impl Bound {
    pub(crate) const fn value(self) -> f64 {
        let (Self::Below(value) | Self::Above(value)) = self;
        value
    }

    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::Below(bound) => value < bound,
            Self::Above(bound) => value > bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(bound) => write!(f, "below {bound}"),
            Self::Above(bound) => write!(f, "above {bound}"),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// No signal may be worse than this.
    pub(crate) worst: Severity,
}

/// The whole catalogue, by name.
pub(crate) fn read() -> Result<Vec<Fault>> {
    let directory = directory();
    let entries = fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files.iter().map(|file| read_file(file)).collect()
}

fn read_file(file: &Path) -> Result<Fault> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    parse(name, &text).with_context(|| format!("{}", file.display()))
}

fn parse(name: String, text: &str) -> Result<Fault> {
    let fault = Fault { name, ..toml::from_str(text)? };
    fault.check()?;
    Ok(fault)
}

impl Fault {
    /// The same of a load that calls itself so that whoever reads it is told something.
    pub(crate) fn disguised(mut self) -> Self {
        self.load.disguised = true;
        self
    }

    fn check(&self) -> Result<()> {
        if !(1..=BOUND_MAX_S).contains(&self.bound_s) {
            bail!("`bound_s` is {}; 1 to {BOUND_MAX_S} is allowed", self.bound_s);
        }
        let processes = [("load", Some(&self.load)), ("victim", self.victim.as_ref()), ("decoy", self.decoy.as_ref())];
        for (key, process) in processes {
            if let Some(process) = process {
                load::check(&process.name, &process.settings).with_context(|| format!("`{key}`"))?;
            }
        }
        one_of("autonomy", &self.autonomy, &["advisor", "copilot", "guardian", "agent"])?;
        match (&self.expect, &self.control) {
            (Some(expect), None) => expect.check(self.victim.is_some()),
            (None, Some(_)) => Ok(()),
            _ => bail!("either `expect` or `control` must be there, and not both"),
        }
    }
}

impl Expect {
    fn check(&self, victim: bool) -> Result<()> {
        self.signals.iter().try_for_each(|signal| one_of("expect.signals", signal, &SIGNALS))?;
        self.headed_by.iter().try_for_each(|signal| one_of("expect.headed_by", signal, &SIGNALS))?;
        self.cause.iter().try_for_each(|cause| one_of("expect.cause", cause, &CAUSES))?;
        for (key, empty) in [
            ("signals", self.signals.is_empty()),
            ("culprit", self.culprit.is_empty()),
            ("cause", self.cause.is_empty()),
        ] {
            if empty {
                bail!("`expect.{key}` is empty; then nothing could meet it");
            }
        }
        for check in &self.after {
            let of = check.measure.split_once('.').map(|(of, _)| of).unwrap_or_default();
            one_of(
                "expect.after.measure's first part",
                of,
                if victim { &["load", "victim", "node", "agent"] } else { &["load", "node", "agent"] },
            )?;
            let bounds = [check.below, check.above, check.below_of_peak];
            if bounds.iter().flatten().count() != 1 {
                bail!("`expect.after` of {} must have one of `below`, `above` and `below_of_peak`", check.measure);
            }
        }
        Ok(())
    }
}

fn one_of(key: &str, given: &str, known: &[&str]) -> Result<()> {
    if known.contains(&given) {
        return Ok(());
    }
    bail!("`{key}` has `{given}`; {} are known", known.join(", "))
}

fn directory() -> PathBuf {
    place::workspace().join("tests/faults")
}

fn guardian() -> String {
    "guardian".to_owned()
}

const fn warm_up_s() -> u64 {
    5
}

const fn hold_s() -> usize {
    3
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"
        about = "x"
        bound_s = 30
        [load]
        name = "cpu_hog"
        cgroup = { memory_mb = 64 }
        [expect]
        signals = ["load_mismatch"]
        within_s = 10.0
        culprit = ["process"]
        cause = ["cpu_hog"]
    "#;

    fn refusal(text: &str) -> String {
        format!("{:#}", parse("x".into(), text).expect_err("must be refused"))
    }

    #[test]
    fn every_file_of_the_catalogue_is_sound() {
        let faults = read().expect("the catalogue");
        assert!(faults.iter().any(|fault| fault.control.is_some()));
        assert!(faults.iter().any(|fault| fault.expect.is_some()));
    }

    #[test]
    fn a_sound_fault_is_read() {
        let fault = parse("cpu_hog".into(), SOUND).expect("sound");
        assert_eq!((fault.name.as_str(), fault.autonomy.as_str(), fault.warm_up_s), ("cpu_hog", "guardian", 5));
    }

    #[test]
    fn an_unknown_key_is_named() {
        assert!(refusal(&SOUND.replace("about", "abuot")).contains("abuot"));
        assert!(refusal(&SOUND.replace("memory_mb", "memory_gb")).contains("memory_gb"));
    }

    #[test]
    fn an_unknown_setting_of_a_load_is_named() {
        let said = refusal(&SOUND.replace("name = \"cpu_hog\"", "name = \"cpu_hog\"\nsettings = { spiners = 2 }"));
        assert!(said.contains("`load`") && said.contains("spiners"), "{said}");
    }

    #[test]
    fn a_cause_that_no_incident_could_have_is_refused() {
        assert!(refusal(&SOUND.replace("cause = [\"cpu_hog\"]", "cause = [\"gremlins\"]")).contains("gremlins"));
    }

    #[test]
    fn an_expectation_that_nothing_could_meet_is_refused() {
        assert!(refusal(&SOUND.replace("[\"load_mismatch\"]", "[]")).contains("expect.signals"));
    }

    #[test]
    fn a_bound_above_a_minute_is_refused() {
        assert!(refusal(&SOUND.replace("bound_s = 30", "bound_s = 61")).contains("bound_s"));
    }

    #[test]
    fn a_measure_of_a_victim_that_is_not_there_is_refused() {
        let said = refusal(&format!("{SOUND}\nafter = [{{ measure = \"victim.done_p50_ms\", below = 1.0 }}]"));
        assert!(said.contains("victim"), "{said}");
    }
}
