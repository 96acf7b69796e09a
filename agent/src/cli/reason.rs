//! `reason`: the process that thinks with a model, for the daemon. Its standard input is a socket to the daemon's door; that
//! of a midwife listens, and each connection is one such process.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    str::FromStr,
};

use clap::{Args, ValueEnum as _};
use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
    signal::Signal,
};

use super::{CliError, Context, client};
use crate::{
    agent,
    llm::{Keys, Places},
    mind::settings::Provider,
    reason::{self, door::Door},
};

/// The user and group that have nothing.
const NOBODY: u32 = 65534;
/// Reasoners that a midwife has at once; the oldest goes for one more.
const CHILDREN: usize = 4;

#[derive(Debug, Args)]
pub struct Reason {
    /// A file of one line, for its owner alone; without it a credential of the unit, or KERNELSIGHT_MODEL_KEY.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// The same of one provider, of which there may be several.
    #[arg(long = "key", value_name = "PROVIDER=FILE")]
    keys: Vec<KeyFile>,
    /// Make one for each connection.
    #[arg(long)]
    midwife: bool,
}

/// The file of a provider's key, as an argument.
#[derive(Clone, Debug)]
struct KeyFile {
    provider: Provider,
    file: PathBuf,
}

impl FromStr for KeyFile {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let (provider, file) = given.split_once('=').ok_or("it must be as in gemini=/path")?;
        Ok(Self { provider: Provider::from_str(provider, false)?, file: file.into() })
    }
}

impl Reason {
    pub(super) fn run(self, _: &Context) -> Result<(), CliError> {
        let failed = |reason: String| CliError::Failed { reason };
        be_harmless().map_err(|error| failed(format!("the reasoner keeps powers that it must not have: {error}")))?;
        let socket = io::stdin().as_fd().try_clone_to_owned().map_err(|error| failed(error.to_string()))?;
        if self.midwife {
            return self.attend(socket).map_err(|error| failed(format!("no reasoner can be made: {error}")));
        }
        let files = self.keys.into_iter().map(|key| (key.provider.name().to_owned(), key.file)).collect();
        let keys = Keys::find(&Places::of_this_process(self.key_file, files));
        be_nobody().map_err(|error| failed(format!("the reasoner stays the user that it is: {error}")))?;
        client::runtime()?.block_on(async {
            let door = Door::open(socket).await.map_err(|error| failed(error.to_string()))?;
            reason::reason(door, &keys).await.map_err(|error| failed(error.to_string()))
        })
    }

    /// Makes a reasoner of each connection, for as long as the daemon lives.
    fn attend(&self, socket: OwnedFd) -> io::Result<()> {
        let listener = UnixListener::from(socket);
        let mut children: Vec<Child> = Vec::new();
        loop {
            let (connection, _) = listener.accept()?;
            children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if children.len() >= CHILDREN {
                let mut oldest = children.remove(0);
                // One that ended by now is well.
                _ = oldest.kill();
                oldest.wait()?;
            }
            let mut command = Command::new("/proc/self/exe");
            command.arg("reason").stdin(Stdio::from(OwnedFd::from(connection)));
            if let Some(file) = &self.key_file {
                command.arg("--key-file").arg(file);
            }
            for KeyFile { provider, file } in &self.keys {
                command.arg("--key").arg(agent::key_argument(*provider, file));
            }
            children.push(command.spawn()?);
        }
    }
}

/// No core with a key in it, no new privileges, nothing to be looked into by others of its user; and it does not outlive
/// who made it.
fn be_harmless() -> nix::Result<()> {
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}

/// Nobody, without a capability. The keys were read before: they may be for root alone.
fn be_nobody() -> io::Result<()> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    if Uid::effective().is_root() {
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
    }
    capctl::ambient::clear()?;
    capctl::CapState::empty().set_current()?;
    // A change of user lets others of it look, and takes away that it ends with who made it.
    be_harmless()?;
    Ok(())
}
