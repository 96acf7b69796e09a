//! Compiles `agent-ebpf` for the kernel and leaves the object in `OUT_DIR`, where `observe::kernel` embeds it.

use std::{
    env,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use aya_build::{Package, Toolchain};

/// A toolchain of any channel that has the source of `core`; made by `cargo xtask setup`.
const LINKED: &str = "ebpf";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the eBPF programs cannot be built: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> anyhow::Result<()> {
    if !runs(Command::new("bpf-linker").arg("--version")) {
        bail!("bpf-linker is not installed: run `cargo xtask setup`");
    }
    let is_linked = runs(Command::new("rustup").args(["run", LINKED, "cargo", "--version"]));
    if !is_linked && !nightly_has_core() {
        bail!("no toolchain has the source of `core` for the kernel's target: run `cargo xtask setup`");
    }
    #[expect(unsafe_code, reason = "set_var is unsafe where threads are; a build script has one")]
    // SAFETY: nothing else runs in this process yet.
    unsafe {
        // aya passes each line of the inner build on as a warning, progress too.
        env::set_var("CARGO_TERM_QUIET", "true");
        if is_linked {
            // aya asks for unstable features, which a toolchain of the stable channel grants only like this.
            env::set_var("RUSTC_BOOTSTRAP", "1");
        }
    }
    let toolchain = if is_linked { Toolchain::Custom(LINKED) } else { Toolchain::Nightly };
    let agent = env::var("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?;
    let programs = Path::new(&agent).with_file_name("agent-ebpf");
    let root_dir = programs.to_str().context("the path of the repository is not UTF-8")?;
    aya_build::build_ebpf([Package { name: "agent-ebpf", root_dir, ..Package::default() }], toolchain)
        .context("a newer toolchain may help: run `cargo xtask setup`")
}

fn nightly_has_core() -> bool {
    let sysroot = Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]).output();
    sysroot.is_ok_and(|output| {
        output.status.success()
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("lib/rustlib/src/rust/library").is_dir()
    })
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
