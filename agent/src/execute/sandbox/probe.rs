//! Probes: what an executor says of itself, or tries, from inside the sandbox of a command. For tests.

use std::{
    io::{self, Write},
    os::fd::OwnedFd,
    time::Duration,
};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{
    attack::{self, Ground},
    confine::{Role, confine, confine_for},
    order::{Granted, Order, OrderedProbe},
};

/// CPU time of an executor that tries to use more, s.
const HOG_CPU_MAX_S: u64 = 1;

/// What to try from inside the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Says its own user, capabilities, filters and descriptors, as the kernel shows them.
    Status,
    /// The same, by no more of Landlock than this ABI has.
    Under { abi: u32 },
    /// Waits for ever.
    Hang,
    /// Prints without end.
    Flood,
    /// One of [`super::attacks`], by the executor of this command line, against a process that is not its target.
    Attack { command: String, name: String, stranger: u32 },
}

/// What came of a probe.
#[derive(Debug)]
pub struct Confined {
    /// Whether the executor got as far as saying that it could.
    pub succeeded: bool,
    pub timed_out: bool,
    pub output: String,
}

impl Probe {
    /// The argument vector of the executor that tries it, and the process that it acts on.
    pub(super) fn command(&self) -> (Vec<String>, Option<u32>) {
        let line = match self {
            Self::Status | Self::Under { .. } => "top -o rss -n 1",
            Self::Hang | Self::Flood => "sync",
            Self::Attack { command, .. } => command,
        };
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let parsed = crate::execute::command::Command::parse(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let target = parsed.ok().and_then(|command| command.pid());
        (words, target)
    }

    /// The file that an attacker is given to write to.
    pub(in crate::execute) fn files(&self) -> io::Result<Vec<OwnedFd>> {
        match self {
            Self::Attack { .. } => Ok(vec![attacked()?]),
            Self::Status | Self::Under { .. } | Self::Hang | Self::Flood => Ok(Vec::new()),
        }
    }
}

impl From<Probe> for OrderedProbe {
    fn from(probe: Probe) -> Self {
        match probe {
            Probe::Status => Self::Status,
            Probe::Under { abi } => Self::Under { abi },
            Probe::Hang => Self::Hang,
            Probe::Flood => Self::Flood,
            Probe::Attack { name, stranger, .. } => Self::Attack { name, stranger },
        }
    }
}

pub(in crate::execute) fn attacked() -> io::Result<OwnedFd> {
    Ok(memfd_create(c"attacked", MFdFlags::MFD_CLOEXEC)?)
}

/// The executor's side.
pub(super) fn from_inside(probe: &OrderedProbe, role: Role, order: &Order) -> Result<String, String> {
    match probe {
        OrderedProbe::Status => {
            confine(role, &order.granted)?;
            status().map_err(|error| format!("status: {error}"))
        }
        OrderedProbe::Under { abi } => {
            confine(role, &Granted { landlock: *abi, ..order.granted.clone() })?;
            status().map_err(|error| format!("status: {error}"))
        }
        OrderedProbe::Hang => {
            confine(role, &order.granted)?;
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        OrderedProbe::Flood => {
            confine(role, &order.granted)?;
            loop {
                writeln!(io::stdout(), "{}", "x".repeat(1000)).map_err(|error| format!("flood: {error}"))?;
            }
        }
        OrderedProbe::Attack { name, stranger } => {
            let attack = attack::find(name).ok_or("no such attack")?;
            let ground = Ground {
                stranger: *stranger,
                files: order.files.clone(),
                pidfd: order.process.as_ref().map(|process| process.pidfd),
                task: order.process.as_ref().map(|process| process.task),
                stat: order.process.as_ref().map(|process| process.stat),
                descriptors: order.process.as_ref().and_then(|process| process.descriptors),
            };
            confine_for(role, &order.granted, HOG_CPU_MAX_S)?;
            match attack(&ground) {
                Ok(()) => Ok("it was possible".to_owned()),
                Err(error) => Err(format!("{error:?}")),
            }
        }
    }
}

fn status() -> io::Result<String> {
    let mut status = std::fs::read_to_string("/proc/self/status")?;
    let mut open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    open.sort_unstable();
    // The last one is the listing itself.
    open.pop();
    status.push_str(&format!("Open:\t{open:?}\nEnvironment:\t{}\n", std::env::vars_os().count()));
    Ok(status)
}
