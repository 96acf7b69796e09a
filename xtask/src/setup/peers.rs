//! Programs that the agent is compared with, from Debian's packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{apt, log};
use crate::{place, say};

/// Packages whose installation starts a daemon that ends processes: only unpacked, and only for bench.
const UNPACKED: [&str; 1] = ["earlyoom"];

/// That program, which its package is named after; the error is why it cannot be had.
pub(crate) fn peer(name: &str) -> Result<PathBuf> {
    let unpacked = place::target()?.join("peers").join(name);
    if let Some(program) = place::find(name).or_else(|| program_in(&unpacked, name)) {
        return Ok(program);
    }
    let log = log()?;
    let got = if UNPACKED.contains(&name) { unpack(name, &unpacked, &log) } else { apt::install(&[name], &log) };
    got.with_context(|| format!("{name} cannot be had"))?;
    place::find(name)
        .or_else(|| program_in(&unpacked, name))
        .with_context(|| format!("the package {name} has no program of that name"))
}

/// Fetches the package and unpacks it there; nothing of it is configured or started.
fn unpack(name: &str, directory: &Path, log: &Path) -> Result<()> {
    if place::find("apt-get").is_none() || place::find("dpkg").is_none() {
        bail!("this machine has no apt-get and dpkg");
    }
    apt::refresh(log);
    // What an earlier try left may be half of it.
    _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let mut download = Command::new("apt-get");
    download.args(["download", name]).current_dir(directory).env("LC_ALL", "C");
    say::logged(&format!("apt-get download {name}"), &mut download, log)?;
    let package = fs::read_dir(directory)?.flatten().map(|entry| entry.path()).find(|path| is_package(path));
    let package = package.with_context(|| format!("apt-get left no package in {}", directory.display()))?;
    let mut extract = Command::new("dpkg");
    extract.arg("--extract").arg(&package).arg(directory);
    say::logged(&format!("unpack {name}"), &mut extract, log)
}

fn is_package(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "deb")
}

fn program_in(directory: &Path, name: &str) -> Option<PathBuf> {
    ["usr/bin", "usr/sbin", "bin"].map(|below| directory.join(below).join(name)).into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_only_unpacked_is_found() {
        let directory = std::env::temp_dir().join(format!("kernelsight-peer-{}", std::process::id()));
        fs::create_dir_all(directory.join("usr/bin")).expect("a directory");
        assert_eq!(program_in(&directory, "earlyoom"), None);
        fs::write(directory.join("usr/bin/earlyoom"), "").expect("a file");
        let found = program_in(&directory, "earlyoom");
        fs::remove_dir_all(&directory).expect("removed");
        assert_eq!(found, Some(directory.join("usr/bin/earlyoom")));
    }
}
