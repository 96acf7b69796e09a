//! The kernel of a guest: out of a package that is downloaded and unpacked, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::must;
use crate::{place, setup};

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// As `uname -r` tells.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// What `/lib/modules` of a machine with it has.
    pub(super) modules: PathBuf,
}

/// The newest kernel of a series that the package lists know.
pub(super) fn fetch(series: &str, log: &Path) -> Result<Kernel> {
    let vm = place::target()?.join("vm");
    let image_of = |release: &str| vm.join(release).join(format!("boot/vmlinuz-{release}"));
    let mut release = newest(series);
    if !release.as_ref().is_ok_and(|release| image_of(release).exists()) {
        // What old lists name may be gone from the mirror.
        setup::refresh(log);
        release = newest(series);
    }
    let release = release?;
    let (dir, image) = (vm.join(&release), image_of(&release));
    if !image.exists() {
        fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let package = format!("linux-image-{release}");
        // As another user than root apt would not get into the directory.
        let mut download = Command::new("apt-get");
        download.args(["-o", "APT::Sandbox::User=root", "download", &package]).current_dir(&dir);
        must(&mut download, log)?;
        let archive = fs::read_dir(&dir)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|end| end == "deb"))
            .with_context(|| format!("apt-get download {package} left no archive"))?;
        must(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&dir), log)?;
        fs::remove_file(&archive)?;
    }
    if image.exists() {
        Ok(Kernel { modules: dir.join("lib/modules").join(&release), release, image })
    } else {
        bail!("the package of {release} has no {}", image.display())
    }
}

fn newest(series: &str) -> Result<String> {
    let asked = Command::new("apt-cache").args(["pkgnames", &format!("linux-image-{series}.")]).output();
    let said = asked.context("apt-cache cannot be started; guests are made of Debian's packages")?;
    let said = String::from_utf8_lossy(&said.stdout);
    pick(series, said.lines()).with_context(|| {
        format!(
            "no package linux-image-{series}.*-cloud-amd64 is known here; `apt-get update`, on Debian 12, knows some"
        )
    })
}

/// The release with the highest numbers among the names of packages.
fn pick<'a>(series: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let numbers = |release: &str| -> Vec<u32> {
        release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    };
    names
        .filter_map(|name| name.strip_prefix("linux-image-"))
        .filter(|release| release.ends_with("-cloud-amd64") && release.starts_with(&format!("{series}.")))
        .max_by_key(|release| numbers(release))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[test]
    fn the_newest_of_a_series_is_picked_by_its_numbers() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-47-cloud-amd64-dbg",
            "linux-image-6.1.0-47-cloud-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.12.9+deb12-cloud-amd64",
            "linux-image-6.12.113+deb12-cloud-amd64",
            "linux-image-6.12-cloud-amd64",
        ];
        assert_eq!(pick("6.1", names.into_iter()).as_deref(), Some("6.1.0-47-cloud-amd64"));
        assert_eq!(pick("6.12", names.into_iter()).as_deref(), Some("6.12.113+deb12-cloud-amd64"));
        assert_eq!(pick("5.10", names.into_iter()), None);
    }
}
