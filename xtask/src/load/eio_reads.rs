//! `eio_reads`: reads of one descriptor of a process end with EIO, though no device failed: a filter of system calls
//! answers them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    time::Duration,
};

use anyhow::Result;
use nix::{errno::Errno, libc};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, fd_exhaustion::serve, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "eio_reads", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    reads_per_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { reads_per_s: 200 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let mut broken = File::open("/dev/zero")?;
    let mut connection = UnixStream::pair()?;
    ground.started(&[std::process::id()])?;
    seccompiler::apply_filter(&answered_with_eio(u64::try_from(broken.as_raw_fd())?)?)?;
    let (mut failed, mut served) = (0_u64, 0_u64);
    let pause = Duration::from_secs(1) / u32::try_from(settings.reads_per_s.clamp(1, 100_000))?;
    while !ground.over() {
        match broken.read(&mut [0; 512]) {
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => failed += 1,
            other => drop(other?),
        }
        serve(&mut connection)?;
        served += 1;
        std::thread::sleep(pause);
        ground.report(|seconds| {
            let line = json!({
                "failed_per_s": (failed as f64 / seconds).round(),
                "served_per_s": (served as f64 / seconds).round(),
            });
            (failed, served) = (0, 0);
            line
        })?;
    }
    Ok(())
}

fn answered_with_eio(descriptor: u64) -> Result<BpfProgram> {
    let of_it = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, descriptor)?;
    let rules = BTreeMap::from([(libc::SYS_read, vec![SeccompRule::new(vec![of_it])?])]);
    let eio = SeccompAction::Errno(libc::EIO.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, eio, std::env::consts::ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}
