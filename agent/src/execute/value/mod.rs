//! The types of parameters: each knows its range, says it in its schema, and takes no value of another type.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::observe::ProcessId;

/// A parameter that is a text of a grammar: how it is read, and what its schema says.
macro_rules! text {
    ($type:ident, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// One that is kept as it was written.
macro_rules! as_written {
    ($type:ident) => {
        impl $type {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

mod cpu_list;

pub use cpu_list::{CpuList, NoCpuList};

/// Largest pid that Linux gives (`PID_MAX_LIMIT`).
pub const PID_MAX: i64 = 4_194_304;
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

as_written!(CgroupPath);
text!(CgroupPath, {
    "type": "string",
    "pattern": "^(/[A-Za-z0-9_.:@+=\\\\-]+)+$",
    "maxLength": CGROUP_PATH_MAX,
    "examples": ["/system.slice/x.service"],
});

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

as_written!(UnitName);
text!(UnitName, {
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9:_.@-]*\\.service$",
    "maxLength": UNIT_NAME_MAX,
    "examples": ["nginx.service"],
});

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

text!(Device, { "type": "string", "pattern": "^[0-9]{1,4}:[0-9]{1,7}$", "examples": ["8:0"] });

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

as_written!(FilePath);
text!(FilePath, { "type": "string", "pattern": "^/[A-Za-z0-9._@+:/-]*$", "maxLength": FILE_PATH_MAX });

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

as_written!(Interface);
text!(Interface, {
    "type": "string",
    "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
    "maxLength": INTERFACE_MAX,
    "examples": ["eth0"],
});
