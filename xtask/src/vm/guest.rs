//! A guest's run: QEMU without KVM, what it says on its serial line, and its end.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{Ran, kernel::Kernel};
use crate::say::Step;

/// Size of the guest's empty disk, bytes; no more of it is taken than is written.
const DISK_BYTES: u64 = 256 << 20;
/// Memory of the guest, MiB.
const MEMORY_MIB: u32 = 1536;

/// What a guest boots from.
#[derive(Debug)]
pub(super) enum Image {
    /// All of it in memory, beside an empty disk.
    Initramfs(PathBuf),
    /// A disk with a whole system on it, which is left as it is.
    Disk(PathBuf),
}

impl Image {
    fn path(&self) -> &Path {
        match self {
            Self::Initramfs(path) | Self::Disk(path) => path,
        }
    }
}

/// Boots, waits until the guest turns itself off, and answers what it said.
pub(super) fn boot(
    mut step: Step,
    kernel: &Kernel,
    image: &Image,
    filter: &str,
    timeout: Duration,
) -> Result<(Step, Ran)> {
    let serial = image.path().with_extension("log");
    let output = File::create(&serial).with_context(|| format!("{} cannot be written", serial.display()))?;
    // `quiet` keeps the kernel's own lines from between the tests'; cgroup v1 is what this machine has.
    let mut line = format!("console=ttyS0 quiet panic=-1 cgroup_no_v1=all psi=1 filter={filter}");
    let disk = match image {
        Image::Initramfs(path) => {
            let disk = path.with_file_name("disk");
            let made = File::create(&disk).and_then(|file| file.set_len(DISK_BYTES));
            made.with_context(|| format!("{} cannot be written", disk.display()))?;
            disk
        }
        Image::Disk(path) => {
            line.push_str(" root=/dev/nvme0n1 rw");
            path.clone()
        }
    };
    let mut guest = Command::new("qemu-system-x86_64")
        // One CPU: toggling probes on several can crash a guest under emulation.
        .args(["-accel", "tcg", "-smp", "1", "-M", "q35", "-cpu", "max,la57=off"])
        .args(["-m", &MEMORY_MIB.to_string(), "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot"])
        .arg("-kernel")
        .arg(&kernel.image)
        .args(["-append", &line])
        // The kernels have the driver of this one built in.
        .arg("-drive")
        .arg(format!("if=none,id=disk,format=raw,snapshot=on,file={}", disk.display()))
        .args(["-device", "nvme,drive=disk,serial=kernelsight"])
        .args(if let Image::Initramfs(path) = image { vec!["-initrd".as_ref(), path.as_os_str()] } else { Vec::new() })
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("qemu-system-x86_64 cannot be started")?;
    let begun = Instant::now();
    let ended = loop {
        if let Some(status) = guest.try_wait()? {
            break Some(status);
        }
        if begun.elapsed() > timeout {
            guest.kill()?;
            guest.wait()?;
            break None;
        }
        step.tick();
        thread::sleep(Duration::from_millis(100));
    };
    let mut said = String::from_utf8_lossy(&fs::read(&serial)?).replace('\r', "");
    let code = said.lines().find_map(|line| line.strip_prefix("guest: exit ")?.trim().parse().ok());
    // A guest that hangs or dies is what its tests are for: it failed, and was not left out.
    let end = match (ended, code) {
        (None, _) => Some(format!("it ran longer than {} s", timeout.as_secs())),
        (Some(status), None) => Some(format!("it ended ({status}) before its tests did")),
        (Some(_), Some(_)) => None,
    };
    if let Some(end) = &end {
        said.push_str(&format!("\nthe guest: {end}; all that it said is in {}\n", serial.display()));
    }
    let code = code.filter(|_| end.is_none());
    Ok((step, Ran { kernel: kernel.release.clone(), said, code }))
}
