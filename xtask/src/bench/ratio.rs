//! P5: CPU time of fixed work while nobody watches, while the agent does, and while bpftrace counts the same,
//! alternated.
//!
//! By default the agent watches system calls a twentieth of the time, and all the time once something asks for it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Figure, Goal, bpftrace,
    bpftrace::Bpftrace,
    rounds::{alternate, ratios},
    work::{self, Kind},
};
use crate::{agent::Agent, load, place, say::Step, setup};

const ROUNDS: usize = 5;
const GOAL: Goal = Goal::AtMost(1.05);
const PEER_GOAL: Goal = Goal::AtMost(0.25);
/// The start of who watches is no part of what it costs.
const SETTLE: Duration = Duration::from_secs(2);
/// Longer than from one moment in which system calls are watched to the next.
const LONG: Duration = Duration::from_millis(5_500);
/// So that what is added is more than what else the machine does.
const LONG_ENOUGH: Duration = Duration::from_millis(1_500);
/// Enough that one piece of work takes some tenths of a second.
const CALLS: u64 = 2_000_000;
const TURNS: u64 = 40_000;
const MESSAGES: u64 = 2_000;
const FUNCTIONS: usize = 60;
const FILES: u64 = 4_000;
const READS: u64 = 5_000;
const BLOCK_BYTES: u64 = 4096;

/// One kind of work: what it is called, and what does so many pieces of it, one command after the other.
struct Workload {
    what: &'static str,
    commands: Box<dyn Fn(u64) -> Result<Vec<Command>>>,
}

/// CPU time of each kind of work in one round, ms, in the order of the works.
type Round = Vec<f64>;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let ground = Ground::make()?;
    let works = ground.works();
    let log = place::target()?.join("bench/agent.log");
    let mut figures = by_default(&works, &log)?;
    figures.extend(whole_set(&works, &log)?);
    Ok(figures)
}

/// What the agent costs as it is started by default, over pieces of work so long that each meets moments in which system
/// calls are watched, and the time between.
fn by_default(works: &[Workload], log: &Path) -> Result<Vec<Figure>> {
    let mut step =
        Step::begin(format!("{} kinds of work for {} s, {ROUNDS} rounds each way", works.len(), LONG.as_secs()));
    let pieces = pieces_for(works, LONG)?;
    let mut bare = || all(works, &pieces);
    let mut ours = || with_agent(&[], log, || all(works, &pieces), &mut step);
    let [bare, ours] = alternate(ROUNDS, [&mut bare, &mut ours])?;
    step.done("work");
    let figure = |(at, work): (usize, &Workload)| watched(work.what, &of(at, &ours), &of(at, &bare));
    Ok(works.iter().enumerate().map(figure).collect())
}

/// What the agent costs while every system call is watched, beside what bpftrace costs.
fn whole_set(works: &[Workload], log: &Path) -> Result<Vec<Figure>> {
    let mut step = Step::begin(format!("{} kinds of work with all programs, {ROUNDS} rounds each way", works.len()));
    let pieces = pieces_for(works, LONG_ENOUGH)?;
    let peer = setup::peer("bpftrace");
    let mut bare = || all(works, &pieces);
    let mut ours = || with_agent(&["--watch-calls", "always"], log, || all(works, &pieces), &mut step);
    let (bare, ours, peers) = match &peer {
        Ok(program) => {
            let mut theirs = || {
                let running = Bpftrace::start(program)?;
                thread::sleep(SETTLE);
                let round = all(works, &pieces)?;
                running.stop()?;
                Ok(round)
            };
            let [bare, ours, theirs] = alternate(ROUNDS, [&mut bare, &mut ours, &mut theirs])?;
            (bare, ours, Ok(theirs))
        }
        Err(why) => {
            let [bare, ours] = alternate(ROUNDS, [&mut bare, &mut ours])?;
            (bare, ours, Err(format!("{why:#}")))
        }
    };
    step.done("work");
    let figure = |(at, work): (usize, &Workload)| {
        let peers = peers.as_ref().map(|rounds| of(at, rounds)).map_err(String::as_str);
        beside_peer(work.what, &of(at, &ours), &of(at, &bare), peers)
    };
    Ok(works.iter().enumerate().map(figure).collect())
}

fn with_agent(arguments: &[&str], log: &Path, work: impl Fn() -> Result<Round>, step: &mut Step) -> Result<Round> {
    let (agent, _) = Agent::start_with("advisor", arguments, log)?;
    thread::sleep(SETTLE);
    let round = work()?;
    agent.stop()?;
    step.tick();
    Ok(round)
}

/// One kind of work in each round.
fn of(at: usize, rounds: &[Round]) -> Vec<f64> {
    rounds.iter().map(|round| round[at]).collect()
}

fn all(works: &[Workload], pieces: &[u64]) -> Result<Round> {
    works.iter().zip(pieces).map(|(work, pieces)| cpu_ms(work, *pieces)).collect()
}

fn cpu_ms(work: &Workload, pieces: u64) -> Result<f64> {
    (work.commands)(pieces)?.iter_mut().map(|command| work::cpu_ms_of(command).context(work.what)).sum()
}

/// How many pieces of each work take so long.
fn pieces_for(works: &[Workload], time: Duration) -> Result<Vec<u64>> {
    let pieces = |work: &Workload| {
        let begun = Instant::now();
        cpu_ms(work, 1)?;
        Ok((time.as_secs_f64() / begun.elapsed().as_secs_f64()).ceil() as u64)
    };
    works.iter().map(pieces).collect()
}

fn watched(what: &str, ours: &[f64], bare: &[f64]) -> Figure {
    Figure::median("P5", format!("{what}: CPU time with the agent over without"), GOAL, "x", ratios(ours, bare))
        .beside("with the agent", "ms", ours.to_vec())
        .beside("without", "ms", bare.to_vec())
}

/// What the agent adds over what bpftrace adds.
fn beside_peer(what: &str, ours: &[f64], bare: &[f64], peers: Result<Vec<f64>, &str>) -> Figure {
    let what = format!("{what}, every call watched: what the agent adds over what bpftrace adds");
    let peers = match peers {
        Ok(peers) => peers,
        Err(why) => return Figure::not_taken("P5", what, PEER_GOAL, "x", why),
    };
    let added = |with: &[f64]| with.iter().zip(bare).map(|(with, bare)| with - bare).collect::<Vec<f64>>();
    let (ours_added, peers_added) = (added(ours), added(&peers));
    Figure::median("P5", what, PEER_GOAL, "x", ratios(&ours_added, &peers_added))
        .beside("with the agent", "ms", ours.to_vec())
        .beside("with bpftrace", "ms", peers)
        .beside("without", "ms", bare.to_vec())
        .noting(format!("{} programs of bpftrace count and time the same", bpftrace::PROBES))
}

/// Files that the works read, gone at the end.
struct Ground {
    directory: PathBuf,
}

impl Ground {
    fn make() -> Result<Self> {
        let directory = place::target()?.join("bench/work");
        // What an earlier run left is of another size.
        _ = fs::remove_dir_all(&directory);
        let ground = Self { directory };
        for number in 0..FILES {
            let below = ground.directory.join(format!("tree/d{}", number % 64));
            fs::create_dir_all(&below).with_context(|| format!("{} cannot be made", below.display()))?;
            fs::write(below.join(format!("f{number}")), vec![b'.'; 2048])?;
        }
        fs::write(ground.directory.join("program.c"), load::c_program(FUNCTIONS))?;
        // Written, not only long: a hole is read without a request.
        fs::write(ground.directory.join("disk"), vec![1; usize::try_from(READS * BLOCK_BYTES)?])?;
        Ok(ground)
    }

    fn works(&self) -> [Workload; 6] {
        let of = |what, kind: Kind, count| Workload {
            what,
            commands: Box::new(move |pieces| Ok(vec![work::command(kind, pieces * count)?])),
        };
        let path = |name: &str| self.directory.join(name).to_string_lossy().into_owned();
        let host = |what, program: &'static str, arguments: Vec<String>| Workload {
            what,
            commands: Box::new(move |pieces| {
                let piece = |_| {
                    let mut command = Command::new(program);
                    command.args(&arguments);
                    command
                };
                Ok((0..pieces).map(piece).collect())
            }),
        };
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        [
            of("getppid loop", Kind::Getppid, CALLS),
            of("pipe ping-pong", Kind::PingPong, TURNS),
            of("messaging", Kind::Messaging, MESSAGES),
            host("gcc", "cc", text(&["-O2", "-w", "-c", "-o", "/dev/null", &path("program.c")])),
            host("tar", "tar", text(&["-C", &path(""), "-cf", &path("tree.tar"), "tree"])),
            host(
                "dd 4K direct",
                "dd",
                text(&[&format!("if={}", path("disk")), "of=/dev/null", &format!("bs={BLOCK_BYTES}"), "iflag=direct"]),
            ),
        ]
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_compared_round_by_round() {
        let figure = beside_peer("tar", &[11.0, 21.0, 12.0], &[10.0, 20.0, 10.0], Ok(vec![20.0, 24.0, 20.0]));
        assert_eq!(figure.rounds, [0.1, 0.25, 0.2]);
        assert_eq!(figure.figure, Some(0.2));
        assert!(figure.is_met());
    }

    #[test]
    fn without_its_peer_a_figure_is_not_taken_and_says_why() {
        let figure = beside_peer("tar", &[11.0], &[10.0], Err("no apt-get"));
        assert_eq!((figure.figure, figure.note.as_str()), (None, "no apt-get"));
    }
}
