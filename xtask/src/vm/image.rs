//! What guests boot from: an initramfs of busybox, or a disk with Debian and its systemd on it; the programs to be tested
//! are at the paths that they have here.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{kernel::Kernel, must};
use crate::place;

const BUSYBOX: &str = "/bin/busybox";
/// What the small guest's first process is: it mounts, runs the tests, and turns the machine off.
const INIT: &str = include_str!("init.sh");
/// Runs the tests that the kernel's command line names, and says how they ended.
const RUN: &str = include_str!("run.sh");
/// Runs faults on the guest's first disk, and leaves what was seen on the second.
const FAULTS: &str = include_str!("faults.sh");
/// Users that are known by name on every machine.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// The release whose packages the system is made of.
const DEBIAN: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
/// Size of the system's disk.
const DISK: &str = "1200M";
/// Runs the tests once the system is up, on the serial line, and turns the machine off.
const SERVICE: &str = include_str!("guest.service");

/// Where a clone of this repository is, built, for the README's lines to install from.
const CLONE: &str = "usr/src/kernelsight";

/// The directory of a Debian with systemd, made now if it is not there.
pub(super) fn debian(log: &Path) -> Result<PathBuf> {
    let root = place::target()?.join("vm").join(DEBIAN);
    if !root.join("etc/debian_version").exists() {
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        // It mounts /proc below the root. Where it is ended in the middle, that must not stay for an `rm -r` to walk into.
        let mut debootstrap = Command::new("unshare");
        debootstrap.args(["--mount", "debootstrap", "--variant=minbase"]);
        let packages = "--include=systemd-sysv,dbus,procps,kmod,iproute2";
        must(debootstrap.args([packages, DEBIAN]).arg(&root).arg(MIRROR), log)?;
    }
    Ok(root)
}

/// The disk of a Debian with systemd, the tests, and a clone that the agent is installed from.
pub(super) fn system(kernel: &Kernel, tests: &Path, agent: &Path, log: &Path) -> Result<PathBuf> {
    let dir = place::target()?.join("vm");
    let root = debian(log)?;
    install(&[tests, agent], &root, log)?;
    let clone = root.join(CLONE);
    if clone.exists() {
        fs::remove_dir_all(&clone)?;
    }
    fs::create_dir_all(clone.join("target/release"))?;
    let agent = root.join(agent.strip_prefix("/").unwrap_or(agent));
    fs::copy(agent, clone.join("target/release/kernelsight"))?;
    must(Command::new("cp").arg("-r").arg(place::workspace().join("systemd")).arg(&clone), log)?;
    let units = root.join("etc/systemd/system");
    // Anew, so that no other kernel's stay.
    let modules = root.join("usr/lib/modules");
    let _ = fs::remove_dir_all(&modules);
    fs::create_dir_all(&modules)?;
    must(Command::new("cp").arg("-r").arg(&kernel.modules).arg(&modules), log)?;
    must(Command::new("chroot").arg(&root).arg("depmod").arg(&kernel.release), log)?;
    fs::write(units.join("kernelsight-guest.service"), SERVICE)?;
    fs::write(root.join("guest.sh"), tests_script(tests))?;
    // The programs may be in there, and systemd would empty it.
    fs::write(root.join("etc/tmpfiles.d/tmp.conf"), "")?;
    let image = dir.join(format!("{}-system.img", kernel.release));
    let _ = fs::remove_file(&image);
    must(Command::new("systemctl").arg("--root").arg(&root).args(["--quiet", "enable", "kernelsight-guest"]), log)?;
    must(Command::new("systemctl").arg("--root").arg(&root).args(["--quiet", "mask", "serial-getty@ttyS0"]), log)?;
    must(Command::new("mkfs.ext4").args(["-q", "-d"]).arg(&root).arg(&image).arg(DISK), log)?;
    Ok(image)
}

/// What the small guest has beside busybox.
#[derive(Debug)]
pub(super) struct Small<'a> {
    /// Of which nobody else makes one at the same time.
    pub(super) name: &'a str,
    pub(super) programs: &'a [&'a Path],
    /// Directories of data.
    pub(super) data: &'a [PathBuf],
    /// Modules of its kernel, those that others need first, by their paths below `kernel` in its directory of modules.
    pub(super) modules: &'a [&'a str],
    /// What it does, as a script.
    pub(super) script: String,
}

/// The script that runs tests.
pub(super) fn tests_script(tests: &Path) -> String {
    RUN.replace("@TESTS@", &tests.display().to_string())
}

/// The script that runs faults by `xtask` with these arguments.
pub(super) fn faults_script(xtask: &Path, evidence: &Path, arguments: &str) -> String {
    FAULTS
        .replace("@XTASK@", &xtask.display().to_string())
        .replace("@EVIDENCE@", &evidence.display().to_string())
        .replace("@ARGUMENTS@", arguments)
}

/// A filesystem for faults, all of it made here: nothing is left for the guest to do in the background.
pub(super) fn filesystem(path: PathBuf, mb: u64, log: &Path) -> Result<PathBuf> {
    let path = super::guest::empty_disk(path, mb << 20)?;
    must(Command::new("mkfs.ext4").args(["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(&path), log)?;
    Ok(path)
}

/// Makes the initramfs of a small guest.
pub(super) fn initramfs(small: &Small, kernel: &Kernel, log: &Path) -> Result<PathBuf> {
    let dir = place::target()?.join("vm").join(small.name);
    let root = dir.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for directory in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"] {
        fs::create_dir_all(root.join(directory))?;
    }
    put(Path::new(BUSYBOX), &root)?;
    symlink("busybox", root.join("bin/sh"))?;
    let init = root.join("init");
    fs::write(&init, INIT.replace("@RUN@", &small.script))?;
    must(Command::new("chmod").arg("755").arg(&init), log)?;
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), GROUP)?;
    install(small.programs, &root, log)?;
    let libraries = small.programs.iter().map(|program| wanted(program)).collect::<Result<Vec<_>>>()?;
    for library in libraries.into_iter().flatten().collect::<BTreeSet<PathBuf>>() {
        put(&library, &root)?;
    }
    for directory in small.data {
        for entry in fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))? {
            put(&entry?.path(), &root)?;
        }
    }
    let modules = root.join("modules");
    fs::create_dir_all(&modules)?;
    for (place, module) in small.modules.iter().enumerate() {
        let file = kernel.modules.join("kernel").join(module);
        fs::copy(&file, modules.join(format!("{place}.ko.xz")))
            .with_context(|| format!("{} cannot be put into the guest", file.display()))?;
    }
    pack(&root, &dir.join("initramfs"))
}

/// The programs at the paths that they have here, and the directory that cargo gives tests.
fn install(programs: &[&Path], root: &Path, log: &Path) -> Result<()> {
    // Those of earlier builds would fill the guest in time.
    let target = place::target()?;
    let below = root.join(target.strip_prefix("/").unwrap_or(&target));
    if below != root && below.exists() {
        fs::remove_dir_all(&below)?;
    }
    for program in programs {
        let target = put(program, root)?;
        // Its lines of debugging are most of it, and a guest has little memory.
        must(Command::new("strip").args(["--strip-debug"]).arg(&target), log)?;
    }
    fs::create_dir_all(below.join("tmp"))?;
    Ok(())
}

/// Copies a file to the same path below `root`.
fn put(file: &Path, root: &Path) -> Result<PathBuf> {
    let target = root.join(file.strip_prefix("/").unwrap_or(file));
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(file, &target).with_context(|| format!("{} cannot be put into the guest", file.display()))?;
    Ok(target)
}

/// The libraries and the loader of a program, by `ldd`.
fn wanted(program: &Path) -> Result<Vec<PathBuf>> {
    let said = Command::new("ldd").arg(program).output().context("ldd cannot be started")?;
    if !said.status.success() {
        bail!("ldd cannot tell the libraries of {}", program.display());
    }
    let paths = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(String::from_utf8_lossy(&said.stdout).lines().filter_map(paths).collect())
}

fn pack(root: &Path, image: &Path) -> Result<PathBuf> {
    let file = File::create(image).with_context(|| format!("{} cannot be written", image.display()))?;
    let mut find = Command::new("find").arg(".").current_dir(root).stdout(Stdio::piped()).spawn()?;
    let names = find.stdout.take().context("find has no output")?;
    let packed = Command::new("cpio")
        .args(["--create", "--format=newc", "--quiet"])
        .current_dir(root)
        .stdin(names)
        .stdout(file)
        .status()
        .context("cpio cannot be started")?;
    if !find.wait()?.success() || !packed.success() {
        bail!("{} could not be packed", image.display());
    }
    Ok(image.to_owned())
}
