//! `cargo xtask demo`: a real memory leak and a real CPU hog, and the loop that takes each from event to verdict.

use std::{
    collections::HashSet,
    fs, thread,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    agent::Agent,
    cgroup::Limits,
    client::{Client, Status, Trace},
    clock,
    eval::side::{Manner, Side},
    faults::{beside::Beside as _, catalogue::Process, inject::Running},
    model::Wire,
    place, run, say, setup,
};

/// All of it, from the agent's start to its end.
const TIME: Duration = Duration::from_secs(85);
const WARM_UP: Duration = Duration::from_secs(5);
/// The second onset comes after the first, so that each story can be told apart.
const APART: Duration = Duration::from_secs(8);
/// After both verdicts, for the service beside them to show that it is served again.
const RELIEF: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(250);
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// One JSON object instead of the story
    #[arg(long)]
    json: bool,
    /// With a scripted model on loopback, in this provider's format [default: gemini]: at copilot, and an operator gives
    /// leave to what the model wants alone
    #[arg(long, value_name = "PROVIDER", num_args = 0..=1, default_missing_value = "gemini")]
    model: Option<Wire>,
}

/// One of the two, at work.
struct Act {
    name: &'static str,
    running: Running,
    onset_ms: i64,
    /// The incident it became, once the agent blames it.
    incident: Option<String>,
    verdict: Option<String>,
    told: HashSet<(i64, String, i64)>,
}

/// True when both verdicts are resolved.
pub(crate) fn demo(demo: &Demo) -> Result<bool> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the demo loads eBPF programs and makes cgroups; both need root");
    }
    setup::ensure(setup::For::Building)?;
    run::build()?;
    let evidence = place::target()?.join("demo");
    fs::create_dir_all(&evidence).with_context(|| format!("{} cannot be made", evidence.display()))?;
    let begun = Instant::now();
    let manner = if demo.model.is_some() { Manner::Model } else { Manner::Rules };
    let mut side = Side::new(manner, None).speaking(demo.model.unwrap_or_default());
    side.begin()?;
    let level = side.autonomy().unwrap_or("guardian").to_owned();
    let more = side.arguments();
    let step = say::Step::begin(format!("start the agent at {level}"));
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (agent, status) = Agent::start_with(&level, &more, &evidence.join("agent.log"))?;
    step.done(&attached(&status, &level));
    say::note(&format!("it watches a calm node for {} s", WARM_UP.as_secs()));
    thread::sleep(WARM_UP);

    let shown = show(&agent.client, &mut side, demo.json, begun);
    let (acts, victim) = match shown {
        Ok(shown) => shown,
        Err(error) => return Err(error.context(format!("the agent's own log is in {}", evidence.display()))),
    };
    let resolved = acts.iter().all(|act| act.verdict.as_deref() == Some("resolved"));
    if demo.json {
        println!("{:#}", as_json(&agent.client, &acts, resolved, begun)?);
    } else {
        conclude(&agent.client, &acts, &victim, begun)?;
    }
    drop(acts);
    agent.stop()?;
    Ok(resolved)
}

/// Injects both, and tells each step of the loop as it appears, until both have a verdict or the time is over.
fn show(client: &Client, side: &mut Side, json: bool, begun: Instant) -> Result<(Vec<Act>, Running)> {
    let seconds = TIME.saturating_sub(begun.elapsed()).as_secs();
    let mut victim = Running::start(&process("waker", json!({ "work_us": 4000 }), None), "demo/service", seconds)?;
    let leak = process("anon_hog", json!({ "rate_mb_per_s": 30.0, "bound_mb": 900 }), Some(1024));
    tell(json, "a process leaks 30 MB/s in a cgroup of 1 GiB");
    let mut acts = vec![Act::begin("memory leak", &leak, "demo/leak", seconds)?];
    let hog = process("cpu_hog", json!({}), Some(256));
    let first = Instant::now();
    let mut sampled = Instant::now();
    while begun.elapsed() < TIME && !(acts.len() == 2 && acts.iter().all(|act| act.verdict.is_some())) {
        if acts.len() == 1 && first.elapsed() >= APART {
            tell(json, "spinners take every CPU, one more than there are");
            let seconds = TIME.saturating_sub(begun.elapsed()).as_secs().max(1);
            acts.push(Act::begin("CPU hog", &hog, "demo/hog", seconds)?);
        }
        follow(client, &mut acts, json)?;
        side.look(client)?;
        if sampled.elapsed() >= Duration::from_secs(1) {
            sampled = Instant::now();
            victim.sample();
        }
        thread::sleep(POLL);
    }
    let relieved = Instant::now();
    while relieved.elapsed() < RELIEF && begun.elapsed() < TIME {
        thread::sleep(POLL);
    }
    victim.sample();
    Ok((acts, victim))
}

/// One look at the agent's incidents: those that blame an act are its own.
fn follow(client: &Client, acts: &mut [Act], json: bool) -> Result<()> {
    for incident in client.incidents()? {
        let traces = client.traces(&incident.uid)?;
        let blamed = acts.iter_mut().find(|act| {
            act.incident.as_ref() == Some(&incident.uid)
                || (incident.opened_ms >= act.onset_ms
                    && (act.is_about(&incident.primary.entity) || traces.iter().any(|trace| act.is_blamed_by(trace))))
        });
        if let Some(act) = blamed {
            if act.incident.is_none() && !json {
                tell(json, &format!("{}: {}", act.name, incident.title));
            }
            act.incident.get_or_insert_with(|| incident.uid.clone());
            act.hear(&traces, json);
        }
    }
    Ok(())
}

impl Act {
    fn begin(name: &'static str, process: &Process, group: &str, seconds: u64) -> Result<Self> {
        let onset_ms = clock::now_ms();
        let running = Running::start(process, group, seconds)?;
        Ok(Self { name, running, onset_ms, incident: None, verdict: None, told: HashSet::new() })
    }

    /// Tells the steps that were not told yet.
    fn hear(&mut self, traces: &[Trace], json: bool) {
        for trace in traces {
            for step in &trace.steps {
                let new = self.told.insert((trace.trace_id, step.phase.clone(), step.at_ms));
                if new && !json {
                    let since_s = (step.at_ms - self.onset_ms) as f64 / 1e3;
                    let text = step.text.replace('\n', "\n                               ");
                    anstream::println!(
                        "{FAINT}+{since_s:5.1} s{FAINT:#}  {:12} {STRONG}{:9}{STRONG:#} {text}",
                        self.name,
                        step.phase
                    );
                }
            }
            if let Some(verification) = &trace.verification
                && self.verdict.as_deref() != Some("resolved")
            {
                // A later pass may still resolve what one did not: only the good verdict is final.
                self.verdict = Some(verification.verdict.clone()).filter(|verdict| verdict == "resolved");
            }
        }
    }

    fn is_about(&self, entity: &crate::client::Entity) -> bool {
        let cgroup = self.running.cgroup.as_ref().map(|cgroup| cgroup.path());
        entity.pid.is_some_and(|pid| self.running.processes().contains(&pid))
            || (entity.kind == "cgroup" && entity.path.as_deref() == cgroup)
    }

    fn is_blamed_by(&self, trace: &Trace) -> bool {
        let suspects = trace.explanation.iter().flat_map(|explanation| &explanation.suspects);
        suspects.take(1).any(|suspect| self.is_about(&suspect.entity))
    }
}

fn conclude(client: &Client, acts: &[Act], victim: &Running, begun: Instant) -> Result<()> {
    for act in acts {
        match &act.incident {
            Some(incident) => println!("\n{}", client.trace_text(incident)?.trim_end()),
            None => println!("\n{}: the agent has no incident of it", act.name),
        }
    }
    let done: Vec<String> =
        victim.said.iter().filter_map(|line| Some(format!("{:.1}", line.get("done_p50_ms")?.as_f64()?))).collect();
    println!("\nthe service beside them, median ms a request each second: {}", done.join(" "));
    for act in acts {
        let (style, verdict) = match &act.verdict {
            Some(verdict) => (GOOD, verdict.as_str()),
            None => (BAD, "not resolved"),
        };
        anstream::println!("{style}{}: {verdict}{style:#}", act.name);
    }
    println!("{:.0} s in all", begun.elapsed().as_secs_f64());
    Ok(())
}

fn as_json(client: &Client, acts: &[Act], resolved: bool, begun: Instant) -> Result<Value> {
    let acts = acts
        .iter()
        .map(|act| {
            let traces = act.incident.as_ref().map(|incident| client.traces_json(incident)).transpose()?;
            Ok(json!({ "name": act.name, "incident": act.incident, "verdict": act.verdict, "traces": traces }))
        })
        .collect::<Result<Vec<Value>>>()?;
    Ok(json!({ "resolved": resolved, "seconds": begun.elapsed().as_secs(), "acts": acts }))
}

/// What is attached, and what is not and why.
fn attached(status: &Status, level: &str) -> String {
    let well = status.parts.iter().filter(|part| part.is_well()).count();
    let off: Vec<String> = status
        .parts
        .iter()
        .filter(|part| !part.is_well())
        .map(|part| {
            format!(
                "{} {} is {}: {}",
                part.kind,
                part.name,
                part.state,
                part.reason.as_deref().unwrap_or("no reason given")
            )
        })
        .chain(status.notes.iter().cloned())
        .collect();
    let off = if off.is_empty() { String::new() } else { format!("\n  {}", off.join("\n  ")) };
    format!("the agent is up at {level}: {well} of {} parts on{off}", status.parts.len())
}

fn process(name: &str, settings: Value, memory_mb: Option<u64>) -> Process {
    let cgroup = memory_mb.map(|memory_mb| Limits { memory_mb: Some(memory_mb), ..Limits::default() });
    Process::new(name, settings, cgroup)
}

fn tell(json: bool, text: &str) {
    if json {
        say::note(text);
    } else {
        anstream::println!("{STRONG}{text}{STRONG:#}");
    }
}
