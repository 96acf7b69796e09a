//! P7: from the kernel's own time of a leak's step to a typed signal in the agent, and to that signal at a client.
//!
//! Two clients listen: one to the kernel's events, one to what the agent makes of them. A leak crosses the line with
//! the step that leaves it less than half of its limit; the reflex on that step opens the signal,
//! which tells how long after the kernel's event that was.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::{
    Figure, Goal,
    rounds::{Side, quantile},
};
use crate::{
    agent::Agent,
    cgroup::Limits,
    faults::{catalogue::Process, inject::Running},
    place,
    say::Step,
};

const LEAKS: usize = 20;
const SETTLE: Duration = Duration::from_secs(3);
const LEAK_S: u64 = 8;
/// Lines of the two clients come apart by less than this.
const APART: Duration = Duration::from_millis(100);

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("a leak, {LEAKS} times"));
    let (agent, _) = Agent::start("advisor", &place::target()?.join("bench/agent.log"))?;
    super::wait(&mut step, SETTLE);
    let ears = Ears::open(&agent)?;
    let (mut events_ms, mut signals_ms, mut reflexes_ms) = (Vec::new(), Vec::new(), Vec::new());
    for leak in 0..LEAKS {
        let heard = ears.leak(leak, &mut step)?;
        events_ms.extend(heard.events_ms);
        signals_ms.extend(heard.signal_ms);
        reflexes_ms.extend(heard.reflex_ms);
    }
    drop(ears);
    agent.stop()?;
    step.done("reaction");
    if reflexes_ms.is_empty() {
        bail!("the reflex opened a signal on none of {LEAKS} leaks; {} led to one", signals_ms.len());
    }
    Ok(figures(events_ms, signals_ms, reflexes_ms))
}

fn figures(events_ms: Vec<f64>, mut signals_ms: Vec<f64>, mut reflexes_ms: Vec<f64>) -> Vec<Figure> {
    let events = Side::of(events_ms);
    signals_ms.sort_by(f64::total_cmp);
    reflexes_ms.sort_by(f64::total_cmp);
    let figure = |what: &str, figure, most, note| Figure {
        id: "P7",
        what: what.to_owned(),
        figure,
        goal: Goal::AtMost(most),
        unit: "ms",
        note,
    };
    let of = |values: &[f64]| format!("{} of {LEAKS} leaks", values.len());
    let slowest = |values: &[f64]| {
        format!("{}, so nearly the slowest, {:.2} ms", of(values), values.last().copied().unwrap_or(f64::NAN))
    };
    let crossing = "crossing of a leak to its typed signal";
    let how = "by the reflex on a step of 64 MiB, which asks for no duration, as signals of a tick do";
    vec![
        figure(&format!("{crossing}, p50"), quantile(&reflexes_ms, 0.5), 1.0, format!("{}; {how}", of(&reflexes_ms))),
        figure(&format!("{crossing}, p99"), quantile(&reflexes_ms, 0.99), 10.0, slowest(&reflexes_ms)),
        figure(
            "the same, told to a client, p99",
            quantile(&signals_ms, 0.99),
            10.0,
            format!(
                "{}; p50 {:.2} ms; a step's raw event {:.2} ms, median of {}",
                slowest(&signals_ms),
                quantile(&signals_ms, 0.5),
                events.median,
                events.rounds
            ),
        ),
    ]
}

/// Delays, ms.
#[derive(Default)]
pub(crate) struct Heard {
    events_ms: Vec<f64>,
    pub(crate) signal_ms: Option<f64>,
    /// As the signal itself tells; none where no reflex opened it.
    pub(crate) reflex_ms: Option<f64>,
}

/// Both clients; dropping it ends them.
pub(crate) struct Ears {
    clients: Vec<Child>,
    /// When each line came, on the clock of the kernel's events.
    lines: Receiver<(i64, Value)>,
}

impl Ears {
    pub(crate) fn open(agent: &Agent) -> Result<Self> {
        let (send, lines) = mpsc::channel();
        let mut ears = Self { clients: Vec::new(), lines };
        for wanted in [&["watch", "--json", "--raw"][..], &["watch", "--json"]] {
            ears.clients.push(listen(agent, wanted, send.clone())?);
        }
        // They have to be known at the door before the first leak.
        thread::sleep(Duration::from_secs(1));
        Ok(ears)
    }

    /// A leak of its own cgroup, until its signal came.
    pub(crate) fn leak(&self, number: usize, step: &mut Step) -> Result<Heard> {
        let process = Process {
            name: "anon_hog".to_owned(),
            settings: json!({ "base_mb": 64, "rate_mb_per_s": 150.0, "bound_mb": 420 }),
            cgroup: Some(Limits { memory_mb: Some(512), ..Limits::default() }),
        };
        let group = format!("bench/leak-{number}");
        let load = Running::start(&process, &group, LEAK_S)?;
        let pid = load.culprits.first().copied().context("the leak names no process")?;
        let mut until = Instant::now() + Duration::from_secs(LEAK_S);
        let (mut steps_ns, mut signal_ns, mut heard) = (Vec::new(), None, Heard::default());
        while Instant::now() < until {
            step.tick();
            let Ok((at_ns, line)) = self.lines.recv_timeout(Duration::from_millis(50)) else { continue };
            if let Some(kernel_ns) = step_of(&line, pid) {
                heard.events_ms.push((at_ns - kernel_ns) as f64 / 1e6);
                steps_ns.push(kernel_ns);
            } else if signal_ns.is_none() && opens(&line, pid, &group) {
                signal_ns = Some(at_ns);
                heard.reflex_ms = reflex_ms(&line);
                until = Instant::now() + APART;
            }
        }
        drop(load);
        heard.signal_ms = signal_ns.and_then(|signal_ns| crossing_ms(&steps_ns, signal_ns));
        Ok(heard)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        for client in &mut self.clients {
            // One that ended by itself has nothing left to end.
            drop(client.kill());
            drop(client.wait());
        }
    }
}

fn listen(agent: &Agent, wanted: &[&str], send: Sender<(i64, Value)>) -> Result<Child> {
    let mut client = Command::new(&agent.client.binary)
        .arg("--socket")
        .arg(&agent.client.socket)
        .args(wanted)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("`kernelsight watch` cannot be started")?;
    let output = client.stdout.take().context("`kernelsight watch` has no standard output")?;
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let at_ns = monotonic_ns();
            if let Ok(line) = serde_json::from_str::<Value>(&line)
                && send.send((at_ns, line)).is_err()
            {
                return;
            }
        }
    });
    Ok(client)
}

/// From the last step before the signal to the signal, ms.
fn crossing_ms(steps_ns: &[i64], signal_ns: i64) -> Option<f64> {
    let crossing_ns = steps_ns.iter().copied().filter(|step_ns| *step_ns <= signal_ns).max()?;
    Some((signal_ns - crossing_ns) as f64 / 1e6)
}

/// The kernel's time of a step of that process's memory.
fn step_of(line: &Value, pid: u32) -> Option<i64> {
    let event = line.get("event").filter(|event| event.is_object()).unwrap_or(line);
    let is_step = event["event"] == "rss_step" && event["process"]["pid"] == pid;
    event["at_ns"].as_i64().filter(|_| is_step)
}

/// Whether the line opens a signal of memory about that process or its cgroup.
fn opens(line: &Value, pid: u32, group: &str) -> bool {
    let (signal, entity) = (&line["signal"], &line["signal"]["entity"]);
    let about = entity["pid"] == pid || entity["path"].as_str().is_some_and(|path| path.ends_with(group));
    line["news"] == "signal_opened" && signal["signal_type"] == "memory_pressure" && about
}

/// How long after the kernel's event a reflex opened the signal, ms.
fn reflex_ms(line: &Value) -> Option<f64> {
    let numbers = line["signal"]["numbers"].as_array()?;
    let told = numbers.iter().find(|number| number[0] == "event_to_signal_us")?;
    Some(told[1].as_f64()? / 1e3)
}

/// The clock of the kernel's events.
fn monotonic_ns() -> i64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.tv_sec() * 1_000_000_000 + now.tv_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_that_of_the_leaking_process() {
        let event =
            json!({ "at_ns": 5, "process": { "pid": 7, "start_ticks": 1 }, "event": "rss_step", "rss_bytes": 1 });
        assert_eq!(step_of(&event, 7), Some(5));
        assert_eq!(step_of(&json!({ "news": "raw", "event": event }), 7), Some(5));
        assert_eq!(step_of(&event, 8), None);
    }

    #[test]
    fn a_signal_counts_when_it_opens_on_the_leak() {
        let line = json!({ "news": "signal_opened",
            "signal": { "signal_type": "memory_pressure", "entity": { "kind": "process", "pid": 7 } } });
        assert!(opens(&line, 7, "bench/leak-0"));
        assert!(!opens(&line, 8, "bench/leak-0"));
        assert_eq!(reflex_ms(&line), None);
    }

    #[test]
    fn a_signal_of_a_reflex_tells_its_delay() {
        let line = json!({ "signal": { "numbers": [["rss_bytes", 1.0], ["event_to_signal_us", 250.0]] } });
        assert_eq!(reflex_ms(&line), Some(0.25));
    }

    #[test]
    fn the_line_was_crossed_by_the_last_step_before_the_signal() {
        assert_eq!(crossing_ms(&[1_000_000, 5_000_000, 9_000_000], 6_500_000), Some(1.5));
        assert_eq!(crossing_ms(&[], 6_500_000), None);
    }
}
