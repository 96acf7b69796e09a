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

/// Memory of the guest, MiB.
const MEMORY_MIB: u32 = 1536;

/// What a guest boots from.
#[derive(Debug)]
pub(super) enum Image {
    /// All of it in memory.
    Initramfs(PathBuf),
    /// Its first disk, with a whole system on it.
    Disk,
}

/// What a guest is made of.
#[derive(Debug)]
pub(super) struct Guest<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) image: Image,
    pub(super) disk: PathBuf,
    /// Whether what is written to that disk stays, for a boot after this one.
    pub(super) keeps_disk: bool,
    pub(super) speed: Option<DiskSpeed>,
    /// Its second disk: what the guest writes there is found there afterwards.
    pub(super) answer: Option<PathBuf>,
    /// More words of the kernel's command line.
    pub(super) words: String,
    pub(super) cpus: u8,
}

/// No more than this of the first disk, reads and writes together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskSpeed {
    pub(crate) ops_per_s: u32,
    pub(crate) mb_per_s: u32,
}

/// An empty disk, of which no more is taken than is written.
pub(super) fn empty_disk(path: PathBuf, bytes: u64) -> Result<PathBuf> {
    let made = File::create(&path).and_then(|file| file.set_len(bytes));
    made.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// Boots, waits until the guest turns itself off or starts itself anew, and answers what it said.
pub(super) fn boot(mut step: Step, guest: &Guest, serial: &Path, timeout: Duration) -> Result<(Step, Ran)> {
    let output = File::create(serial).with_context(|| format!("{} cannot be written", serial.display()))?;
    // `quiet` keeps the kernel's own lines from between the tests'; cgroup v1 is what this machine has.
    // Of two words for one thing the kernel takes the last.
    let mut line = format!("console=ttyS0 quiet panic=-1 cgroup_no_v1=all psi=1 {}", guest.words);
    let initramfs = match &guest.image {
        Image::Initramfs(path) => vec!["-initrd".as_ref(), path.as_os_str()],
        Image::Disk => {
            line.push_str(" root=/dev/nvme0n1 rw");
            Vec::new()
        }
    };
    let snapshot = if guest.keeps_disk { "off" } else { "on" };
    let mut disk = format!("if=none,id=disk,format=raw,snapshot={snapshot},file={}", guest.disk.display());
    match guest.speed {
        Some(DiskSpeed { ops_per_s, mb_per_s }) => {
            let bytes_per_s = u64::from(mb_per_s) << 20;
            disk.push_str(&format!(",throttling.iops-total={ops_per_s},throttling.bps-total={bytes_per_s}"));
        }
        // A guest's sync need not wait for this machine's disk: if that fails, nothing of the guest is of use.
        None => disk.push_str(",cache=unsafe"),
    }
    let answer = guest.answer.as_ref().map_or_else(Vec::new, |path| {
        let drive = format!("if=none,id=answer,format=raw,file={}", path.display());
        ["-drive", &drive, "-device", "nvme,drive=answer,serial=answer"].map(str::to_owned).to_vec()
    });
    let kernel = guest.kernel;
    let mut qemu = Command::new("qemu-system-x86_64")
        // Where there are several CPUs, they take turns: toggling probes while another runs can crash an emulated guest.
        .args(["-accel", "tcg,thread=single", "-smp", &guest.cpus.to_string(), "-M", "q35", "-cpu", "max,la57=off"])
        .args(["-m", &MEMORY_MIB.to_string(), "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot"])
        .arg("-kernel")
        .arg(&kernel.image)
        .args(["-append", &line])
        // The kernels have the driver of this one built in.
        .args(["-drive", &disk, "-device", "nvme,drive=disk,serial=kernelsight"])
        .args(answer)
        .args(initramfs)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("qemu-system-x86_64 cannot be started")?;
    let begun = Instant::now();
    let ended = loop {
        if let Some(status) = qemu.try_wait()? {
            break Some(status);
        }
        if begun.elapsed() > timeout {
            qemu.kill()?;
            qemu.wait()?;
            break None;
        }
        step.tick();
        thread::sleep(Duration::from_millis(100));
    };
    let mut said = String::from_utf8_lossy(&fs::read(serial)?).replace('\r', "");
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
