//! Debian's packages: what there is, and installing it.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    process::Command,
    sync::Once,
};

use anyhow::{Result, bail};

use super::pick;
use crate::{place, say};

/// Brings the package lists up to date, once a run. Without root, or offline, the old lists serve.
pub(super) fn refresh(log: &Path) {
    static REFRESHED: Once = Once::new();
    REFRESHED.call_once(|| {
        if usable().is_ok() {
            let mut update = apt_get();
            update.arg("update");
            if say::logged("apt-get update", &mut update, log).is_err() {
                say::note("the package lists could not be brought up to date; going on with those that are here");
            }
        }
    });
}

/// The version that would be installed, of each package that there is.
pub(super) fn candidates(packages: &[String]) -> HashMap<String, String> {
    let asked = Command::new("apt-cache").arg("policy").args(packages).env("LC_ALL", "C").output();
    asked.map_or_else(
        |_| HashMap::new(),
        |said| pick::apt_candidates(&String::from_utf8_lossy(&said.stdout)).into_iter().collect(),
    )
}

/// The LLVM that a package is linked with: its library may be that of a package between.
pub(super) fn llvm_of(package: &str) -> Option<u32> {
    let asked = Command::new("apt-cache")
        .args(["depends", "--recurse", "--important", package])
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    pick::llvm_dependency(&String::from_utf8_lossy(&asked.stdout))
}

/// Those of the packages that are installed.
pub(super) fn installed(packages: &[String]) -> HashSet<String> {
    let asked = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Abbrev} ${Package}\n"])
        .args(packages)
        .output();
    let said = asked.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    said.lines().filter_map(|line| line.strip_prefix("ii ")).map(|name| name.trim().to_owned()).collect()
}

/// Installs packages, or says the line to type.
pub(super) fn install(packages: &[&str], log: &Path) -> Result<()> {
    if let Err(why) = usable() {
        bail!("{why}; install by hand: apt-get install {}", packages.join(" "));
    }
    refresh(log);
    let mut install = apt_get();
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    say::logged(&format!("apt-get install {}", packages.join(" ")), &mut install, log)
}

fn usable() -> Result<(), &'static str> {
    match (place::find("apt-get"), nix::unistd::geteuid().is_root()) {
        (None, _) => Err("this machine has no apt-get"),
        (_, false) => Err("packages are installed by root only"),
        _ => Ok(()),
    }
}

fn apt_get() -> Command {
    let mut apt = Command::new("apt-get");
    // Another package run is waited for; questions take their defaults.
    apt.args(["-o", "DPkg::Lock::Timeout=300"]).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    apt
}
