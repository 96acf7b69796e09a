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
    rounds::{Turn, alternate, ratios},
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

/// CPU time of one kind of work, ms, round by round.
struct Sides {
    bare: Vec<f64>,
    /// As the agent is started by default.
    ours: Vec<f64>,
    /// While every system call is watched.
    ours_always: Vec<f64>,
    /// Or why there is no bpftrace.
    peers: Result<Vec<f64>, String>,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let ground = Ground::make()?;
    let log = place::target()?.join("bench/agent.log");
    let peer = setup::peer("bpftrace").map_err(|why| format!("{why:#}"));
    let mut figures = Vec::new();
    let mut beside_peers = Vec::new();
    for work in ground.works() {
        let sides = sides(&work, &log, peer.as_deref())?;
        figures.push(watched(work.what, &sides.ours, &sides.bare));
        beside_peers.push(beside_peer(work.what, &sides));
    }
    figures.extend(beside_peers);
    Ok(figures)
}

/// One kind of work at a time, so that those that are compared follow each other within seconds: what else the machine
/// does comes and goes.
fn sides(work: &Workload, log: &Path, peer: Result<&Path, &String>) -> Result<Sides> {
    let pieces = pieces_for(work)?;
    let mut step = Step::begin(format!("{} for {} s, {ROUNDS} rounds each way", work.what, LONG.as_secs()));
    let mut bare = || cpu_ms(work, pieces);
    let with_agent = |arguments: &[&str]| {
        let (agent, _) = Agent::start_with("advisor", arguments, log)?;
        thread::sleep(SETTLE);
        let taken = cpu_ms(work, pieces)?;
        agent.stop()?;
        Ok(taken)
    };
    let mut ours = || {
        step.tick();
        with_agent(&[])
    };
    let mut ours_always = || with_agent(&["--watch-calls", "always"]);
    let sides = match peer {
        Ok(program) => {
            let mut theirs = || {
                let running = Bpftrace::start(program)?;
                thread::sleep(SETTLE);
                let taken = cpu_ms(work, pieces)?;
                running.stop()?;
                Ok(taken)
            };
            let turns: [Turn<'_, f64>; 4] = [&mut bare, &mut ours, &mut ours_always, &mut theirs];
            let [bare, ours, ours_always, theirs] = alternate(ROUNDS, turns)?;
            Sides { bare, ours, ours_always, peers: Ok(theirs) }
        }
        Err(why) => {
            let [bare, ours, ours_always] = alternate(ROUNDS, [&mut bare, &mut ours, &mut ours_always])?;
            Sides { bare, ours, ours_always, peers: Err(why.clone()) }
        }
    };
    step.done(work.what);
    Ok(sides)
}

fn cpu_ms(work: &Workload, pieces: u64) -> Result<f64> {
    (work.commands)(pieces)?.iter_mut().map(|command| work::cpu_ms_of(command).context(work.what)).sum()
}

/// How many pieces of the work take long enough.
fn pieces_for(work: &Workload) -> Result<u64> {
    let begun = Instant::now();
    cpu_ms(work, 1)?;
    Ok((LONG.as_secs_f64() / begun.elapsed().as_secs_f64()).ceil() as u64)
}

fn watched(what: &str, ours: &[f64], bare: &[f64]) -> Figure {
    Figure::median("P5", format!("{what}: CPU time with the agent over without"), GOAL, "x", ratios(ours, bare))
        .beside("with the agent", "ms", ours.to_vec())
        .beside("without", "ms", bare.to_vec())
}

/// What the agent adds over what bpftrace adds.
fn beside_peer(what: &str, sides: &Sides) -> Figure {
    let what = format!("{what}, every call watched: what the agent adds over what bpftrace adds");
    let peers = match &sides.peers {
        Ok(peers) => peers,
        Err(why) => return Figure::not_taken("P5", what, PEER_GOAL, "x", why),
    };
    let added = |with: &[f64]| with.iter().zip(&sides.bare).map(|(with, bare)| with - bare).collect::<Vec<f64>>();
    Figure::median("P5", what, PEER_GOAL, "x", ratios(&added(&sides.ours_always), &added(peers)))
        .beside("with the agent", "ms", sides.ours_always.clone())
        .beside("with bpftrace", "ms", peers.clone())
        .beside("without", "ms", sides.bare.clone())
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

    fn sides(peers: Result<Vec<f64>, String>) -> Sides {
        Sides { bare: vec![10.0, 20.0, 10.0], ours: Vec::new(), ours_always: vec![11.0, 21.0, 12.0], peers }
    }

    #[test]
    fn what_is_added_is_compared_round_by_round() {
        let figure = beside_peer("tar", &sides(Ok(vec![20.0, 24.0, 20.0])));
        assert_eq!(figure.rounds, [0.1, 0.25, 0.2]);
        assert_eq!(figure.figure, Some(0.2));
        assert!(figure.is_met());
    }

    #[test]
    fn without_its_peer_a_figure_is_not_taken_and_says_why() {
        let figure = beside_peer("tar", &sides(Err("no apt-get".to_owned())));
        assert_eq!((figure.figure, figure.note.as_str()), (None, "no apt-get"));
    }
}
