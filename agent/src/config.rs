//! What an operator can set: defaults that need no file, an optional file, and what the command line overrides.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Deserialize;

use crate::{live::Autonomy, mind::ModelSettings};

/// Where the file is looked for when none is named.
pub const DEFAULT_FILE: &str = "/etc/kernelsight/kernelsight.toml";
/// Where the daemon listens when nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/kernelsight/kernelsight.sock";

/// Every setting, each with a default that fits a production node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Directory of the database; made with mode 0700 if it is missing.
    pub state_dir: PathBuf,
    /// The unix socket that the daemon serves.
    pub socket: PathBuf,
    /// Autonomy level at start; none: the level that was last set, or advisor.
    pub autonomy: Option<Autonomy>,
    /// Directory whose files (`commands.toml`, `protected.toml`, …) replace the embedded ones; a file that is not there
    /// leaves the embedded one in force.
    pub policies: Option<PathBuf>,
    /// Directory of the sockets of actors, who act for a daemon that has no power but to watch; none: the daemon makes
    /// its executors itself, as user 0.
    pub actors: Option<PathBuf>,
    /// The socket behind which the service manager makes the process that thinks with a model; none: the daemon makes it
    /// itself, as nobody.
    pub reasoner: Option<PathBuf>,
    /// Time between two samples, ms, 200 to 60,000.
    pub tick_ms: u64,
    /// When system calls are watched, which costs each of them 100 to 200 ns.
    pub watch_calls: WatchCalls,
    pub store: StoreSettings,
    /// A model that is asked beside the rules; none by default.
    pub model: ModelSettings,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum WatchCalls {
    /// A twentieth of the time, and all the time while something that is not calm asks for it.
    #[default]
    OnDemand,
    Always,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// The database is kept below this size, bytes, at least 16 MiB.
    pub max_bytes: u64,
    /// Metrics older than this go, hours.
    pub metrics_hours: u32,
    /// Closed signals, and what was said with a model, older than this go, days.
    pub signals_days: u32,
    /// Incidents, traces and actions older than this go, days.
    pub traces_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state_dir: from_environment("STATE_DIRECTORY").unwrap_or_else(|| "/var/lib/kernelsight".into()),
            socket: from_environment("RUNTIME_DIRECTORY")
                .map_or_else(|| DEFAULT_SOCKET.into(), |dir| dir.join("kernelsight.sock")),
            autonomy: None,
            policies: None,
            actors: None,
            reasoner: None,
            tick_ms: 1000,
            watch_calls: WatchCalls::default(),
            store: StoreSettings::default(),
            model: ModelSettings::default(),
        }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { max_bytes: 512 << 20, metrics_hours: 48, signals_days: 30, traces_days: 365 }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not right: {source}", path = path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    #[error("`{key}` is {given}; it must be {expected}")]
    Range { key: &'static str, given: String, expected: &'static str },
}

impl Settings {
    /// Reads `file`, or [`DEFAULT_FILE`] if that is there, or takes the defaults.
    ///
    /// # Errors
    /// When a named file cannot be read, a file has an unknown key or a wrong type, or a value is out of range.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let settings = match file {
            Some(file) => Self::read(file)?,
            None if Path::new(DEFAULT_FILE).exists() => Self::read(Path::new(DEFAULT_FILE))?,
            None => Self::default(),
        };
        settings.checked()
    }

    /// The settings themselves if every value is in its range.
    ///
    /// # Errors
    /// [`ConfigError::Range`] for the first that is not.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let range = |key, given: String, expected, good: bool| {
            if good { Ok(()) } else { Err(ConfigError::Range { key, given, expected }) }
        };
        let tick = 200..=60_000;
        range("tick_ms", self.tick_ms.to_string(), "200 to 60000", tick.contains(&self.tick_ms))?;
        range(
            "store.max_bytes",
            self.store.max_bytes.to_string(),
            "at least 16777216 (16 MiB)",
            self.store.max_bytes >= 16 << 20,
        )?;
        self.model.check()?;
        let paths = [
            ("state_dir", Some(&self.state_dir)),
            ("socket", Some(&self.socket)),
            ("policies", self.policies.as_ref()),
            ("actors", self.actors.as_ref()),
            ("reasoner", self.reasoner.as_ref()),
            ("model.key_file", self.model.key_file.as_ref()),
        ];
        let keys = self.model.keys.iter().map(|(provider, path)| (provider.key_setting(), path));
        for (key, path) in paths.into_iter().filter_map(|(key, path)| Some((key, path?))).chain(keys) {
            range(key, path.display().to_string(), "an absolute path", path.is_absolute())?;
        }
        Ok(self)
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// The settings of a file's text, their values not yet checked; `path` is its name in errors.
    ///
    /// # Errors
    /// [`ConfigError::Parse`] for an unknown key or a wrong type.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
    }
}

/// The first directory that systemd made for the unit.
fn from_environment(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name)?;
    let first = value.to_str()?.split(':').next()?.to_owned();
    (!first.is_empty()).then(|| first.into())
}
