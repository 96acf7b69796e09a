//! CPUs, named as the kernel names them.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// CPUs that a mask can name here; the kernel's own bound is 8192.
const CPUS_MAX: u16 = 1024;

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

text!(CpuList, {
    "type": "string",
    "pattern": "^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$",
    "examples": ["0-3,5"],
});
