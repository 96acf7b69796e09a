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
use serde_json::{Value, json};

use super::{
    Figure, Goal,
    earlyoom::{Earlyoom, Of},
    rounds::ratios,
};
use crate::{
    agent::Agent,
    cgroup::Limits,
    clock,
    faults::{catalogue::Process, inject::Running},
    figure::{Spread, quantile},
    place,
    say::Step,
    setup,
};

const LEAKS: usize = 20;
const SETTLE: Duration = Duration::from_secs(3);
const LEAK_S: u64 = 8;
/// Lines of the two clients come apart by less than this.
const APART: Duration = Duration::from_millis(100);
/// The leak crosses the agent's line at half of its limit, and earlyoom's at as much.
const PEER_ROOM_MB: u64 = 256;
/// For the peer to decide on a leak whose signal has come: it looks once in a tenth of a second, or in a second.
const PEER_PATIENCE: Duration = Duration::from_millis(1500);
const PEER_GOAL: Goal = Goal::AtLeast(20.0);

/// Delays on each leak, ms.
#[derive(Default)]
struct Leaks {
    events_ms: Vec<f64>,
    signals_ms: Vec<f64>,
    reflexes_ms: Vec<f64>,
    /// Of the leaks on which both decided.
    both_ms: Vec<(f64, f64)>,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let peer = setup::peer("earlyoom").and_then(|program| Ok((Of::program(&program)?, program)));
    let mut step = Step::begin(format!("a leak, {LEAKS} times"));
    let (agent, _) = Agent::start("advisor", &place::target()?.join("bench/agent.log"))?;
    super::wait(&mut step, SETTLE);
    let ears = Ears::open(&agent)?;
    let mut leaks = Leaks::default();
    for leak in 0..LEAKS {
        let peer = peer.as_ref().ok().map(|(of, program)| Earlyoom::start(program, *of, PEER_ROOM_MB)).transpose()?;
        leaks.add(
            &ears.leak_until(leak, &mut step, || peer.as_ref().is_none_or(|peer| peer.decided_after_ms().is_some()))?,
            peer,
        );
    }
    drop(ears);
    agent.stop()?;
    step.done("reaction");
    if leaks.reflexes_ms.is_empty() {
        bail!("the reflex opened a signal on none of {LEAKS} leaks; {} led to one", leaks.signals_ms.len());
    }
    Ok(figures(leaks, peer.err().map(|why| format!("{why:#}"))))
}

impl Leaks {
    fn add(&mut self, heard: &Heard, peer: Option<Earlyoom>) {
        self.events_ms.extend(&heard.events_ms);
        self.signals_ms.extend(heard.signal_ms);
        self.reflexes_ms.extend(heard.reflex_ms);
        self.both_ms.extend(heard.reflex_ms.zip(peer.and_then(|peer| peer.decided_after_ms())));
    }
}

fn figures(leaks: Leaks, no_peer: Option<String>) -> Vec<Figure> {
    let Leaks { events_ms, signals_ms, reflexes_ms, both_ms } = leaks;
    let crossing = "crossing of a leak to its typed signal";
    let how = "by the reflex on a step of 64 MiB, which asks for no duration, as signals of a tick do";
    let raw = Spread::of(&events_ms)
        .map_or_else(String::new, |spread| format!("; a step's raw event {}", spread.words("ms")));
    let of = |values: &[f64]| format!("{} of {LEAKS} leaks", values.len());
    let last = |what: String, values: Vec<f64>, note: String| {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let figure = Figure::once("P7", what, Goal::AtMost(10.0), "ms", quantile(&sorted, 0.99));
        Figure { rounds: values, ..figure }.noting(note)
    };
    vec![
        Figure::median("P7", format!("{crossing}, p50"), Goal::AtMost(1.0), "ms", reflexes_ms.clone())
            .noting(format!("{}; {how}", of(&reflexes_ms))),
        last(format!("{crossing}, p99"), reflexes_ms.clone(), format!("{}, so nearly the slowest", of(&reflexes_ms))),
        last("the same, told to a client, p99".to_owned(), signals_ms.clone(), format!("{}{raw}", of(&signals_ms))),
        sooner(&both_ms, no_peer),
    ]
}

/// How much later earlyoom decides on the same leak.
fn sooner(both_ms: &[(f64, f64)], no_peer: Option<String>) -> Figure {
    let what = "a leak's signal, so many times sooner than earlyoom decides";
    let (ours, peers): (Vec<f64>, Vec<f64>) = both_ms.iter().copied().unzip();
    if let Some(why) = no_peer {
        return Figure::not_taken("P7", what, PEER_GOAL, "x", why);
    }
    if both_ms.is_empty() {
        return Figure::not_taken("P7", what, PEER_GOAL, "x", format!("earlyoom decided on none of {LEAKS} leaks"));
    }
    Figure::median("P7", what, PEER_GOAL, "x", ratios(&peers, &ours))
        .beside("ours, from the kernel's step", "ms", ours)
        .beside("earlyoom, from the crossing of its line", "ms", peers)
        .noting(format!("{} of {LEAKS} leaks; earlyoom's line lies {PEER_ROOM_MB} MB below what is available, and it looks ten times a second", both_ms.len()))
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

    /// What was told until now is not looked at.
    pub(super) fn forget(&self) {
        while self.lines.try_recv().is_ok() {}
    }

    /// What `wanted` makes of the first line that it is after, with when that came; none within that time.
    pub(super) fn until<T>(&self, time: Duration, wanted: impl Fn(i64, &Value) -> Option<T>) -> Option<T> {
        let until = Instant::now() + time;
        loop {
            let (at_ns, line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
            if let Some(found) = wanted(at_ns, &line) {
                return Some(found);
            }
        }
    }

    /// When the kernel saw the first signal's step of that process before `until_ns`, if one led to a signal, or its
    /// last.
    pub(super) fn last_step(&self, pid: u32, until_ns: i64) -> Option<i64> {
        // Lines of the two clients come apart.
        thread::sleep(APART);
        let lines: Vec<(i64, Value)> = self.lines.try_iter().collect();
        let signal_ns = lines
            .iter()
            .find(|(_, line)| line["news"] == "signal_opened" && line["signal"]["signal_type"] == "memory_pressure");
        let until_ns = signal_ns.map_or(until_ns, |(at_ns, _)| *at_ns);
        lines.iter().filter_map(|(_, line)| step_of(line, pid)).filter(|step_ns| *step_ns <= until_ns).max()
    }

    /// A leak of its own cgroup, until its signal came.
    pub(crate) fn leak(&self, number: usize, step: &mut Step) -> Result<Heard> {
        self.leak_until(number, step, || true)
    }

    /// The same, and then until somebody else has seen it, too.
    fn leak_until(&self, number: usize, step: &mut Step, seen: impl Fn() -> bool) -> Result<Heard> {
        let settings = json!({ "base_mb": 64, "rate_mb_per_s": 150.0, "bound_mb": 420 });
        let limits = Limits { memory_mb: Some(512), ..Limits::default() };
        let process = Process::new("anon_hog", settings, Some(limits));
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
        let patience = Instant::now() + PEER_PATIENCE;
        while !seen() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(10));
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
            let at_ns = clock::monotonic_ns();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlyoom_is_compared_on_the_leaks_that_both_decided_on() {
        let figure = sooner(&[(0.05, 50.0), (0.1, 10.0), (0.05, 20.0)], None);
        assert_eq!((figure.figure, figure.rounds.len()), (Some(400.0), 3));
        assert!(figure.is_met());
        assert_eq!(sooner(&[], None).figure, None);
        assert_eq!(sooner(&[(0.05, 50.0)], Some("no apt-get".into())).note, "no apt-get");
    }

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
