//! P5: CPU time of fixed work while nobody watches, while the agent does, and while bpftrace counts the same,
//! alternated.
//!
//! By default the agent watches system calls a twentieth of the time, and all the time once something asks for it:
//! beside bpftrace, which knows no other way, it watches all of them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use aya::sys::{Stats, enable_stats};

use super::{
    Figure, Goal, bpftrace,
    bpftrace::Bpftrace,
    probes,
    rounds::{alternate, ratios},
    workloads::{Ground, Workload},
};
use crate::{agent::Agent, figure::Spread, loaded, place, say::Step, setup};

const GOAL: Goal = Goal::AtMost(1.05);
const PEER_GOAL: Goal = Goal::AtMost(0.25);
/// What a machine's CPU time sways by from one round to the next is as much as what is looked for.
const ROUNDS: usize = 7;
/// Time in programs sways little.
const PROGRAM_ROUNDS: usize = 5;
/// A round of work: longer than from one moment in which system calls are watched to the next.
const LONG: Duration = Duration::from_millis(5_500);
/// A round of time in programs.
const SHORT: Duration = Duration::from_millis(1_500);
/// The start of who watches is no part of what it costs.
const SETTLE: Duration = Duration::from_secs(2);

/// Who watches the work.
enum Watcher {
    Agent { arguments: &'static [&'static str], log: PathBuf },
    Bpftrace { program: PathBuf },
}

impl Watcher {
    fn agent(arguments: &'static [&'static str]) -> Result<Self> {
        Ok(Self::Agent { arguments, log: place::target()?.join("bench/agent.log") })
    }

    /// Does something while it watches, and ends it.
    fn during<T>(&self, what: impl FnOnce() -> Result<T>) -> Result<T> {
        match self {
            Self::Agent { arguments, log } => {
                let (agent, _) = Agent::start_with("advisor", arguments, log)?;
                thread::sleep(SETTLE);
                let done = what()?;
                agent.stop()?;
                Ok(done)
            }
            Self::Bpftrace { program } => {
                let running = Bpftrace::start(program)?;
                thread::sleep(SETTLE);
                let done = what()?;
                running.stop()?;
                Ok(done)
            }
        }
    }
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let ground = Ground::make()?;
    let peer = setup::peer("bpftrace").map_err(|why| format!("{why:#}"));
    let mut figures = Vec::new();
    for work in ground.works() {
        figures.push(watched(&work)?);
    }
    let program = match peer {
        Ok(program) => program,
        Err(why) => {
            let not_taken = |work: &Workload| Figure::not_taken("P5", added_by(work), PEER_GOAL, "x", &why);
            figures.extend(ground.works().iter().map(not_taken));
            return Ok(figures);
        }
    };
    for work in ground.works() {
        figures.push(beside_peer(&work, &program)?);
        figures.push(in_programs(&work, &program)?);
    }
    Ok(figures)
}

/// As the agent is started by default. One kind of work at a time, so that those that are compared follow each other
/// within seconds: what else the machine does comes and goes.
fn watched(work: &Workload) -> Result<Figure> {
    let pieces = work.pieces_for(LONG)?;
    let mut step = Step::begin(format!("{} for {} s, {ROUNDS} rounds each way", work.what, LONG.as_secs()));
    let agent = Watcher::agent(&[])?;
    let mut bare = || work.cpu_ms(pieces);
    let mut ours = || {
        step.tick();
        agent.during(|| work.cpu_ms(pieces))
    };
    let [bare, ours] = alternate(ROUNDS, [&mut bare, &mut ours])?;
    step.done(work.what);
    let what = format!("{}: CPU time with the agent over without", work.what);
    Ok(Figure::median("P5", what, GOAL, "x", ratios(&ours, &bare))
        .beside("with the agent", "ms", ours)
        .beside("without", "ms", bare))
}

/// Every call watched, beside bpftrace: by what they add to the CPU time of the work, which is all that they cost.
fn beside_peer(work: &Workload, program: &Path) -> Result<Figure> {
    let pieces = work.pieces_for(LONG)?;
    let mut step = Step::begin(format!("{} beside bpftrace, {ROUNDS} rounds each way", work.what));
    let [agent, peer] = watchers(program)?;
    let mut bare = || {
        step.tick();
        work.cpu_ms(pieces)
    };
    let mut ours = || agent.during(|| work.cpu_ms(pieces));
    let mut theirs = || peer.during(|| work.cpu_ms(pieces));
    let [bare, ours, theirs] = alternate(ROUNDS, [&mut bare, &mut ours, &mut theirs])?;
    step.done(&format!("{} beside bpftrace", work.what));
    Ok(added(&added_by(work), bare, ours, theirs))
}

/// The agent, with every call watched, and bpftrace.
fn watchers(program: &Path) -> Result<[Watcher; 2]> {
    Ok([Watcher::agent(&["--watch-calls", "always"])?, Watcher::Bpftrace { program: program.to_owned() }])
}

fn added_by(work: &Workload) -> String {
    format!("{}, every call watched: what the agent adds over what bpftrace adds", work.what)
}

/// What the agent adds in each round over what bpftrace adds in the median: of one round alone, that may be next to
/// nothing. Where it is less than what the rounds without anybody differ by, nothing was measured.
fn added(what: &str, bare: Vec<f64>, ours: Vec<f64>, theirs: Vec<f64>) -> Figure {
    let over_bare = |with: &[f64]| with.iter().zip(&bare).map(|(with, bare)| with - bare).collect::<Vec<f64>>();
    let (Some(peer_adds), Some(sways)) = (Spread::of(&over_bare(&theirs)), Spread::of(&bare)) else {
        return Figure::not_taken("P5", what, PEER_GOAL, "x", "no round gave a figure");
    };
    let (peer_adds, sways) = (peer_adds.median, sways.most - sways.least);
    let figure = if peer_adds > sways {
        let shares = over_bare(&ours).iter().map(|ours| ours / peer_adds).collect();
        Figure::median("P5", what, PEER_GOAL, "x", shares)
            .noting(format!(
                "{} programs of bpftrace count and time the same; what calls a program costs either as much, and is no part of \
                 the time in programs",
                bpftrace::PROBES
            ))
    } else {
        let why = format!(
            "bpftrace adds {peer_adds:.0} ms, no more than the {sways:.0} ms that rounds without anybody differ by"
        );
        Figure::not_taken("P5", what, PEER_GOAL, "x", why)
    };
    figure.beside("with the agent", "ms", ours).beside("with bpftrace", "ms", theirs).beside("without", "ms", bare)
}

/// By the time in their programs: a part of what they add, but one that stands out from what else the machine does.
/// What the kernel's clock of programs takes of each run itself is taken off, as empty programs on the agent's hooks
/// show it under the same work in the same round.
fn in_programs(work: &Workload, program: &Path) -> Result<Figure> {
    let pieces = work.pieces_for(SHORT)?;
    let mut step = Step::begin(format!("{}: time in programs, {PROGRAM_ROUNDS} rounds each way", work.what));
    let [agent, peer] = watchers(program)?;
    let mut ours = || {
        step.tick();
        runs_while(&agent, || work.cpu_ms(pieces))
    };
    let mut theirs = || runs_while(&peer, || work.cpu_ms(pieces));
    let mut empty = || {
        let (count, ns) = probes::empty_runs(|| work.cpu_ms(1))?;
        Ok(Runs { count, ms: ns / 1e6 })
    };
    let [ours, theirs, empty] = alternate(PROGRAM_ROUNDS, [&mut ours, &mut theirs, &mut empty])?;
    step.done(&format!("{}: time in programs", work.what));
    Ok(shares_of_programs(work.what, &ours, &theirs, &empty))
}

fn shares_of_programs(what: &str, ours: &[Runs], theirs: &[Runs], empty: &[Runs]) -> Figure {
    let clock_ns: Vec<f64> = empty.iter().map(Runs::mean_ns).collect();
    let net_ms = |runs: &[Runs]| runs.iter().zip(&clock_ns).map(|(runs, clock_ns)| runs.net_ms(*clock_ns)).collect();
    let (ours, theirs): (Vec<f64>, Vec<f64>) = (net_ms(ours), net_ms(theirs));
    let what = format!("{what}, every call watched: time in the agent's programs over that in bpftrace's");
    Figure::median("P5", what, PEER_GOAL, "x", ratios(&ours, &theirs))
        .beside("in the agent's", "ms", ours)
        .beside("in bpftrace's", "ms", theirs)
        .beside("of an empty one, taken off each run", "ns", clock_ns)
        .noting(
            "by the kernel's clock of programs, which leaves out what calls them; 0 is no more than empty ones take",
        )
}

/// Runs of programs.
#[derive(Clone, Copy, Default)]
struct Runs {
    count: u64,
    /// With what the clock takes of each.
    ms: f64,
}

impl Runs {
    fn of_all_but(others: &BTreeSet<u32>) -> Result<Self> {
        let mut all = Self::default();
        for info in loaded::programs()?.iter().filter(|info| !others.contains(&info.id())) {
            all.count += info.run_count();
            all.ms += info.run_time().as_secs_f64() * 1e3;
        }
        Ok(all)
    }

    fn mean_ns(&self) -> f64 {
        self.ms * 1e6 / self.count as f64
    }

    fn net_ms(&self, clock_ns: f64) -> f64 {
        (self.ms - self.count as f64 * clock_ns / 1e6).max(0.0)
    }
}

/// Runs of the programs of who watches, on all CPUs, while that is done.
fn runs_while(watcher: &Watcher, what: impl FnOnce() -> Result<f64>) -> Result<Runs> {
    let others = loaded::program_ids()?;
    watcher.during(|| {
        let _counting = enable_stats(Stats::RunTime).context("the kernel does not count run time of programs")?;
        let before = Runs::of_all_but(&others)?;
        what()?;
        let after = Runs::of_all_but(&others)?;
        let count = after.count.checked_sub(before.count).context("programs went away while they were counted")?;
        Ok(Runs { count, ms: after.ms - before.ms })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: [f64; 3] = [10.0, 11.0, 10.0];

    fn of(ours: [f64; 3], theirs: [f64; 3]) -> Figure {
        added("tar", BARE.to_vec(), ours.to_vec(), theirs.to_vec())
    }

    #[test]
    fn what_is_added_is_a_share_of_what_the_peer_adds() {
        let figure = of([11.0, 13.0, 15.0], [20.0, 21.0, 30.0]);
        assert_eq!(figure.rounds, [0.1, 0.2, 0.5]);
        assert_eq!(figure.figure, Some(0.2));
        assert!(figure.is_met());
    }

    #[test]
    fn what_does_not_stand_out_is_not_taken_and_says_why() {
        let figure = of([10.0, 11.0, 10.0], [10.5, 12.0, 11.0]);
        assert_eq!(figure.figure, None);
        assert_eq!(figure.note, "bpftrace adds 1 ms, no more than the 1 ms that rounds without anybody differ by");
        assert_eq!(figure.sides[2].rounds, BARE);
    }
    #[test]
    fn what_an_empty_program_takes_is_taken_off_each_run_and_leaves_nothing_below_nothing() {
        let runs = |count, ms| Runs { count, ms };
        let (ours, theirs) = ([runs(1_000_000, 60.0), runs(1_000_000, 35.0)], [runs(2_000_000, 300.0); 2]);
        let figure = shares_of_programs("tar", &ours, &theirs, &[runs(100_000, 5.0), runs(100_000, 4.0)]);
        assert_eq!(figure.sides[2].rounds, [50.0, 40.0]);
        assert_eq!(figure.rounds, [0.05, 0.0]);
    }
}
