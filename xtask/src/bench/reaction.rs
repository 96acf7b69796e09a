//! P7: from the kernel's own time of a leak's step to the agent's word about it, at a client.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::{Figure, Goal, rounds::Side};
use crate::{
    agent::Agent,
    cgroup::Limits,
    faults::{catalogue::Process, inject::Running},
    place,
    say::Step,
};

const ROUNDS: usize = 3;
const SETTLE: Duration = Duration::from_secs(3);
const LEAK_S: u64 = 14;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("a leak, {ROUNDS} times"));
    let (mut events_ms, mut signals_ms) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (agent, _) = Agent::start("advisor", &place::target()?.join("bench/agent.log"))?;
        super::wait(&mut step, SETTLE);
        let heard = leak(&agent, &mut step);
        agent.stop()?;
        let heard = heard?;
        events_ms.extend(heard.events_ms);
        signals_ms.extend(heard.signal_ms);
    }
    step.done("reaction");
    let events = Side::of(events_ms);
    let signals = Side::of(signals_ms);
    let note = |side: &Side| format!("median of {}", side.rounds);
    Ok(vec![
        Figure {
            id: "P7",
            what: "step of a leak to its event at a client".into(),
            figure: events.median,
            goal: Goal::AtMost(1.0),
            unit: "ms",
            note: note(&events),
        },
        Figure {
            id: "P7",
            what: "first step of a leak to its signal at a client".into(),
            figure: signals.median,
            goal: Goal::AtMost(1.0),
            unit: "ms",
            note: format!("{}; how long it must last is part of it", note(&signals)),
        },
    ])
}

/// Delays, ms.
struct Heard {
    events_ms: Vec<f64>,
    signal_ms: Option<f64>,
}

fn leak(agent: &Agent, step: &mut Step) -> Result<Heard> {
    let mut watch = Command::new(&agent.client.binary)
        .arg("--socket")
        .arg(&agent.client.socket)
        .args(["watch", "--raw", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("`kernelsight watch` cannot be started")?;
    let output = watch.stdout.take().context("`kernelsight watch` has no standard output")?;
    let (send, lines) = mpsc::channel();
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
    super::wait(step, Duration::from_secs(1));
    let process = Process {
        name: "anon_hog".to_owned(),
        settings: json!({ "rate_mb_per_s": 100.0, "bound_mb": 1200 }),
        cgroup: Some(Limits { memory_mb: Some(1400), ..Limits::default() }),
    };
    let load = Running::start(&process, "bench/leak", LEAK_S)?;
    let pid = load.culprits.first().copied().context("the leak names no process")?;
    let (begun, mut first_ns) = (Instant::now(), None);
    let mut heard = Heard { events_ms: Vec::new(), signal_ms: None };
    while begun.elapsed() < Duration::from_secs(LEAK_S) && heard.signal_ms.is_none() {
        step.tick();
        let Ok((at_ns, line)) = lines.recv_timeout(Duration::from_millis(100)) else { continue };
        if let Some(kernel_ns) = step_of(&line, pid) {
            first_ns.get_or_insert(kernel_ns);
            heard.events_ms.push((at_ns - kernel_ns) as f64 / 1e6);
        } else if opens(&line, pid)
            && let Some(first_ns) = first_ns
        {
            heard.signal_ms = Some((at_ns - first_ns) as f64 / 1e6);
        }
    }
    drop(load);
    watch.kill()?;
    watch.wait()?;
    Ok(heard)
}

/// The kernel's time of a step of that process's memory.
fn step_of(line: &Value, pid: u32) -> Option<i64> {
    let event = line.get("event").filter(|event| event.is_object()).unwrap_or(line);
    let is_step = event["event"] == "rss_step" && event["process"]["pid"] == pid;
    event["at_ns"].as_i64().filter(|_| is_step)
}

/// Whether the line opens a signal of memory about that process or its cgroup.
fn opens(line: &Value, pid: u32) -> bool {
    let (signal, entity) = (&line["signal"], &line["signal"]["entity"]);
    let about = entity["pid"] == pid || entity["path"].as_str().is_some_and(|path| path.ends_with("bench/leak"));
    line["news"] == "signal_opened" && signal["signal_type"] == "memory_pressure" && about
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
        assert!(opens(&line, 7));
        assert!(!opens(&line, 8));
    }
}
