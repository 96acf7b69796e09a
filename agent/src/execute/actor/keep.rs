//! What an actor keeps itself from, by its power, before it reads what it is asked.

use std::path::Path;

use capctl::{Cap, CapSet};
use landlock::{AccessFs, BitFlags, make_bitflags};

use crate::execute::{
    action::Power,
    manager::RUNTIME,
    sandbox::{Files, Status, restrain},
};

/// Lays it down for this thread and all that come of it, its executor too. The reason why not all of it holds is a
/// reason to do nothing.
pub(super) fn keep_to(power: Power) -> Result<(), String> {
    let written = written(power);
    let files = Files { written: &written, may_signal: power == Power::Kill };
    // Landlock lets nobody look at what a stranger holds open, whatever capability there is.
    restrain((power != Power::ReadDescriptors).then_some(&files))?;
    Status::of_this_thread()?.expect_capabilities_within(capabilities(power))
}

/// What its executor is given, and what it takes to make one.
fn capabilities(power: Power) -> CapSet {
    let to_make_one: &[Cap] = match power {
        // It becomes whose process it is.
        Power::ProcessFile | Power::TargetsUser | Power::ReadDescriptors => &[Cap::SETUID, Cap::SETGID],
        // It opens what an operator lists, whoever's it is; it makes a cgroup at the root.
        Power::ListedFile | Power::OwnCgroup => &[Cap::DAC_OVERRIDE],
        _ => &[],
    };
    power.capability().into_iter().chain(to_make_one.iter().copied()).collect()
}

/// Where it writes, and how.
fn written(power: Power) -> Vec<(&'static Path, BitFlags<AccessFs>)> {
    let write = BitFlags::from(AccessFs::WriteFile);
    let (directory, access) = match power {
        Power::ProcessFile => ("/proc", write),
        Power::SysctlFile => ("/proc/sys", write),
        Power::CgroupFile => ("/sys/fs/cgroup", write),
        Power::OwnCgroup => ("/sys/fs/cgroup", make_bitflags!(AccessFs::{WriteFile | MakeDir | RemoveDir})),
        Power::ListedFile => ("/", make_bitflags!(AccessFs::{WriteFile | Truncate})),
        // Where there is none, there is nothing to be taken away.
        Power::ServiceManager if Path::new(RUNTIME).exists() => (RUNTIME, AccessFs::RemoveFile.into()),
        _ => return Vec::new(),
    };
    vec![(Path::new(directory), access)]
}
