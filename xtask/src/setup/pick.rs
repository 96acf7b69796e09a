//! Which compiler and which linker: picked by value from what this machine has and what it can get.

use std::path::PathBuf;

/// LLVM majors that the pinned bpf-linker can be built with.
pub(super) const LINKER_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rustc {
    /// Major and minor.
    pub(super) release: (u32, u32),
    /// Major of the LLVM it was built with; the linker must read what that writes.
    pub(super) llvm: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A toolchain on this machine that carries the standard library's source.
    Installed { name: String, sysroot: PathBuf },
    /// A rustup toolchain that lacks only the source.
    Component { name: String, sysroot: PathBuf },
    /// Debian's packages.
    Debian,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) source: Source,
    pub(super) rustc: Rustc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linker {
    /// The one on this machine reads what the compiler writes.
    Present,
    /// To be built with this LLVM.
    Build { llvm: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) candidate: Candidate,
    pub(super) linker: Linker,
}

/// The plans that can work, best first: what is here before what must be fetched, in the order of `candidates`.
///
/// A linker serves a compiler of the same LLVM or an older one: LLVM reads what earlier majors wrote, never later ones.
pub(super) fn plans(candidates: &[Candidate], least: (u32, u32), linker: Option<u32>, llvms: &[u32]) -> Vec<Plan> {
    let linker_for = |rustc: Rustc| {
        if linker.is_some_and(|llvm| llvm >= rustc.llvm) {
            return Some(Linker::Present);
        }
        let fitting = llvms.iter().copied().filter(|llvm| LINKER_LLVMS.contains(llvm) && *llvm >= rustc.llvm);
        fitting.min().map(|llvm| Linker::Build { llvm })
    };
    candidates
        .iter()
        .filter(|candidate| candidate.rustc.release >= least)
        .filter_map(|candidate| Some(Plan { candidate: candidate.clone(), linker: linker_for(candidate.rustc)? }))
        .collect()
}

/// From `rustc -vV`.
pub(super) fn rustc(verbose_version: &str) -> Option<Rustc> {
    let field = |name: &str| verbose_version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some(Rustc { release: release(field("release:")?)?, llvm: leading_number(field("LLVM version:")?)? })
}

/// `1.96.0+dfsg1-1~deb12u2` is (1, 96).
pub(super) fn release(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.split_once('.')?;
    Some((major.parse().ok()?, leading_number(rest)?))
}

/// The release of the compiler that a clippy belongs to: its `0.1.95` is (1, 95).
pub(super) fn clippy_release(version: &str) -> Option<(u32, u32)> {
    release(version.strip_prefix("0.")?)
}

/// The candidate version of each package in the output of `apt-cache policy`.
pub(super) fn apt_candidates(policy: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut package = None;
    for line in policy.lines() {
        if !line.starts_with(' ') {
            package = line.strip_suffix(':').map(str::to_owned);
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ").filter(|version| *version != "(none)") {
            found.extend(package.take().map(|package| (package, version.to_owned())));
        }
    }
    found
}

/// The LLVM major that a Debian package depends on, from `apt-cache depends`.
pub(super) fn llvm_dependency(depends: &str) -> Option<u32> {
    depends.lines().find_map(|line| leading_number(line.trim().strip_prefix("Depends: libllvm")?))
}

/// The LLVM major that a program is linked with, from `ldd`; none when it carries its LLVM within.
pub(super) fn linked_llvm(ldd: &str) -> Option<u32> {
    ldd.lines().find_map(|line| {
        let name = line.trim().strip_prefix("libLLVM")?;
        leading_number(name.trim_start_matches(|c: char| !c.is_ascii_digit()))
    })
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linter_says_which_compiler_it_belongs_to() {
        assert_eq!(clippy_release("0.1.95"), Some((1, 95)));
        assert_eq!(clippy_release("1.95"), None);
    }

    const LEAST: (u32, u32) = (1, 95);

    fn installed(name: &str, minor: u32, llvm: u32) -> Candidate {
        let source = Source::Installed { name: name.into(), sysroot: "/t".into() };
        Candidate { source, rustc: Rustc { release: (1, minor), llvm } }
    }

    fn debian(minor: u32, llvm: u32) -> Candidate {
        Candidate { source: Source::Debian, rustc: Rustc { release: (1, minor), llvm } }
    }

    #[test]
    fn a_linker_that_reads_the_compiler_is_kept() {
        let plans = plans(&[installed("nightly", 97, 22)], LEAST, Some(22), &[21, 22]);
        assert_eq!(plans[0].linker, Linker::Present);
    }

    #[test]
    fn a_linker_of_an_older_llvm_is_built_anew_with_the_compilers_own() {
        let plans = plans(&[installed("nightly", 97, 22)], LEAST, Some(21), &[23, 22, 21]);
        assert_eq!(plans[0].linker, Linker::Build { llvm: 22 });
    }

    #[test]
    fn a_compiler_whose_llvm_no_linker_can_be_built_for_gives_way_to_the_next() {
        let plans = plans(&[installed("stable", 98, 24), debian(96, 22)], LEAST, None, &[22]);
        assert_eq!(plans.iter().map(|plan| &plan.candidate.source).collect::<Vec<_>>(), [&Source::Debian]);
    }

    #[test]
    fn a_compiler_that_is_too_old_is_no_candidate() {
        assert_eq!(plans(&[debian(85, 19)], LEAST, Some(22), &[22]), []);
    }

    #[test]
    fn what_is_here_comes_before_what_must_be_fetched() {
        let plans = plans(&[installed("nightly", 97, 22), debian(96, 22)], LEAST, Some(22), &[]);
        assert_eq!(plans.len(), 2);
        assert_eq!(plans[0].candidate, installed("nightly", 97, 22));
    }

    #[test]
    fn rustc_says_its_release_and_its_llvm() {
        let said = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(rustc(said), Some(Rustc { release: (1, 97), llvm: 22 }));
        assert_eq!(rustc("rustc 1.97.0"), None);
    }

    #[test]
    fn apt_says_its_candidates() {
        let said = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n     1.96.0 500\nllvm-24-dev:\n  Installed: (none)\n  Candidate: (none)\n";
        assert_eq!(apt_candidates(said), [("rustc-web".to_owned(), "1.96.0+dfsg1-1~deb12u2".to_owned())]);
        assert_eq!(release("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
    }

    #[test]
    fn a_debian_rustc_tells_its_llvm_by_its_dependency() {
        assert_eq!(llvm_dependency("rustc-web\n  Depends: libc6\n  Depends: libllvm22\n"), Some(22));
        assert_eq!(llvm_dependency("rustc-web\n  Depends: libc6\n"), None);
    }

    #[test]
    fn a_linker_tells_its_llvm_by_its_library() {
        assert_eq!(linked_llvm("\tlibLLVM.so.22.1 => /usr/lib/x (0x0)\n"), Some(22));
        assert_eq!(linked_llvm("\tlibLLVM-21.so.1 => /usr/lib/x (0x0)\n"), Some(21));
        assert_eq!(linked_llvm("\tlibc.so.6 => /usr/lib/x (0x0)\n"), None);
    }
}
