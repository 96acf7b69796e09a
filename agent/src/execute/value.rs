//! The types of parameters: each knows its range, says it in its schema, and takes no value of another type.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::observe::ProcessId;

/// Largest pid that Linux gives (`PID_MAX_LIMIT`).
pub const PID_MAX: i64 = 4_194_304;
/// CPUs that a mask can name here; the kernel's own bound is 8192.
const CPUS_MAX: u16 = 1024;
/// Longest path of a cgroup that is taken as a parameter.
const CGROUP_PATH_MAX: usize = 255;
/// Below it, at the root of a hierarchy, are the cgroups that the agent makes.
pub(super) const OWN: &str = "kernelsight";
/// Longest path of a file that is taken as a parameter.
const FILE_PATH_MAX: usize = 255;
/// Longest name of a unit, bytes (systemd allows 255).
const UNIT_NAME_MAX: usize = 128;
/// Longest name of a network interface (`IFNAMSIZ`, less the zero at its end).
const INTERFACE_MAX: usize = 15;

pub type Pid = Bounded<1, PID_MAX>;

/// An integer from `MIN` to `MAX`, both included. No boolean, no float, no digits in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bounded<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Bounded<MIN, MAX> {
    /// A value that is known to be in range when the program is built, such as a default.
    #[must_use]
    pub const fn of(value: i64) -> Self {
        assert!(MIN <= value && value <= MAX);
        Self(value)
    }

    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Integer<const MIN: i64, const MAX: i64>;
        impl<const MIN: i64, const MAX: i64> de::Visitor<'_> for Integer<MIN, MAX> {
            type Value = i64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an integer from {MIN} to {MAX}")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<i64, E> {
                if (MIN..=MAX).contains(&value) {
                    Ok(value)
                } else {
                    Err(E::invalid_value(de::Unexpected::Signed(value), &self))
                }
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
                match i64::try_from(value) {
                    Ok(value) => self.visit_i64(value),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(value), &self)),
                }
            }
        }
        deserializer.deserialize_any(Integer::<MIN, MAX>).map(Self)
    }
}

impl<const MIN: i64, const MAX: i64> JsonSchema for Bounded<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Integer{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// CPUs as the kernel lists them: `0-3,5`. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(BTreeSet<u16>);

impl CpuList {
    pub fn cpus(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().copied()
    }

    /// Those of the CPUs that are also in `other`, if any is.
    #[must_use]
    pub fn within(&self, other: &Self) -> Option<Self> {
        let both: BTreeSet<u16> = self.0.intersection(&other.0).copied().collect();
        (!both.is_empty()).then_some(Self(both))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{given}` is no list of CPUs; one such as 0-3,5 is, with CPUs from 0 to {last}", last = CPUS_MAX - 1)]
pub struct NoCpuList {
    given: String,
}

impl FromStr for CpuList {
    type Err = NoCpuList;

    fn from_str(given: &str) -> Result<Self, NoCpuList> {
        let refused = || NoCpuList { given: given.escape_default().take(80).collect() };
        let number = |text: &str| {
            let plain = matches!(text.len(), 1..=4) && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u16>().ok()).flatten().filter(|cpu| *cpu < CPUS_MAX)
        };
        let mut cpus = BTreeSet::new();
        for part in given.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = number(first).zip(number(last)).ok_or_else(refused)?;
            if first > last {
                return Err(refused());
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

impl fmt::Display for CpuList {
    /// In the kernel's own way, so that it compares with what `/proc` says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.cpus().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.peek() == Some(&(last + 1)) {
                last += 1;
                cpus.next();
            }
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for CpuList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for CpuList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CpuList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$",
            "examples": ["0-3,5"],
        })
    }
}

/// A cgroup by its path below the hierarchy's mount, such as `/system.slice/x.service`; never the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupPath(String);

impl CgroupPath {
    /// The agent's own cgroup for one process. By pid and start time it is that one's for ever.
    #[must_use]
    pub fn own(process: ProcessId) -> Self {
        Self(format!("/{OWN}/p{}-{}", process.pid, process.start_ticks))
    }

    /// The process that such a cgroup is for.
    #[must_use]
    pub fn owner(&self) -> Option<ProcessId> {
        let (pid, start_ticks) = self.0.strip_prefix('/')?.strip_prefix(OWN)?.strip_prefix("/p")?.split_once('-')?;
        let process = ProcessId { pid: pid.parse().ok()?, start_ticks: start_ticks.parse().ok()? };
        (Self::own(process) == *self).then_some(process)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below the mount, without the first slash.
    #[must_use]
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{given}` is no path of a cgroup; one such as /system.slice/x.service is, and the root is never one")]
pub struct NoCgroupPath {
    given: String,
}

impl FromStr for CgroupPath {
    type Err = NoCgroupPath;

    fn from_str(given: &str) -> Result<Self, NoCgroupPath> {
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:@+=-\\".contains(&byte))
        };
        match given.strip_prefix('/') {
            Some(rest) if given.len() <= CGROUP_PATH_MAX && rest.split('/').all(plain) => Ok(Self(given.to_owned())),
            _ => Err(NoCgroupPath { given: given.escape_default().take(80).collect() }),
        }
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CgroupPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for CgroupPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CgroupPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(/[A-Za-z0-9_.:@+=\\\\-]+)+$",
            "maxLength": CGROUP_PATH_MAX,
            "examples": ["/system.slice/x.service"],
        })
    }
}

/// A service of systemd by its whole name, such as `nginx.service`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UnitName(String);

#[derive(Debug, thiserror::Error)]
#[error(
    "`{given}` is no name of a service; one such as nginx.service is: it ends in .service, begins with a letter or a digit, has letters, digits and :_.@- only, and at most {UNIT_NAME_MAX} bytes"
)]
pub struct NoUnitName {
    given: String,
}

impl UnitName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UnitName {
    type Err = NoUnitName;

    fn from_str(given: &str) -> Result<Self, NoUnitName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_.@-".contains(&byte);
        let sound = |stem: &str| {
            stem.starts_with(|first: char| first.is_ascii_alphanumeric())
                && stem.bytes().all(plain)
                && !given.contains("..")
        };
        match given.strip_suffix(".service") {
            Some(stem) if given.len() <= UNIT_NAME_MAX && sound(stem) => Ok(Self(given.to_owned())),
            _ => Err(NoUnitName { given: given.escape_default().take(80).collect() }),
        }
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UnitName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for UnitName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UnitName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9:_.@-]*\\.service$",
            "maxLength": UNIT_NAME_MAX,
            "examples": ["nginx.service"],
        })
    }
}

/// A block device by its numbers, such as `8:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    major: u32,
    minor: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("`{given}` is no block device; one such as 8:0 is, by its major and its minor number")]
pub struct NoDevice {
    given: String,
}

impl FromStr for Device {
    type Err = NoDevice;

    fn from_str(given: &str) -> Result<Self, NoDevice> {
        let number = |text: &str, bits: u32| {
            let plain = matches!(text.len(), 1..=7) && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u32>().ok()).flatten().filter(|number| *number < 1 << bits)
        };
        let numbers = given.split_once(':').and_then(|(major, minor)| number(major, 12).zip(number(minor, 20)));
        numbers
            .map(|(major, minor)| Self { major, minor })
            .filter(|device| device.to_string() == given)
            .ok_or_else(|| NoDevice { given: given.escape_default().take(40).collect() })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Device {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Device".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,4}:[0-9]{1,7}$", "examples": ["8:0"] })
    }
}

/// An absolute path of a file or a mount, plain enough to stand in a command line: letters, digits and `._@+:-`, no part
/// that is empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FilePath(String);

#[derive(Debug, thiserror::Error)]
#[error(
    "`{given}` is no path that may be named: it begins with /, has letters, digits and ._@+:- only, at most {FILE_PATH_MAX} bytes, and no part that is empty, . or .."
)]
pub struct NoFilePath {
    given: String,
}

impl FilePath {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below `/`; `.` for that one itself.
    #[must_use]
    pub fn relative(&self) -> &str {
        match &self.0[1..] {
            "" => ".",
            below => below,
        }
    }
}

impl FromStr for FilePath {
    type Err = NoFilePath;

    fn from_str(given: &str) -> Result<Self, NoFilePath> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+:-".contains(&byte);
        let sound = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
        let below = given.strip_prefix('/').filter(|_| given.len() <= FILE_PATH_MAX);
        match below {
            Some(below) if below.is_empty() || below.split('/').all(sound) => Ok(Self(given.to_owned())),
            _ => Err(NoFilePath { given: given.escape_default().take(80).collect() }),
        }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for FilePath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FilePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^/[A-Za-z0-9._@+:/-]*$", "maxLength": FILE_PATH_MAX })
    }
}

/// A network interface by its name, plain enough to stand in a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface(String);

#[derive(Debug, thiserror::Error)]
#[error(
    "`{given}` is no interface that may be named: it has letters, digits and ._- only, no - or . in front, at most {INTERFACE_MAX} bytes"
)]
pub struct NoInterface {
    given: String,
}

impl Interface {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Interface {
    type Err = NoInterface;

    fn from_str(given: &str) -> Result<Self, NoInterface> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let sound = (1..=INTERFACE_MAX).contains(&given.len()) && !given.starts_with(['-', '.']);
        if sound && given.bytes().all(plain) {
            Ok(Self(given.to_owned()))
        } else {
            Err(NoInterface { given: given.escape_default().take(40).collect() })
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Interface {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Interface {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Interface".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
            "maxLength": INTERFACE_MAX,
            "examples": ["eth0"],
        })
    }
}
