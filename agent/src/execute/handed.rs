//! What an executor is handed: the descriptors that it may use. Whoever makes executors, the daemon or an actor, opens
//! them: all that is looked at is looked at before the word is given, and all that is made is made after it.

use std::{
    io::Write as _,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    sys::stat::{Mode, fchmod, mkdirat},
    unistd::{UnlinkatFlags, unlinkat},
};

use super::{
    cgroup_tree::{children, open_in},
    command::Command,
    open::{failed, io_errno, open_beneath, read_in},
    own_cgroup::{Home, NotOwn, Tree, homes, nobody_manages},
    process::Process,
    sandbox::{Finished, Launcher, Passed, SandboxError},
    setting::SettingError,
    value::{CgroupPath, OWN},
};

/// What the kernel lists in `cgroup.procs` of v1 is what was so when the descriptor was first read: each look needs
/// another one.
const LISTS: usize = 8;
/// Tries where the cgroup above is removed by another undo just then.
const TRIES: usize = 8;
/// A cgroup stays for a moment after its last process has left.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(10);

/// What an executor is handed.
#[derive(Debug)]
pub(super) enum Handed {
    /// What is there, open.
    Files(Vec<OwnedFd>),
    /// A cgroup of the agent's own, which is made once the word is given.
    Made { own: CgroupPath, homes: Vec<Home>, roots: Vec<OwnedFd> },
    /// Such a cgroup, which is removed once it is empty.
    Removed { own: CgroupPath, root: OwnedFd, files: Vec<OwnedFd> },
}

#[derive(Debug, thiserror::Error)]
pub enum NotHanded {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    NotOwn(#[from] NotOwn),
    #[error("`{line}` has nowhere to go back to")]
    NoHome { line: String },
}

impl Handed {
    /// Looks, and opens what is there. `file` is the one that the command writes, open; `home` is as it was found before.
    pub(super) fn for_command(
        command: &Command,
        process: Option<&Process>,
        file: Option<OwnedFd>,
        home: Option<&Home>,
    ) -> Result<Self, NotHanded> {
        match (command, process) {
            (Command::Confine { limits, process: id }, Some(process)) if process.id == *id => {
                let homes = homes(process, limits)?;
                let root = |home: &Home| open_in(home.tree.hierarchy(), "/");
                let roots = homes.iter().map(root).collect::<Result<_, _>>()?;
                Ok(Self::Made { own: CgroupPath::own(*id), homes, roots })
            }
            (Command::Confine { process, .. }, _) => {
                Err(SettingError::Another { what: format!("process {}", process.pid) }.into())
            }
            (Command::Release { tree, process, to }, _) => {
                let to = match (to, home) {
                    (None, None) => None,
                    (Some(path), Some(home)) if home.path == *path && home.tree == *tree => Some(home),
                    _ => return Err(NotHanded::NoHome { line: command.to_string() }),
                };
                Self::removed(*tree, CgroupPath::own(*process), to)
            }
            _ => Ok(Self::Files(file.into_iter().collect())),
        }
    }

    fn removed(tree: Tree, own: CgroupPath, home: Option<&Home>) -> Result<Self, NotHanded> {
        let root = open_in(tree.hierarchy(), "/")?;
        let procs = |directory: &OwnedFd, access, of: &str| {
            open_beneath(directory, "cgroup.procs", access)
                .map_err(|error| failed(format!("cgroup.procs of {of}"), error))
        };
        let mut files = Vec::new();
        match open_in(tree.hierarchy(), own.as_str()) {
            Ok(directory) => {
                for _ in 0..LISTS {
                    files.push(procs(&directory, OFlag::O_RDONLY, own.as_str())?);
                }
            }
            // Cut off before it was made, or after it was removed.
            Err(SettingError::Gone { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(home) = home {
            nobody_manages(&home.path)?;
            files.push(procs(&home.open()?, OFlag::O_WRONLY, &home.path)?);
        }
        Ok(Self::Removed { own, root, files })
    }

    /// Has an executor do it, after the word was given; `index` is that of the network interface, where it is one.
    pub(super) fn carry_out(
        self,
        launcher: &Launcher,
        command: &Command,
        process: Option<&Process>,
        index: Option<u32>,
    ) -> Result<Finished, SandboxError> {
        let run = |files| launcher.run(&command.arguments(), command.power(), Passed { process, files, index });
        let not_made = |error: SettingError| SandboxError::NotHanded { reason: error.to_string() };
        match self {
            Self::Files(files) => run(files),
            Self::Made { own, homes, roots } => run(make(&own, &homes, &roots).map_err(not_made)?),
            Self::Removed { own, root, files } => {
                let mut finished = run(files)?;
                if finished.success
                    && let Err(error) = remove(&own, &root)
                {
                    finished.success = false;
                    finished.output.push_str(&format!("cgroup {own} is empty and cannot be removed: {error}"));
                }
                Ok(finished)
            }
        }
    }

    /// What is open before the word, for a command that makes nothing.
    pub(super) fn files(self) -> Vec<OwnedFd> {
        match self {
            Self::Files(files) => files,
            Self::Made { .. } | Self::Removed { .. } => Vec::new(),
        }
    }
}

/// Makes the cgroup in each hierarchy. The files of all limits, and then each `cgroup.procs`, in the order of `homes`.
fn make(own: &CgroupPath, homes: &[Home], roots: &[OwnedFd]) -> Result<Vec<OwnedFd>, SettingError> {
    let (mut limits, mut procs) = (Vec::new(), Vec::new());
    for (home, root) in homes.iter().zip(roots) {
        let directory = make_in(own, home, root)?;
        let open = |name: &str| {
            open_beneath(&directory, name, OFlag::O_WRONLY).map_err(|error| failed(format!("{name} of {own}"), error))
        };
        for limit in &home.limits {
            limits.push(open(&limit.file)?);
        }
        procs.push(open("cgroup.procs")?);
    }
    limits.extend(procs);
    Ok(limits)
}

fn make_in(own: &CgroupPath, home: &Home, root: &OwnedFd) -> Result<OwnedFd, SettingError> {
    let what = |error| failed(format!("cgroup {own}"), error);
    let name = last(own);
    for _ in 0..TRIES {
        let above = match directory(root, OWN) {
            Ok(above) => above,
            Err(nix::Error::ENOENT) => continue,
            Err(error) => return Err(what(error)),
        };
        if home.tree == Tree::Unified {
            enable(&above, home)?;
        }
        match mkdirat(&above, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) => return directory(&above, name).map_err(what),
            Err(nix::Error::ENOENT) => {}
            Err(error) => return Err(what(error)),
        }
    }
    Err(what(nix::Error::ENOENT))
}

/// The directory, made if it is not there. Whoever watches may look into it, whatever mask the maker has.
fn directory(above: &OwnedFd, name: &str) -> nix::Result<OwnedFd> {
    match mkdirat(above, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(nix::Error::EEXIST) => {}
        Err(error) => return Err(error),
    }
    let directory = open_beneath(above, name, OFlag::O_DIRECTORY)?;
    fchmod(&directory, Mode::from_bits_truncate(0o755))?;
    Ok(directory)
}

/// Hands down, to the agent's own cgroups and to no others, the controllers that are not yet.
fn enable(above: &OwnedFd, home: &Home) -> Result<(), SettingError> {
    let name = "cgroup.subtree_control";
    let what = || format!("{name} of /{OWN}");
    let enabled = read_in(above, name, &what())?;
    let wanted = home.limits.iter().filter_map(|limit| limit.file.split('.').next());
    let missing: Vec<String> = wanted
        .filter(|wanted| !enabled.split_ascii_whitespace().any(|one| one == *wanted))
        .map(|wanted| format!("+{wanted}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let file = open_beneath(above, name, OFlag::O_WRONLY).map_err(|error| failed(what(), error))?;
    let written = std::fs::File::from(file).write_all(missing.join(" ").as_bytes());
    written.map_err(|error| failed(what(), io_errno(&error)))
}

/// Removes it, and the one above it with the last. Whatever lives in it or below it keeps it.
fn remove(own: &CgroupPath, root: &OwnedFd) -> nix::Result<()> {
    let above = match open_beneath(root, OWN, OFlag::O_DIRECTORY) {
        Ok(above) => above,
        Err(nix::Error::ENOENT) => return Ok(()),
        Err(error) => return Err(error),
    };
    let name = last(own);
    let mut looks = 0;
    loop {
        match unlinkat(&above, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(nix::Error::ENOENT) => break,
            Err(nix::Error::EBUSY) if looks < LOOKS => {
                looks += 1;
                std::thread::sleep(LOOK);
            }
            Err(error) => return Err(error),
        }
    }
    if children(&above)?.is_empty() {
        // Somebody may have made one just now.
        let _ = unlinkat(root.as_fd(), OWN, UnlinkatFlags::RemoveDir);
    }
    Ok(())
}

/// Its name in the one above.
fn last(own: &CgroupPath) -> &str {
    own.as_str().rsplit('/').next().unwrap_or_default()
}
