//! Where things are: the workspace, its target directory, the agent, and cargo with its tools on the path.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use nix::unistd::mkdtemp;

/// The workspace's root, wherever the checkout was moved since this binary was built.
pub(crate) fn workspace() -> PathBuf {
    let xtask =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map(Path::to_owned).unwrap_or(xtask)
}

/// The target directory: this binary lies in `TARGET/release`.
pub(crate) fn target() -> Result<PathBuf> {
    let this = env::current_exe().context("the path of this binary is unknown")?;
    Ok(this.ancestors().nth(2).map_or_else(|| workspace().join("target"), Path::to_owned))
}

/// The agent as `cargo build --release` leaves it.
pub(crate) fn agent() -> Result<PathBuf> {
    Ok(target()?.join("release/kernelsight"))
}

/// The cargo that runs this binary, in the workspace, with the directory of installed tools on its path.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(workspace()).env("PATH", path_with_tools());
    // Set by `cargo run` for this binary alone; a build script below would take them for its own.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_BIN_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Where `cargo install` puts binaries.
pub(crate) fn tools() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    Some(env::var_os("CARGO_INSTALL_ROOT").map(PathBuf::from).unwrap_or(home).join("bin"))
}

/// `PATH` with the directory of installed tools last, so that it adds and never hides.
pub(crate) fn path_with_tools() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).chain(tools())).unwrap_or(path)
}

/// The first executable of that name on the path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    env::split_paths(&path_with_tools())
        .map(|directory| directory.join(program))
        .find(|file| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0))
}

/// A directory for temporary files, gone with this.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let template = env::temp_dir().join("kernelsight-XXXXXX");
        mkdtemp(&template).map(Self).with_context(|| format!("{} cannot be made", template.display()))
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it is among temporary files.
        _ = fs::remove_dir_all(&self.0);
    }
}
