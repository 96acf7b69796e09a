//! What it takes to ask a model: who it is and where, its key, and who makes the process that asks.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use reqwest::Url;

use super::Check;
use crate::{
    agent,
    config::{DEFAULT_FILE, Settings},
    llm::{self, KeyError, Keys, ModelChoice, PROVIDERS, Places},
    mind::settings::Provider,
    text::Text,
};

const WITHOUT: &str = "the model is not asked; the rules decide alone";
/// Where the unit of the process that asks listens, and where its keys are.
const UNIT_SOCKET: &str = "/run/kernelsight-reason/socket";
const UNIT_KEYS: &str = "/etc/kernelsight";
/// Of a socket that listens, in `/proc/net/unix`.
const ACCEPTS: u32 = 1 << 16;

/// What is there beside the settings.
#[derive(Clone, Debug)]
pub struct Around {
    /// The socket behind which the service manager makes the process that asks; none: the agent makes it itself.
    pub unit_socket: Option<PathBuf>,
    /// Where the keys are of a process that the service manager makes.
    pub unit_keys: PathBuf,
    /// Sockets on which somebody listens.
    pub listening: Vec<PathBuf>,
    /// Where the keys are of a process that the agent makes.
    pub own: Places,
    pub asks: Asks,
}

/// Whom the agent that runs asks: by `kernelsight model`, or settings that were changed since, another than they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// None runs here, or none that tells this user.
    Untold,
    Nobody,
    Somebody(ModelChoice),
}

impl Around {
    /// As it is now, in the environment of this process. `ask` asks the agent, where one listens.
    #[must_use]
    pub fn now(settings: &Settings, ask: impl FnOnce() -> Asks) -> Self {
        let of_unit = || Some(PathBuf::from(UNIT_SOCKET)).filter(|socket| socket.exists());
        let files = settings.model.keys.iter().map(|(provider, file)| (provider.name().to_owned(), file.clone()));
        let own = Places::of_this_process(settings.model.key_file.clone(), files.collect());
        // Where that cannot be read nobody is seen to listen.
        let listening = fs::read_to_string("/proc/net/unix").map(|table| listening(&table)).unwrap_or_default();
        let asks = if listening.contains(&settings.socket) { ask() } else { Asks::Untold };
        let unit_socket = settings.reasoner.clone().or_else(of_unit);
        Self { unit_socket, unit_keys: UNIT_KEYS.into(), listening, own, asks }
    }
}

/// What there is to say of the model.
#[must_use]
pub fn checks(settings: &Settings, around: &Around) -> Vec<Check> {
    let named = settings.model.choice();
    let (first, choice) = match (&around.asks, named) {
        (Asks::Untold | Asks::Nobody, None) => {
            return vec![Check::good("model", "none is set; the rules decide alone")];
        }
        (Asks::Untold, Some(named)) => (asked(&named), named),
        (Asks::Nobody, Some(named)) => (nobody(&named), named),
        (Asks::Somebody(choice), named) => {
            let mut first = asked(choice);
            if named.as_ref() != Some(choice) {
                let named = named.map_or_else(|| "nobody".to_owned(), |named| named.to_string());
                first.found.push_str(&format!(", by the agent that runs; the settings name {named}"));
            }
            (first, choice.clone())
        }
    };
    vec![first, key(&choice, settings.model.provider, around), reasoner(settings, around)]
}

/// `kernelsight model --off` holds over a restart; settings that were written later than the agent began do not hold yet.
fn nobody(named: &ModelChoice) -> Check {
    let found = format!("the agent that runs asks nobody; the settings name {named}");
    let mend = format!(
        "if that is not meant: start the agent anew where the settings are newer, or `kernelsight model {} {}` where \
         `kernelsight model --off` was said",
        named.provider,
        Text::from(named.model.as_str())
    );
    Check::lacking("model", found, WITHOUT, &mend)
}

fn asked(choice: &ModelChoice) -> Check {
    let name = "model";
    let Some(base_url) = &choice.base_url else { return Check::good(name, choice.to_string()) };
    let found = format!("{choice} at {}", Text::from(base_url.as_str()));
    let Ok(url) = Url::parse(base_url) else {
        return Check::lacking(name, format!("{found}, which is no URL"), WITHOUT, "give one as model.base_url");
    };
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if url.scheme() == "https" || is_here {
        return Check::good(name, found);
    }
    let without = "its key, and what is told of this node, can be read and changed by whoever is on the way";
    Check::lacking(name, format!("{found}, not by https"), without, "give a URL of https as model.base_url")
}

fn key(choice: &ModelChoice, configured: Option<Provider>, around: &Around) -> Check {
    let name = "model key";
    let provider = &choice.provider;
    let places = if around.unit_socket.is_some() { of_unit(&around.unit_keys) } else { around.own.clone() };
    let keys = Keys::find(&places);
    match keys.of(provider, configured.map(Provider::name)) {
        Ok(Some(key)) => Check::good(name, format!("{provider}'s is in {}", Text::from(key.place()))),
        Ok(None) if !llm::needs_key(choice) => Check::good(name, format!("{provider} is asked without one")),
        Ok(None) => {
            Check::lacking(name, format!("{provider} needs one, and there is none"), WITHOUT, &give(provider, around))
        }
        Err(KeyError::Read { path, source }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Check::good(name, format!("{} is not for you to read, as it should be", path.display()))
        }
        Err(error @ KeyError::Open { path, .. }) => {
            Check::lacking(name, error.to_string(), WITHOUT, &format!("chmod 600 {}", path.display()))
        }
        Err(error) => {
            Check::lacking(name, error.to_string(), WITHOUT, "write it there as one line, for its owner alone")
        }
    }
}

/// The files that the unit gives as credentials, those of them that are there.
fn of_unit(directory: &Path) -> Places {
    let there = |name: String| Some(directory.join(name)).filter(|path| path.exists());
    let own = |provider: &str| Some((provider.to_owned(), there(format!("model-{provider}.key"))?));
    Places {
        file: there("model.key".to_owned()),
        files: PROVIDERS.into_iter().filter_map(own).collect(),
        credentials: None,
        variable: |_| None,
    }
}

fn give(provider: &str, around: &Around) -> String {
    if around.unit_socket.is_none() {
        let variable = llm::key_variable(provider);
        return format!(
            "name a file of one line, for its owner alone, as model.keys.{provider} in {DEFAULT_FILE}, or start the agent \
             with {variable}"
        );
    }
    let mut mend =
        format!("write it as one line to {}/model-{provider}.key, for root alone", around.unit_keys.display());
    if around.own.file.is_some() || !around.own.files.is_empty() {
        mend.push_str("; the files that the settings name are for an agent that systemd does not start");
    }
    mend
}

fn reasoner(settings: &Settings, around: &Around) -> Check {
    let name = "reasoner";
    let is_there = |socket: &Path| around.listening.iter().any(|listening| listening == socket);
    if let Some(socket) = &around.unit_socket {
        return if is_there(socket) {
            Check::good(name, format!("systemd makes it, behind {}", socket.display()))
        } else {
            let found = format!("nobody listens on {}", socket.display());
            Check::lacking(name, found, WITHOUT, "systemctl start kernelsight-reason.socket")
        };
    }
    let socket = agent::midwife_socket(settings);
    if is_there(&socket) {
        return Check::good(name, format!("the agent makes it, behind {}", socket.display()));
    }
    if is_there(&settings.socket) {
        let found = format!("the agent runs, and nobody listens on {}", socket.display());
        let mend = format!("start the agent anew, with [model] in {DEFAULT_FILE}; its log tells what kept it");
        return Check::lacking(name, found, WITHOUT, &mend);
    }
    Check::good(name, "the agent makes it when it runs")
}

/// The paths of sockets that listen, of `/proc/net/unix`. A path may hold spaces, and no other column does.
#[must_use]
pub fn listening(table: &str) -> Vec<PathBuf> {
    let accepts = |line: &str| {
        let (columns, path) = line.split_once(" /")?;
        let flags = u32::from_str_radix(columns.split_whitespace().nth(3)?, 16).ok()?;
        (flags & ACCEPTS != 0).then(|| PathBuf::from(format!("/{path}")))
    };
    table.lines().filter_map(accepts).collect()
}
