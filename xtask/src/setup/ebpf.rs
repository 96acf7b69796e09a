//! The compiler for eBPF: a rustup toolchain named `ebpf` that carries the standard library's source, and a
//! bpf-linker that reads what its LLVM writes.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow, bail};

use super::{
    apt, output,
    pick::{self, Candidate, LINKER_LLVMS, Linker, Plan, Rustc, Source},
};
use crate::{place, say};

/// The toolchain that the agent's build script asks for.
const TOOLCHAIN: &str = "ebpf";
const LINKER_VERSION: &str = "0.13.0";
const DEBIAN_RUST: [&str; 3] = ["rustc-web", "rust-web-src", "cargo-web"];
/// The smallest program that goes from the compiler through the linker to an eBPF object.
const PROBE: &str = "#![feature(no_core)]\n#![no_core]\n#![no_main]\n";

/// What is there, in words; or what is missing, found by compiling the smallest program.
pub(super) fn check() -> Result<String, String> {
    let said = output(Command::new("rustup").args(["run", TOOLCHAIN, "rustc", "-vV"]))
        .map_err(|_| format!("rustup has no working toolchain named `{TOOLCHAIN}`"))?;
    let rustc = pick::rustc(&said).ok_or("its rustc does not say its version")?;
    let sysroot = output(Command::new("rustup").args(["run", TOOLCHAIN, "rustc", "--print", "sysroot"]))
        .map_err(|error| error.to_string())?;
    if !has_source(Path::new(&sysroot)) {
        return Err(format!("the toolchain `{TOOLCHAIN}` ({sysroot}) has no source of the standard library"));
    }
    let linker = place::find("bpf-linker").ok_or("there is no bpf-linker")?;
    if let Some(llvm) = linker_llvm(&linker).filter(|llvm| *llvm < rustc.llvm) {
        return Err(format!("bpf-linker has LLVM {llvm}, the compiler LLVM {}", rustc.llvm));
    }
    probe(&linker).map_err(|error| format!("{error:#}"))?;
    let (major, minor) = rustc.release;
    Ok(format!("eBPF by rustc {major}.{minor} with LLVM {}, bpf-linker, C compiler", rustc.llvm))
}

/// Tries the plans that can work, best first, until one does.
pub(super) fn install(log: &Path) -> Result<()> {
    if place::find("rustup").is_none() {
        bail!("rustup is not on the path, and the eBPF build asks it for its toolchain; see https://rustup.rs");
    }
    let plans = plans(log)?;
    let mut failures = Vec::new();
    for plan in &plans {
        match carry_out(plan, log).and_then(|()| check().map_err(|why| anyhow!(why))) {
            Ok(ready) => {
                say::note(&format!("ready: {ready}"));
                return Ok(());
            }
            Err(error) => {
                say::note(&format!("{} did not serve: {error:#}", name_of(&plan.candidate)));
                failures.push(format!("{}: {error:#}", name_of(&plan.candidate)));
            }
        }
    }
    if failures.is_empty() {
        failures.push("neither rustup nor apt offers a compiler and an LLVM that go together".to_owned());
    }
    let log = log.display();
    bail!("no compiler for eBPF could be set up ({}); log in {log}\n{}", failures.join("; "), by_hand())
}

fn carry_out(plan: &Plan, log: &Path) -> Result<()> {
    let Candidate { source, .. } = &plan.candidate;
    let sysroot = match source {
        Source::Installed { sysroot, .. } => sysroot.clone(),
        Source::Component { name, sysroot } => {
            let mut rustup = Command::new("rustup");
            rustup.args(["component", "add", "rust-src", "--toolchain", name]);
            say::logged(&format!("rustup component add rust-src (to {name})"), &mut rustup, log)?;
            if !has_source(sysroot) {
                bail!("rustup says that rust-src is there, and {} does not have it", sysroot.display());
            }
            sysroot.clone()
        }
        Source::Debian => {
            apt::install(&DEBIAN_RUST, log)?;
            PathBuf::from("/usr")
        }
    };
    let mut link = Command::new("rustup");
    link.args(["toolchain", "link", TOOLCHAIN]).arg(&sysroot);
    say::logged(&format!("rustup toolchain link {TOOLCHAIN} {}", sysroot.display()), &mut link, log)?;
    match plan.linker {
        Linker::Present => Ok(()),
        Linker::Build { llvm } => build_linker(llvm, log),
    }
}

fn build_linker(llvm: u32, log: &Path) -> Result<()> {
    let packages = linker_packages(llvm);
    let installed = apt::installed(&packages);
    let missing: Vec<&str> = packages.iter().map(String::as_str).filter(|name| !installed.contains(*name)).collect();
    if !missing.is_empty() {
        apt::install(&missing, log)?;
    }
    let features = format!("llvm-{llvm}");
    let mut cargo = place::cargo(&["install", "bpf-linker", "--locked", "--force", "--version", LINKER_VERSION]);
    cargo.args(["--no-default-features", "--features", &features]);
    cargo.env("LLVM_PREFIX", prefix(llvm)).env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET");
    // The workspace's own cargo settings are not the linker's.
    cargo.env_remove("RUSTFLAGS").current_dir("/");
    say::logged(&format!("build bpf-linker {LINKER_VERSION} with LLVM {llvm}"), &mut cargo, log)
}

/// Asks rustup and apt what there is.
fn plans(log: &Path) -> Result<Vec<Plan>> {
    let mut candidates = rustup_candidates();
    apt::refresh(log);
    let mut names: Vec<String> = DEBIAN_RUST.map(str::to_owned).to_vec();
    names.extend(LINKER_LLVMS.map(|llvm| format!("llvm-{llvm}-dev")));
    let packages = apt::candidates(&names);
    if DEBIAN_RUST.iter().all(|package| packages.contains_key(*package)) {
        let release = packages.get("rustc-web").and_then(|version| pick::release(version));
        if let (Some(release), Some(llvm)) = (release, apt::llvm_of("rustc-web")) {
            candidates.push(Candidate { source: Source::Debian, rustc: Rustc { release, llvm } });
        }
    }
    let llvms: Vec<u32> = LINKER_LLVMS
        .filter(|llvm| {
            prefix(*llvm).join("bin/llvm-config").exists() || packages.contains_key(&format!("llvm-{llvm}-dev"))
        })
        .collect();
    let linker = place::find("bpf-linker").filter(|linker| output(Command::new(linker).arg("--version")).is_ok());
    let linker_llvm = linker.as_deref().map(|linker| linker_llvm(linker).unwrap_or(*LINKER_LLVMS.end()));
    Ok(pick::plans(&candidates, least_release()?, linker_llvm, &llvms))
}

/// rustup's toolchains: those with the source first, then those that could be given it.
fn rustup_candidates() -> Vec<Candidate> {
    let listed = output(Command::new("rustup").args(["toolchain", "list", "-v"])).unwrap_or_default();
    // One directory may have several names; the link that is made below is a name, and no toolchain to add to.
    let mut known = HashSet::new();
    let mut candidates: Vec<Candidate> = listed
        .lines()
        .filter_map(|line| {
            let name = line.split_whitespace().next().filter(|name| *name != TOOLCHAIN)?.to_owned();
            let sysroot = fs::canonicalize(line.split_whitespace().last()?).ok()?;
            if !known.insert(sysroot.clone()) {
                return None;
            }
            let rustc = pick::rustc(&output(Command::new(sysroot.join("bin/rustc")).arg("-vV")).ok()?)?;
            let managed = sysroot.join("lib/rustlib/multirust-channel-manifest.toml").exists();
            let source = match (has_source(&sysroot), managed) {
                (true, _) => Source::Installed { name, sysroot },
                (false, true) => Source::Component { name, sysroot },
                (false, false) => return None,
            };
            Some(Candidate { source, rustc })
        })
        .collect();
    candidates.sort_by_key(|candidate| matches!(candidate.source, Source::Component { .. }));
    candidates
}

/// Compiles the smallest program, through to its eBPF object.
fn probe(linker: &Path) -> Result<()> {
    let directory = place::target()?.join("setup-probe");
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let source = directory.join("probe.rs");
    fs::write(&source, PROBE).with_context(|| format!("{} cannot be written", source.display()))?;
    output(
        Command::new("rustup")
            .args(["run", TOOLCHAIN, "rustc", "--crate-type", "bin", "--target", "bpfel-unknown-none", "-C"])
            .arg(format!("linker={}", linker.display()))
            .arg("-o")
            .arg(directory.join("probe.o"))
            .arg(&source)
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("RUSTFLAGS"),
    )?;
    Ok(())
}

/// The workspace's `rust-version`.
pub(super) fn least_release() -> Result<(u32, u32)> {
    let manifest = place::workspace().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("{} cannot be read", manifest.display()))?;
    let table: toml::Table = text.parse().with_context(|| format!("{} is no TOML", manifest.display()))?;
    let version = table.get("workspace").and_then(|table| table.get("package")?.get("rust-version")?.as_str());
    version
        .and_then(pick::release)
        .with_context(|| format!("{} has no workspace.package.rust-version such as \"1.95\"", manifest.display()))
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
}

fn linker_llvm(linker: &Path) -> Option<u32> {
    pick::linked_llvm(&output(Command::new("ldd").arg(linker)).ok()?)
}

fn prefix(llvm: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{llvm}"))
}

fn linker_packages(llvm: u32) -> Vec<String> {
    let fixed = ["zlib1g-dev", "libzstd-dev", "libxml2-dev"].map(str::to_owned);
    [format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")].into_iter().chain(fixed).collect()
}

fn name_of(candidate: &Candidate) -> String {
    match &candidate.source {
        Source::Installed { name, .. } => format!("the toolchain {name}"),
        Source::Component { name, .. } => format!("{name} with rust-src"),
        Source::Debian => "Debian's rustc-web".to_owned(),
    }
}

fn by_hand() -> String {
    format!(
        "by hand, as root, one of\n  \
         rustup component add rust-src && rustup toolchain link {TOOLCHAIN} $(rustc --print sysroot)\n  \
         apt-get install {} && rustup toolchain link {TOOLCHAIN} /usr\nthen, with N the LLVM of `rustup run {TOOLCHAIN} rustc -vV`,\n  \
         apt-get install llvm-N-dev libpolly-N-dev zlib1g-dev libzstd-dev libxml2-dev\n  \
         LLVM_PREFIX=/usr/lib/llvm-N cargo install bpf-linker --locked --version {LINKER_VERSION} --no-default-features --features llvm-N",
        DEBIAN_RUST.join(" ")
    )
}
