//! What the daemon keeps itself from, laid down before it has a second thread, and looked at afterwards.
//!
//! A daemon that acts by itself needs every power that its executors are given, so of files and capabilities it keeps
//! them. One for whom actors act keeps what loading the programs takes: it writes below its own directories, and
//! nowhere else. Both do without the calls by which a stranger in their place would reach further.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path};

use capctl::{Cap, CapSet, CapState};
use landlock::{ABI, Access, AccessFs};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    config::Settings,
    execute::sandbox::{Files, Status, restrain, sys::set_nice},
};

/// What it takes to load the programs, attach them and read their maps.
const KEPT: [Cap; 2] = [Cap::BPF, Cap::PERFMON];

/// Before those that it treats: a machine that others keep busy is when it is needed. Its executors have it from it. A
/// unit says so itself, and without the power to it works as well as it can.
const NICE: i32 = -10;

/// Bytes of a core. None would let the kernel hand a whole one to a program that is set to take it; this it takes for no
/// core at all, and for a file it is too little.
const CORE_BYTES: u64 = 1;

/// A core would hold what others gave their processes as arguments, which is where secrets are.
pub fn leave_no_core() {
    let limited = getrlimit(Resource::RLIMIT_CORE).and_then(|(_, hard)| {
        let bytes = CORE_BYTES.min(hard);
        setrlimit(Resource::RLIMIT_CORE, bytes, bytes)
    });
    if let Err(error) = limited {
        tracing::warn!(%error, "a core of this process may be written when it fails");
    }
}

/// Takes its place before others, if it may.
pub fn come_first() {
    if let Err(error) = set_nice(0, NICE) {
        tracing::debug!(%error, "no better nice value");
    }
}

/// Lays it down for this thread and all that come of it. The reason why not all of it holds is a reason to do nothing
/// but watch.
pub fn confine(settings: &Settings) -> Result<(), String> {
    if settings.actors.is_none() {
        return restrain(None);
    }
    keep_capabilities().map_err(|error| format!("capabilities: {error}"))?;
    let directories = [settings.state_dir.as_path(), settings.socket.parent().unwrap_or(Path::new("/"))];
    for directory in directories {
        // What is there already needs nothing; what cannot be made is said below.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    }
    let written = directories.map(|directory| (directory, AccessFs::from_all(ABI::V7)));
    restrain(Some(&Files { written: &written, may_signal: false }))?;
    Status::of_this_thread()?.expect_capabilities_within(KEPT.into_iter().collect())
}

fn keep_capabilities() -> capctl::Result<()> {
    let mut now = CapState::get_current()?;
    // Where it may be emptied; the unit bounds it else.
    if now.effective.has(Cap::SETPCAP) {
        capctl::bounding::clear()?;
    }
    let kept: CapSet = KEPT.into_iter().collect();
    now.effective &= kept;
    now.permitted &= kept;
    now.inheritable &= kept;
    now.set_current()
}
