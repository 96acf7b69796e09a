//! P1 and P3: our pairs of programs and what they are compared with, in turns on the same work.

use std::{fs, path::Path, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Figure, Goal, ask};
use crate::{place, say::Step};

const DISK_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct Calls {
    untimed: Vec<Call>,
    timed: Vec<Call>,
}

/// Wall time of a call, ns, and what ours adds to it over what the empty pair adds.
#[derive(Deserialize)]
struct Call {
    none_ns: f64,
    empty_ns: f64,
    ours_ns: f64,
    ratio: f64,
}

#[derive(Deserialize)]
struct Block {
    rounds: Vec<Request>,
}

/// Net time of both programs of a request, ns.
#[derive(Deserialize)]
struct Request {
    ours_ns: f64,
    reference_ns: f64,
}

pub(super) fn measure() -> Result<Vec<Figure>> {
    let step = Step::begin("system calls, with our pair, an empty pair and none".to_owned());
    let calls: Calls = ask(&["bench-calls", "--json"])?;
    step.done("calls");
    let disk = Disk::make()?;
    let step = Step::begin(format!("block requests to {}, ours and a hash by request", disk.path.display()));
    let block: Block = ask(&["bench-block", "--json", "--file", &disk.path.to_string_lossy()])?;
    step.done("block");
    Ok(vec![
        call("a system call that is not timed", &calls.untimed, 1.10),
        call("a system call that is timed", &calls.timed, 2.2),
        request(&block.rounds, &disk.path),
    ])
}

fn call(what: &str, rounds: &[Call], goal: f64) -> Figure {
    let each = |of: fn(&Call) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
    let what = format!("{what}: wall time added, over an empty pair");
    Figure::median("P1", what, Goal::AtMost(goal), "x", each(|round| round.ratio))
        .beside("a call with ours", "ns", each(|round| round.ours_ns))
        .beside("with the empty pair", "ns", each(|round| round.empty_ns))
        .beside("with none", "ns", each(|round| round.none_ns))
}

fn request(rounds: &[Request], disk: &Path) -> Figure {
    let each = |of: fn(&Request) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
    let what = "a block request, over a hash by request and a hash by device";
    Figure::median("P3", what, Goal::AtMost(0.22), "x", each(|round| round.ours_ns / round.reference_ns))
        .beside("ours, issue and completion, net", "ns", each(|round| round.ours_ns))
        .beside("the hashes, net", "ns", each(|round| round.reference_ns))
        .noting(format!("beyond empty programs; direct reads of {}", disk.display()))
}

/// A loop device over a file: its requests come fast enough that the machine does not sleep between them. Where none
/// is granted, the file.
struct Disk {
    path: PathBuf,
    file: PathBuf,
}

impl Disk {
    fn make() -> Result<Self> {
        let file = place::target()?.join("bench/disk");
        // Written, not only long: a hole is read without a request.
        fs::write(&file, vec![1; DISK_BYTES as usize]).with_context(|| format!("{}", file.display()))?;
        let made = Command::new("losetup").args(["--find", "--show"]).arg(&file).output();
        let path = match made {
            Ok(output) if output.status.success() => PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()),
            _ => file.clone(),
        };
        Ok(Self { path, file })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.path != self.file {
            // What is left of it is the system's to show.
            _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
        }
        _ = fs::remove_file(Path::new(&self.file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let round = |ours_ns: f64, reference_ns: f64| Request { ours_ns, reference_ns };
        let figure = request(&[round(20.0, 100.0), round(200.0, 1000.0), round(90.0, 300.0)], Path::new("none"));
        assert_eq!(figure.rounds, [0.2, 0.2, 0.3]);
        assert_eq!(figure.sides[1].rounds, [100.0, 1000.0, 300.0]);
        assert!(figure.is_met());
    }
}
