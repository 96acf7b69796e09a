//! The reasoner: a process of its own that is there while there is something to think about. It has the door in the role
//! `model`, and nothing else of the daemon.
//!
//! Each connection to a socket is one: behind it stands the service manager, or else a midwife, which is begun before the
//! daemon keeps itself from the network.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    os::{
        fd::OwnedFd,
        unix::{fs::DirBuilderExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{net::UnixStream, time::sleep};

use crate::{
    config::Settings,
    live::{Daemon, Operator},
    llm,
    mind::{account, settings::Provider},
    serve,
    tools::{Caller, Role},
};

/// Before another one is made where one could not be, or was gone at once.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The midwife's socket, in the state directory, which is the daemon's user's alone.
const SOCKET: &str = "reason.sock";
/// What a reasoner needs of the environment beside keys.
const ENVIRONMENT: [&str; 6] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Where reasoners come from.
#[derive(Debug)]
pub enum Reasoners {
    Behind {
        socket: PathBuf,
        /// Who makes them; none: the service manager.
        midwife: Option<Child>,
    },
    /// None can be had, and why.
    Nowhere(String),
}

impl Reasoners {
    /// Begins the midwife, where one is needed: while this process may still have children with a network.
    #[must_use]
    pub fn begin(settings: &Settings) -> Self {
        if let Some(socket) = &settings.reasoner {
            return Self::Behind { socket: socket.clone(), midwife: None };
        }
        if settings.model.provider.is_none() {
            return Self::Nowhere("the agent was started without `[model] provider` in its settings".to_owned());
        }
        match midwife(settings) {
            Ok((socket, midwife)) => Self::Behind { socket, midwife: Some(midwife) },
            Err(error) => Self::Nowhere(format!("the process that makes it cannot be had: {error}")),
        }
    }

    /// Has a reasoner at the door whenever a case waits, for as long as the daemon lives.
    pub(super) async fn tend(self, daemon: Daemon) {
        if let Self::Nowhere(why) = &self {
            daemon.mind.set_nowhere(why);
        }
        loop {
            if !daemon.mind.is_wanted() {
                daemon.mind.wanted().await;
            }
            match self.connect().await {
                Ok(stream) => {
                    daemon.mind.set_reasoner(None);
                    let begun = Instant::now();
                    let caller = Caller::new(operator(&stream), Role::Model);
                    serve::attend(stream, daemon.clone(), caller).await;
                    account::close(&daemon).await;
                    if !daemon.mind.put_back() && begun.elapsed() < AGAIN_AFTER {
                        give_up(&daemon, "the reasoner ends at once; its log tells why").await;
                    }
                }
                Err(error) => give_up(&daemon, &format!("the reasoner cannot be had: {error}")).await,
            }
        }
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        match self {
            Self::Behind { socket, .. } => UnixStream::connect(socket).await,
            Self::Nowhere(why) => Err(io::Error::other(why.clone())),
        }
    }
}

impl Drop for Reasoners {
    fn drop(&mut self) {
        if let Self::Behind { socket, midwife: Some(midwife) } = self {
            // What is gone already is well.
            _ = midwife.kill();
            _ = midwife.wait();
            _ = fs::remove_file(socket);
        }
    }
}

/// Where the midwife listens, where there is one.
#[must_use]
pub fn midwife_socket(settings: &Settings) -> PathBuf {
    settings.state_dir.join(SOCKET)
}

fn midwife(settings: &Settings) -> io::Result<(PathBuf, Child)> {
    let directory: &Path = &settings.state_dir;
    if !directory.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let socket = midwife_socket(settings);
    if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent has one on this state directory"));
    }
    // Of a daemon that was killed.
    _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["reason", "--midwife"]).env_clear();
    command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null());
    if let Some(file) = &settings.model.key_file {
        command.arg("--key-file").arg(file);
    }
    for (provider, file) in &settings.model.keys {
        command.arg("--key").arg(key_argument(*provider, file));
    }
    let names = ENVIRONMENT.map(str::to_owned).into_iter().chain(llm::key_variables());
    command.envs(names.filter_map(|name| Some((name.clone(), std::env::var_os(&name)?))));
    Ok((socket, command.spawn()?))
}

/// A key's file as a reasoner is told of it: `gemini=/path`.
#[must_use]
pub fn key_argument(provider: Provider, file: &Path) -> OsString {
    let mut argument = OsString::from(provider.name());
    argument.push("=");
    argument.push(file);
    argument
}

/// What waits is told at once that nobody thinks about it.
async fn give_up(daemon: &Daemon, why: &str) {
    tracing::warn!("{why}");
    daemon.mind.set_reasoner(Some(why.to_owned()));
    daemon.mind.give_up(why);
    sleep(AGAIN_AFTER).await;
}

fn operator(stream: &UnixStream) -> Operator {
    let credentials = stream.peer_cred().ok();
    Operator {
        uid: credentials.map_or(0, |credentials| credentials.uid()),
        pid: credentials.and_then(|credentials| credentials.pid()).unwrap_or(0),
        name: "reasoner".to_owned(),
    }
}
