//! What is done only to what an operator lists by name. As delivered nothing is listed.

use serde::Deserialize;

use super::{PolicyError, protected::matching};
use crate::execute::{
    action::Found,
    command::Listing,
    process::Process,
    value::{FilePath, UnitName},
};

/// Where no list lets anybody truncate: the system, the kernel, and what belongs to the agent.
const NEVER: [&str; 12] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/sbin", "/sys", "/usr", "/var/lib"];

/// `listed.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    #[serde(default)]
    kill: Kill,
    #[serde(default)]
    truncate: Truncate,
    #[serde(default)]
    restart: Restart,
}

/// Processes that may be killed when they do not end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Kill {
    comm: Vec<String>,
    unit: Vec<String>,
}

/// Files that may be emptied.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Truncate {
    path: Vec<String>,
}

/// Services that may be restarted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Restart {
    unit: Vec<String>,
}

/// It stands on no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not listed under [{list}] in listed.toml, and only what an operator lists there is {done}")]
pub struct NotListed {
    pub list: &'static str,
    what: String,
    done: &'static str,
}

impl Listed {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let listed: Self = toml::from_str(text).map_err(|error| PolicyError::syntax("listed.toml", &error))?;
        for name in listed.kill.comm.iter().chain(&listed.kill.unit) {
            let inner = name.strip_suffix('*').unwrap_or(name);
            if inner.is_empty() || inner.contains('*') {
                return Err(PolicyError::ListedGlob { name: name.clone() });
            }
        }
        for path in &listed.truncate.path {
            let refused = |why: String| PolicyError::ListedPath { path: path.clone(), why };
            let path: FilePath =
                path.parse().map_err(|error: crate::execute::value::NoFilePath| refused(error.to_string()))?;
            if let Some(never) = NEVER.into_iter().find(|never| is_below(path.as_str(), never)) {
                return Err(refused(format!("nothing below {never} is ever truncated")));
            }
        }
        for unit in &listed.restart.unit {
            if let Err(error) = unit.parse::<UnitName>() {
                return Err(PolicyError::ListedUnit { unit: unit.clone(), why: error.to_string() });
            }
        }
        Ok(listed)
    }

    /// Whether what was found has to stand on a list, and does not.
    pub(super) fn check(&self, listing: Option<Listing>, found: &Found) -> Result<(), NotListed> {
        let (list, listed, done) = match (listing, found) {
            (None, _) => return Ok(()),
            (Some(Listing::Kill), Found::Process(process)) => ("kill", self.may_be_killed(process), "killed"),
            (Some(Listing::Kill), _) => ("kill", false, "killed"),
            (Some(Listing::Truncate), Found::File(path)) => {
                ("truncate", self.truncate.path.iter().any(|listed| listed == path.as_str()), "emptied")
            }
            (Some(Listing::Truncate), _) => ("truncate", false, "emptied"),
            (Some(Listing::Restart), Found::Unit(unit)) => ("restart", self.may_restart(unit.as_str()), "restarted"),
            (Some(Listing::Restart), _) => ("restart", false, "restarted"),
        };
        if listed { Ok(()) } else { Err(NotListed { list, what: found.to_string(), done }) }
    }

    /// Units that may be restarted.
    pub(super) fn restartable(&self) -> &[String] {
        &self.restart.unit
    }

    /// Whether this very unit is listed.
    pub(super) fn may_restart(&self, unit: &str) -> bool {
        self.restart.unit.iter().any(|listed| listed == unit)
    }

    fn may_be_killed(&self, process: &Process) -> bool {
        let by_unit = || {
            let parts = process.cgroups.iter().flat_map(|cgroup| cgroup.split('/'));
            parts.into_iter().any(|part| matching(&self.kill.unit, part).is_some())
        };
        matching(&self.kill.comm, process.comm.as_str()).is_some() || by_unit()
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
