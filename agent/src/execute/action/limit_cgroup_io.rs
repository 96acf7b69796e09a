//! `limit_cgroup_io`: a cgroup reads or writes one device no faster than this. It never raises a limit.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Found, On, Plan, Power, Predicts, Refusal, Risk, Step, Target, lived_in};
use crate::execute::{
    cgroup_file::{BPS_MIN, CgroupFile},
    command::Command,
    value::{Bounded, CgroupPath, Device},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitCgroupIo {
    cgroup: CgroupPath,
    /// The whole device, no partition, as in 8:0.
    device: Device,
    what: What,
    /// Bytes/s, 65536 at least, or operations/s.
    rate: Bounded<10, 1_000_000_000_000>,
}

/// What is limited.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum What {
    ReadBps,
    WriteBps,
    ReadIops,
    WriteIops,
}

impl What {
    /// Its key in a line of `io.max`, and its file on v1.
    const fn names(self) -> (&'static str, CgroupFile) {
        match self {
            Self::ReadBps => ("rbps", CgroupFile::BlkioReadBps),
            Self::WriteBps => ("wbps", CgroupFile::BlkioWriteBps),
            Self::ReadIops => ("riops", CgroupFile::BlkioReadIops),
            Self::WriteIops => ("wiops", CgroupFile::BlkioWriteIops),
        }
    }
}

impl Action for LimitCgroupIo {
    const NAME: &'static str = "limit_cgroup_io";
    const SUMMARY: &'static str = "Lowers how many bytes or operations a second a cgroup may read or write on a device";
    const ON: On = On::Cgroup;
    const RISK: Risk = Risk::Medium;
    const POWER: Power = Power::CgroupFile;
    const WRITES: &'static str = "io.max (v2), blkio.throttle.* (v1)";
    const PREDICTS: Predicts = Predicts::IoLimit;
    const COST: &'static str = "its I/O on the device is slower even when nobody else asks";
    const NEVER: &'static [&'static str] = &["a partition, which no limit is for"];
    const SETTLE_S: u32 = 10;
    /// I/O comes in bursts, and what stood in the way an hour ago is done by now.
    const LEASE_S: Option<u32> = Some(600);
}

impl Step for LimitCgroupIo {
    fn target(&self) -> Target {
        Target::Cgroup(self.cgroup.clone())
    }

    fn plan(&self, found: &Found) -> Result<Plan, Refusal> {
        let path = found.cgroup()?;
        let device = self.device;
        let of_device = PathBuf::from(format!("/sys/dev/block/{device}"));
        if !of_device.exists() || of_device.join("partition").exists() {
            return Err(Refusal::NoSuchDevice { device: device.to_string() });
        }
        let (key, file_v1) = self.what.names();
        let rate = self.rate.get().unsigned_abs();
        let unified = lived_in(path, CgroupFile::IoMax)?;
        let (file, setting, value) = match unified {
            Some(setting) => {
                (CgroupFile::IoMax, setting.of_line(&format!("{device} {key}")), format!("{device},{key}={rate}"))
            }
            None => {
                let files = "io.max or blkio.throttle";
                let setting =
                    lived_in(path, file_v1)?.ok_or_else(|| Refusal::NoHierarchy { path: path.to_string(), files })?;
                (file_v1, setting.of_line(&device.to_string()), format!("{device},{rate}"))
            }
        };
        let before = setting.read()?;
        if matches!(self.what, What::ReadBps | What::WriteBps) && rate < BPS_MIN {
            let (what, asked) = (setting.name(), rate.to_string());
            return Err(Refusal::TooFar { what, now: before, asked, least: BPS_MIN as i64 });
        }
        if before.parse::<u64>().is_ok_and(|now| now <= rate) {
            return Err(Refusal::AlreadyMilder { what: setting.name(), now: before, asked: rate.to_string() });
        }
        Ok(Plan::set(Command::Cgset { file, value, path: path.clone() }, setting, before, rate.to_string()))
    }
}
