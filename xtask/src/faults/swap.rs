//! Swap of a fault's own, in compressed memory, for what works out of it.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};

use super::{catalogue::OwnSwap, must};

const DEVICE: &str = "/dev/zram0";
const SETTINGS: &str = "/sys/block/zram0";

/// On until it is dropped.
#[derive(Debug)]
pub(super) struct Swap(());

impl Swap {
    /// Takes the first zram device, if nobody else has it.
    pub(super) fn of_its_own(wanted: &OwnSwap) -> Result<Self> {
        let size = format!("{SETTINGS}/disksize");
        let used =
            fs::read_to_string(&size).with_context(|| format!("{size} cannot be read: this fault needs zram"))?;
        if used.trim() != "0" {
            bail!("{DEVICE} is in use ({} bytes): this fault needs it", used.trim());
        }
        fs::write(&size, format!("{}", wanted.mb << 20)).with_context(|| format!("{size} cannot be written"))?;
        let swap = Self(());
        must(Command::new("mkswap").arg(DEVICE))?;
        must(Command::new("swapon").arg(DEVICE))?;
        Ok(swap)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let off = must(Command::new("swapoff").arg(DEVICE));
        let reset = fs::write(format!("{SETTINGS}/reset"), "1");
        if off.is_err() || reset.is_err() {
            crate::say::note(&format!("{DEVICE} is still in use as swap: swapoff {DEVICE}"));
        }
    }
}
