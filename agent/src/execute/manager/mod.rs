//! systemd's manager: what it says of a unit, and what it may be asked to do.
//!
//! User 0 speaks to it on its private socket, where it does what it is asked. Whoever else may look does so by the
//! system's bus, which lets them read and no more.

mod property;
mod wire;

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    str::FromStr,
    time::{Duration, Instant},
};

use nix::{
    fcntl::AT_FDCWD,
    unistd::{Uid, UnlinkatFlags, unlinkat},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zbus::wire::{OwnedObjectPath, OwnedVariant, Variant};

use super::{
    command::Way,
    value::{CgroupPath, UnitName},
};
pub(super) use property::RUNTIME;
pub use property::{Limit, Property};
use wire::{Connection, Message, Method};

const PRIVATE: &str = "/run/systemd/private";
const BUS: &str = "/run/dbus/system_bus_socket";
const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// It answers within ms, on a node that is starved within seconds. Below what an actor's answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// A unit that is still stopping or starting then is left to it. An executor is ended after 30 s.
const RESTARTED_WITHIN: Duration = Duration::from_secs(20);
/// How others are tied to a unit that systemd restarts with it (`UNIT_ATOM_PROPAGATE_RESTART`).
const RESTARTED_WITH: [&str; 4] = ["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf"];
/// Units that may depend on one before it is said to be too many.
const DEPENDENTS_MAX: usize = 64;

/// A connection to it.
#[derive(Debug)]
pub(super) struct Manager {
    connection: Connection,
    by_bus: bool,
}

/// What it says of a unit.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) active: bool,
    /// `active`, `failed`, ….
    pub(super) state: String,
    /// This run of it; another one has another.
    pub(super) invocation: Option<Invocation>,
    /// The path of its cgroup, where it has one.
    pub(super) cgroup: Option<String>,
    /// It lets itself be stopped and started by hand.
    pub(super) by_hand: bool,
    /// Units that are restarted with it, where they are active.
    tied: Vec<String>,
}

/// One run of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct Invocation(u128);

#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    #[error("systemd cannot be asked: {source}")]
    Unreachable { source: io::Error },
    #[error("systemd does not let this process in: {said}")]
    NotLetIn { said: String },
    #[error("systemd did not answer{}", why_silent(.0))]
    Silent(#[from] io::Error),
    #[error("systemd refuses: {said} ({name})")]
    Refused { name: String, said: String },
    #[error("systemd's answer cannot be read: {reason}")]
    Unreadable { reason: String },
    #[error("systemd has no unit {unit} loaded under that very name")]
    NoUnit { unit: String },
    #[error("more than {DEPENDENTS_MAX} units depend on {unit}")]
    TooManyDependents { unit: String },
}

impl ManagerError {
    fn unreadable(reason: impl fmt::Display) -> Self {
        Self::Unreadable { reason: reason.to_string() }
    }
}

impl Manager {
    /// Its private socket for user 0, the bus for all others.
    pub(super) fn open() -> Result<Self, ManagerError> {
        if Uid::effective().is_root() {
            return Ok(Self { connection: connect(PRIVATE)?, by_bus: false });
        }
        let mut manager = Self { connection: connect(BUS)?, by_bus: true };
        let hello = Method {
            destination: Some("org.freedesktop.DBus"),
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
        };
        manager.connection.call(hello, &())?;
        Ok(manager)
    }

    /// The connection that an executor is passed.
    pub(super) fn private() -> Result<OwnedFd, ManagerError> {
        Ok(connect(PRIVATE)?.into_descriptor())
    }

    /// The connection that an executor was passed.
    pub(super) fn passed(descriptor: OwnedFd) -> Self {
        Self { connection: Connection::on(descriptor), by_bus: false }
    }

    /// What it says of a unit that is loaded. Nothing is loaded for it.
    pub(super) fn unit(&mut self, name: &str) -> Result<Unit, ManagerError> {
        let none = || ManagerError::NoUnit { unit: name.to_owned() };
        let answer = self.call(PATH, MANAGER, "GetUnit", &(name,)).map_err(|error| match error {
            ManagerError::Refused { name, .. } if name.ends_with(".NoSuchUnit") => none(),
            error => error,
        })?;
        let unit = Unit::read(self.properties(&answer)?)?;
        // Under an alias it would be another name on the lists.
        if unit.name == name { Ok(unit) } else { Err(none()) }
    }

    /// The name of the unit whose very own cgroup this is.
    pub(super) fn owner(&mut self, path: &CgroupPath) -> Result<Option<String>, ManagerError> {
        let answer = match self.call(PATH, MANAGER, "GetUnitByControlGroup", &(path.as_str(),)) {
            Ok(answer) => answer,
            Err(ManagerError::Refused { name, .. }) if name.ends_with(".NoSuchUnit") => return Ok(None),
            Err(error) => return Err(error),
        };
        // For what is below it, it answers with the unit, too.
        let unit = Unit::read(self.properties(&answer)?)?;
        let its_own = unit.cgroup.as_deref() == Some(path.as_str()) && unit_of(path) == unit.name;
        Ok(its_own.then_some(unit.name))
    }

    /// A limit of a unit, which is loaded for it; none where there is no such unit any more.
    pub(super) fn property(&mut self, unit: &str, property: Property) -> Result<Option<Limit>, ManagerError> {
        let answer = self.call(PATH, MANAGER, "LoadUnit", &(unit,))?;
        let mut properties = self.properties(&answer)?;
        if take::<String>(&mut properties, "LoadState")? != "loaded" {
            return Ok(None);
        }
        Ok(Some(Limit::from_bus(take(&mut properties, property.name())?)))
    }

    /// Sets a limit of the unit that owns a cgroup until the next boot. On the way back what systemd wrote to remember it
    /// is taken away, so that the unit's own files hold again. What it says for eyes.
    pub(super) fn set(
        &mut self,
        path: &CgroupPath,
        property: Property,
        limit: Limit,
        way: Way,
    ) -> Result<String, ManagerError> {
        let unit = unit_of(path);
        let set = vec![(property.name(), Variant::U64(limit.to_bus()))];
        self.call(PATH, MANAGER, "SetUnitProperties", &(unit, true, set))?;
        // Before it answers anything else it has written the cgroup's file.
        let stands = self.property(unit, property)?;
        if stands != Some(limit) {
            let said = format!("{} of {unit} is {stands:?} after it was set to {limit}", property.name());
            return Err(ManagerError::Refused { name: unit.to_owned(), said });
        }
        if way == Way::Back {
            match unlinkat(AT_FDCWD, &property.drop_in(unit), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(nix::Error::ENOENT) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(format!("{} of {unit} = {limit}", property.name()))
    }

    /// All of the unit whose object's path is the answer: a service has its cgroup in another interface than what every
    /// unit has.
    fn properties(&mut self, answer: &Message) -> Result<HashMap<String, OwnedVariant>, ManagerError> {
        let path: OwnedObjectPath = answer.body()?;
        self.call(path.as_str(), PROPERTIES, "GetAll", &("",))?.body()
    }

    /// The active units that are restarted with it, those that are restarted with those, and so on, by name.
    pub(super) fn dependents(&mut self, unit: &Unit) -> Result<Vec<Unit>, ManagerError> {
        let mut found: Vec<Unit> = Vec::new();
        let mut seen = BTreeSet::from([unit.name.clone()]);
        let mut open = unit.tied.clone();
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            if seen.len() > DEPENDENTS_MAX {
                return Err(ManagerError::TooManyDependents { unit: unit.name.clone() });
            }
            match self.unit(&name) {
                Ok(tied) if tied.active => {
                    open.extend(tied.tied.iter().cloned());
                    found.push(tied);
                }
                // One that is not running is not restarted.
                Ok(_) | Err(ManagerError::NoUnit { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Restarts the very run of a unit, and waits for it. What it says for eyes.
    pub(super) fn restart(&mut self, name: &UnitName, invocation: Invocation) -> Result<String, ManagerError> {
        let refused = |said: String| ManagerError::Refused { name: name.to_string(), said };
        let now = self.unit(name.as_str())?.invocation;
        if now != Some(invocation) {
            return Err(refused("it runs anew already, or no more".to_owned()));
        }
        self.call(PATH, MANAGER, "Subscribe", &())?;
        // `fail`: a job that somebody else has ordered for it is not thrown away.
        let job: OwnedObjectPath = self.call(PATH, MANAGER, "RestartUnit", &(name.as_str(), "fail"))?.body()?;
        let until = Instant::now() + RESTARTED_WITHIN;
        while let Some(removed) = self.connection.signal("JobRemoved", until)? {
            let (_, of, _, result): (u32, OwnedObjectPath, String, String) = removed.body()?;
            if of == job {
                return if result == "done" {
                    Ok(format!("{name} runs anew"))
                } else {
                    Err(refused(format!("its restart ended as `{result}`")))
                };
            }
        }
        Ok(format!("{name} is still being restarted after {} s", RESTARTED_WITHIN.as_secs()))
    }

    fn call<B: serde::Serialize + zbus::wire::DynamicType>(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Result<Message, ManagerError> {
        let destination = self.by_bus.then_some(NAME);
        self.connection.call(Method { destination, path, interface, member }, body)
    }
}

/// What a unit's own cgroup is called is the unit's name.
pub(super) fn unit_of(path: &CgroupPath) -> &str {
    path.as_str().rsplit('/').next().unwrap_or_default()
}

fn why_silent(error: &io::Error) -> String {
    match error.kind() {
        // What a socket's timeout is told as.
        io::ErrorKind::WouldBlock => format!(" within {} s", ANSWER_WITHIN.as_secs()),
        _ => format!(": {error}"),
    }
}

fn connect(path: &str) -> Result<Connection, ManagerError> {
    let unreachable = |source| ManagerError::Unreachable { source };
    let stream = UnixStream::connect(path).map_err(unreachable)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(unreachable)?;
    stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(unreachable)?;
    Connection::authenticate(stream.into(), Uid::effective().as_raw())
}

impl Unit {
    fn read(mut properties: HashMap<String, OwnedVariant>) -> Result<Self, ManagerError> {
        let name: String = take(&mut properties, "Id")?;
        let state: String = take(&mut properties, "ActiveState")?;
        let may = |properties: &mut HashMap<String, OwnedVariant>, yes: &str, no: &str| {
            Ok::<bool, ManagerError>(take::<bool>(properties, yes)? && !take::<bool>(properties, no)?)
        };
        let by_hand = may(&mut properties, "CanStart", "RefuseManualStart")?
            && may(&mut properties, "CanStop", "RefuseManualStop")?;
        let mut tied = Vec::new();
        for how in RESTARTED_WITH {
            tied.extend(take::<Vec<String>>(&mut properties, how)?);
        }
        let invocation: Vec<u8> = take(&mut properties, "InvocationID")?;
        let cgroup = match properties.contains_key("ControlGroup") {
            true => Some(take::<String>(&mut properties, "ControlGroup")?).filter(|path| !path.is_empty()),
            false => None,
        };
        Ok(Self {
            name,
            active: matches!(state.as_str(), "active" | "reloading" | "activating" | "deactivating"),
            state,
            // None where it never ran.
            invocation: invocation.try_into().ok().map(u128::from_be_bytes).map(Invocation),
            cgroup,
            by_hand,
            tied,
        })
    }
}

fn take<T: TryFrom<OwnedVariant>>(
    properties: &mut HashMap<String, OwnedVariant>,
    name: &str,
) -> Result<T, ManagerError> {
    let value = properties.remove(name).ok_or_else(|| ManagerError::unreadable(format!("a unit without {name}")))?;
    T::try_from(value).map_err(|_| ManagerError::unreadable(format!("{name} of a unit is of another type")))
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// It is no invocation id.
#[derive(Debug, thiserror::Error)]
#[error("an invocation id has 32 digits, 0 to 9 and a to f")]
pub struct NoInvocation;

impl FromStr for Invocation {
    type Err = NoInvocation;

    fn from_str(given: &str) -> Result<Self, NoInvocation> {
        let plain = given.len() == 32 && given.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        plain.then(|| u128::from_str_radix(given, 16).ok()).flatten().map(Self).ok_or(NoInvocation)
    }
}

impl From<Invocation> for String {
    fn from(invocation: Invocation) -> Self {
        invocation.to_string()
    }
}

impl TryFrom<String> for Invocation {
    type Error = NoInvocation;

    fn try_from(given: String) -> Result<Self, NoInvocation> {
        given.parse()
    }
}
