//! The client of another make that `kernelsight mcp` is tested with: Python's SDK of MCP, in an environment of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::apt;
use crate::{place, say};

/// In the environment: what was installed, written when all of it was. The tests look for it, too.
const INSTALLED: &str = "installed.txt";

/// Whether it is there, as it is wanted now.
pub(super) fn is_there() -> bool {
    let (Ok(environment), Ok(wanted)) = (environment(), fs::read(wanted())) else { return false };
    // An interpreter that was replaced by another version finds nothing of what the one before had.
    let finds = "import importlib.util as util; raise SystemExit(util.find_spec('mcp') is None)";
    fs::read(environment.join(INSTALLED)).is_ok_and(|installed| installed == wanted)
        && succeeds(Command::new(python(&environment)).args(["-c", finds]))
}

/// Makes the environment anew.
pub(super) fn install(log: &Path) -> Result<()> {
    if !succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        apt::install(&["python3", "python3-venv"], log)?;
    }
    let environment = environment()?;
    // What an earlier try left may be half of it.
    _ = fs::remove_dir_all(&environment);
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&environment);
    say::logged("python3 -m venv", &mut make, log)?;
    let mut pip = Command::new(python(&environment));
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--retries", "2"])
        .args(["--only-binary", ":all:", "--require-hashes", "--requirement"])
        .arg(wanted());
    say::logged("pip install mcp", &mut pip, log)?;
    let installed = environment.join(INSTALLED);
    fs::copy(wanted(), &installed).with_context(|| format!("{} cannot be written", installed.display()))?;
    Ok(())
}

/// Where `tests/mcp_foreign.rs` looks for it.
fn environment() -> Result<PathBuf> {
    Ok(place::target()?.join("mcp-client"))
}

fn python(environment: &Path) -> PathBuf {
    environment.join("bin/python3")
}

/// Each package with its version and the hashes of its files.
fn wanted() -> PathBuf {
    place::workspace().join("tests/data/mcp_client.txt")
}

fn succeeds(command: &mut Command) -> bool {
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}
