//! A cgroup that was made for one process: its limits are written and the process is put there, or whoever lives there
//! is put back. All through descriptors that were passed, and nothing is opened.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
    time::Duration,
};

use nix::libc;

use super::child::{Held, write_setting};
use crate::execute::{cgroup_file::CgroupFile, command::Command};

/// Longest list of processes that is read, bytes.
const LIST_MAX: u64 = 4 << 20;
/// Time between two looks at who is left.
const LOOK: Duration = Duration::from_millis(5);

/// The files are those of the limits, and then a `cgroup.procs` of each hierarchy.
pub(super) fn confine(
    held: &mut Held,
    limits: &[(CgroupFile, String)],
    mut files: Vec<OwnedFd>,
) -> Result<String, String> {
    if files.len() <= limits.len() {
        return Err("not all descriptors were passed".to_owned());
    }
    let procs = files.split_off(limits.len());
    let mut said = Vec::new();
    for ((name, value), file) in limits.iter().zip(files) {
        said.push(write_setting(file, value, name.name())?);
    }
    for file in procs {
        write_setting(file, &held.pid.to_string(), "cgroup.procs")?;
    }
    // Its number may have gone to somebody else only if it has ended; then all is put back.
    held.check()?;
    Ok(format!("process {}: {}", held.pid, said.join(", ")))
}

/// The files are as many looks at who lives there as may be taken and, where they have a place to go, its
/// `cgroup.procs`.
pub(super) fn release(command: &Command, to: Option<&str>, mut files: Vec<OwnedFd>) -> Result<String, String> {
    let home = match to {
        Some(_) => Some(File::from(files.pop().ok_or("no descriptor was passed")?)),
        None => None,
    };
    let (mut moved, mut left) = (0, false);
    for list in files {
        let members = members(list)?;
        left = !members.is_empty();
        if !left {
            break;
        }
        let mut home = home.as_ref().ok_or_else(|| format!("`{command}`: processes live there"))?;
        for pid in members {
            match home.write_all(pid.to_string().as_bytes()) {
                Ok(()) => moved += 1,
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => {
                    return Err(format!("process {pid} cannot go back to {}: {error}", to.unwrap_or_default()));
                }
            }
        }
        std::thread::sleep(LOOK);
    }
    if left { Err("processes are made faster than they can be moved".to_owned()) } else { Ok(format!("{moved} moved")) }
}

fn members(list: OwnedFd) -> Result<Vec<u32>, String> {
    let mut text = String::new();
    File::from(list)
        .take(LIST_MAX)
        .read_to_string(&mut text)
        .map_err(|error: io::Error| format!("who lives there cannot be read: {error}"))?;
    // 0 is a process that this pid namespace does not show; written, it would be the executor itself.
    let pids: Option<Vec<u32>> = text.lines().map(|line| line.parse().ok().filter(|pid| *pid > 0)).collect();
    pids.ok_or_else(|| "processes of another pid namespace live there".to_owned())
}
