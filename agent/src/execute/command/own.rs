//! The two command lines of a cgroup of the agent's own: `cgclassify` makes it, limits it and moves one process there;
//! `cgdelete` moves back who lives in it, and removes it.

use std::fmt;

use super::{Command, CommandError, Way, unsigned};
use crate::{
    execute::{cgroup_file::CgroupFile, own_cgroup::Tree, value::CgroupPath},
    observe::ProcessId,
};

/// `-r cpu.max=50000 -r memory.high=536870912 -g /kernelsight/p812-5512 812`: one limit of CPU time, one of memory, or
/// both in this order.
pub(super) fn read_confine(words: &[&str]) -> Option<Command> {
    let [settings @ .., "-g", path, pid] = words else { return None };
    let process = owner(path)?;
    let limits: Vec<(CgroupFile, String)> = settings
        .chunks(2)
        .map(|pair| {
            let [flag, setting] = pair else { return None };
            let (file, value) = setting.split_once('=').filter(|_| *flag == "-r")?;
            Some((CgroupFile::from_name(file)?, value.to_owned()))
        })
        .collect::<Option<_>>()?;
    let is_cpu = |file| matches!(file, CgroupFile::CpuMax | CgroupFile::CpuQuota);
    let is_memory = |file| matches!(file, CgroupFile::MemoryHigh | CgroupFile::MemoryLimit);
    let sound = match limits.as_slice() {
        [(one, _)] => is_cpu(*one) || is_memory(*one),
        [(one, _), (other, _)] => is_cpu(*one) && is_memory(*other),
        _ => false,
    };
    (sound && unsigned::<u32>(pid)? == process.pid).then_some(Command::Confine { limits, process })
}

/// `-g memory:/kernelsight/p812-5512 --to /x`; without a place to go nobody may live in it.
pub(super) fn read_release(words: &[&str]) -> Option<Command> {
    let (group, to) = match words {
        ["-g", group] => (group, None),
        ["-g", group, "--to", to] => (group, Some((*to).to_owned())),
        _ => return None,
    };
    let (tree, path) = group.split_once(':')?;
    let sound = to.as_deref().is_none_or(|to| to == "/" || to.parse::<CgroupPath>().is_ok());
    let command = Command::Release { tree: Tree::from_name(tree)?, process: owner(path)?, to };
    sound.then_some(command)
}

pub(super) fn check_confine(limits: &[(CgroupFile, String)]) -> Result<(), CommandError> {
    limits.iter().try_for_each(|(file, value)| file.check(value, Way::Forward))
}

pub(super) fn write_confine(
    f: &mut fmt::Formatter<'_>,
    limits: &[(CgroupFile, String)],
    process: ProcessId,
) -> fmt::Result {
    f.write_str("cgclassify")?;
    for (file, value) in limits {
        write!(f, " -r {}={value}", file.name())?;
    }
    write!(f, " -g {} {}", CgroupPath::own(process), process.pid)
}

pub(super) fn write_release(
    f: &mut fmt::Formatter<'_>,
    tree: Tree,
    process: ProcessId,
    to: Option<&str>,
) -> fmt::Result {
    write!(f, "cgdelete -g {}:{}", tree.name(), CgroupPath::own(process))?;
    to.map_or(Ok(()), |to| write!(f, " --to {to}"))
}

fn owner(path: &str) -> Option<ProcessId> {
    path.parse::<CgroupPath>().ok()?.owner()
}
