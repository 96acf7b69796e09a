//! P5: CPU time of fixed work while nobody watches, while the agent does, and while bpftrace counts the same,
//! alternated.

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

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
/// Enough that one piece of work takes some tenths of a second.
const CALLS: u64 = 2_000_000;
const TURNS: u64 = 40_000;
const MESSAGES: u64 = 2_000;
const FUNCTIONS: usize = 60;
const FILES: u64 = 4_000;
const READS: u64 = 5_000;
const BLOCK_BYTES: u64 = 4096;

/// One piece of work: what it is called, and what does it.
struct Workload {
    what: &'static str,
    command: Box<dyn Fn() -> Result<Command>>,
}

/// CPU time of each piece of work in one round, ms, in the order of the works.
type Round = Vec<f64>;

pub(super) fn measure() -> Result<Vec<Figure>> {
    let ground = Ground::make()?;
    let works = ground.works();
    let peer = setup::peer("bpftrace");
    let mut step = Step::begin(format!("{} kinds of work, {ROUNDS} rounds each way", works.len()));
    let log = place::target()?.join("bench/agent.log");
    let mut bare = || all(&works);
    let mut ours = || {
        let (agent, _) = Agent::start("advisor", &log)?;
        thread::sleep(SETTLE);
        let round = all(&works)?;
        agent.stop()?;
        step.tick();
        Ok(round)
    };
    let (bare, ours, peers) = match &peer {
        Ok(program) => {
            let mut theirs = || {
                let running = Bpftrace::start(program)?;
                thread::sleep(SETTLE);
                let round = all(&works)?;
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
    let figures = |(at, work): (usize, &Workload)| {
        let of = |rounds: &[Round]| rounds.iter().map(|round| round[at]).collect::<Vec<f64>>();
        let peers = peers.as_ref().map(|rounds| of(rounds)).map_err(String::as_str);
        [watched(work.what, &of(&ours), &of(&bare)), beside_peer(work.what, &of(&ours), &of(&bare), peers)]
    };
    Ok(works.iter().enumerate().flat_map(figures).collect())
}

fn all(works: &[Workload]) -> Result<Round> {
    works.iter().map(|work| work::cpu_ms_of(&mut (work.command)()?).context(work.what)).collect()
}

fn watched(what: &str, ours: &[f64], bare: &[f64]) -> Figure {
    Figure::median("P5", format!("{what}: CPU time with the agent over without"), GOAL, "x", ratios(ours, bare))
        .beside("with the agent", "ms", ours.to_vec())
        .beside("without", "ms", bare.to_vec())
}

/// What the agent adds over what bpftrace adds.
fn beside_peer(what: &str, ours: &[f64], bare: &[f64], peers: Result<Vec<f64>, &str>) -> Figure {
    let what = format!("{what}: what the agent adds over what bpftrace adds");
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
        let of = |what, kind: Kind, count| Workload { what, command: Box::new(move || work::command(kind, count)) };
        let path = |name: &str| self.directory.join(name).to_string_lossy().into_owned();
        let host = |what, program: &'static str, arguments: Vec<String>| Workload {
            what,
            command: Box::new(move || {
                let mut command = Command::new(program);
                command.args(&arguments);
                Ok(command)
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
