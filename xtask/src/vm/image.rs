//! The guest's whole disk: an initramfs of busybox, the programs to be tested at the paths that they have here, and the
//! libraries that these want.

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
/// What the guest's first process is: it mounts, runs what the kernel's command line names, says how that ended, and
/// turns the machine off.
const INIT: &str = include_str!("init.sh");
/// Users that are known by name on every machine.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// Makes the initramfs, and answers where it is.
pub(super) fn build(kernel: &Kernel, tests: &Path, agent: &Path, log: &Path) -> Result<PathBuf> {
    let dir = place::target()?.join("vm").join(&kernel.release);
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
    fs::write(&init, INIT.replace("@TESTS@", &tests.display().to_string()))?;
    must(Command::new("chmod").arg("755").arg(&init), log)?;
    fs::write(root.join("etc/passwd"), PASSWD)?;
    fs::write(root.join("etc/group"), GROUP)?;
    let mut libraries = BTreeSet::new();
    for program in [tests, agent] {
        libraries.extend(wanted(program)?);
        let target = put(program, &root)?;
        // Its lines of debugging are most of it, and a guest has little memory.
        must(Command::new("strip").args(["--strip-debug"]).arg(&target), log)?;
    }
    for library in libraries {
        put(&library, &root)?;
    }
    pack(&root, &dir.join("initramfs"))
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
