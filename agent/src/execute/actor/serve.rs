//! The actor's side: one question, judged anew, and one executor.

use std::{
    io::{self, BufReader, IoSliceMut, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
    time::Duration,
};

use nix::{
    cmsg_space,
    sys::{
        prctl,
        socket::{ControlMessageOwned, MsgFlags, UnixAddr, getsockopt, recvmsg, sockopt::PeerCredentials},
    },
};

use super::{
    keep::keep_to,
    message::{Answer, Ask, Word},
};
use crate::{
    config::Settings,
    execute::{
        Policy,
        action::{Found, Power},
        command::Command,
        handed::Handed,
        process::Process,
        run::TIMEOUT,
        sandbox::{Launcher, Passed, Station, sys},
        undo::{ProcessSetting, Setting},
    },
    observe::ProcessId,
    text::Text,
};

/// The daemon asks at once, and gives its word as soon as the intent is on disk.
const WORD_WITHIN: Duration = Duration::from_secs(60);
/// Looks whether a standing executor has ended, or is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The hidden role of the executable: `kernelsight actor POWER`, with a daemon's connection as standard input.
#[must_use]
pub fn actor_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It may quote what it was sent.
            eprintln!("kernelsight: actor: {}", Text::from(error.as_str()));
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let said = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    prctl::set_dumpable(false)
        .and_then(|()| prctl::set_name(c"ks-actor"))
        .map_err(|error| said("it could not hide", &error))?;
    let power = std::env::args().nth(2).unwrap_or_default();
    let power = Power::ALL
        .into_iter()
        .find(|one| one.unit() == power)
        .ok_or_else(|| format!("`{}` is no power", power.escape_default()))?;
    let not_called = |error: &dyn std::fmt::Display| said("it is started by its socket, and by nothing else", error);
    let connection = io::stdin().as_fd().try_clone_to_owned().map_err(|error| not_called(&error))?;
    let peer = getsockopt(&connection, PeerCredentials).map_err(|error| not_called(&error))?;
    let mut connection = UnixStream::from(connection);
    connection
        .set_read_timeout(Some(WORD_WITHIN))
        .and_then(|()| connection.set_write_timeout(Some(WORD_WITHIN)))
        .map_err(|error| not_called(&error))?;
    let kept = keep_to(power);
    let (ask, _lock) = first(&connection).map_err(|error| said("the daemon's question", &error))?;
    let daemon = u32::try_from(peer.pid()).unwrap_or_default();
    let kept = kept.map_err(|reason| format!("it could not be confined, so it does nothing: {reason}"));
    let ready = match kept.and_then(|()| get_ready(power, daemon, ask)) {
        Ok(ready) => ready,
        Err(reason) => {
            return tell(&mut connection, &Answer::Refused { reason }).map(drop);
        }
    };
    if !tell(&mut connection, &Answer::Ready)? {
        return Ok(());
    }
    let mut words = BufReader::new(connection.try_clone().map_err(|error| said("the connection", &error))?);
    // A dry run, or a daemon that thought better of it.
    let Some(word) = Word::receive(&mut words).map_err(|error| said("the daemon's word", &error))? else {
        return Ok(());
    };
    connection.set_read_timeout(None).map_err(|error| said("the connection", &error))?;
    let answer = match word {
        Word::Run => ready.run(&connection),
        Word::Stand => ready.stand(&mut connection),
    };
    let answer = answer.unwrap_or_else(|reason| Answer::Refused { reason });
    tell(&mut connection, &answer).map(drop)
}

/// False: the daemon has gone, which is its right.
fn tell(connection: &mut UnixStream, answer: &Answer) -> Result<bool, String> {
    match answer.send(connection) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(false),
        Err(error) => Err(format!("the daemon could not be told: {error}")),
    }
}

/// The question, and the lock that came with it, which is held to the end.
fn first(connection: &UnixStream) -> io::Result<(Ask, Option<OwnedFd>)> {
    let mut line = vec![0; 16 << 10];
    let mut space = cmsg_space!([std::os::fd::RawFd; 1]);
    let mut buffers = [IoSliceMut::new(&mut line)];
    let received =
        recvmsg::<UnixAddr>(connection.as_raw_fd(), &mut buffers, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let lock = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    let lock = lock.and_then(sys::own);
    let bytes = received.bytes;
    let mut came = line.get(..bytes).unwrap_or_default();
    // A long question comes in pieces; byte by byte, so that nothing beyond it is taken.
    let ask = Ask::receive(&mut (&mut came).chain(BufReader::with_capacity(1, connection)))?;
    match ask {
        Some(ask) if came.is_empty() => Ok((ask, lock)),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "more came than one question")),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// What would be done, pinned: nothing of it can come to mean another.
struct Prepared {
    launcher: Launcher,
    power: Power,
    /// None: nothing is to be done, only attested.
    act: Option<Act>,
}

struct Act {
    command: Command,
    process: Option<Process>,
    handed: Handed,
    /// Of the network interface.
    index: Option<u32>,
}

/// All that an actor asks of itself before it says that it is ready.
fn get_ready(power: Power, daemon: u32, ask: Ask) -> Result<Prepared, String> {
    let reason = |error: &dyn std::fmt::Display| error.to_string();
    let timeout = match &ask {
        Ask::Attest {} => TIMEOUT,
        Ask::Act { timeout_ms, .. } => Duration::from_millis(*timeout_ms).min(TIMEOUT),
    };
    let executable = Path::new("/proc/self/exe");
    let launcher = Launcher::new(executable, timeout, Station::Actor).map_err(|error| reason(&error))?;
    let Ask::Act { command, way, rule, process, file, home, .. } = ask else {
        launcher.attest(power).map_err(|error| reason(&error))?;
        return Ok(Prepared { launcher, power, act: None });
    };
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let command = Command::parse(&words).map_err(|error| reason(&error))?;
    if command.power() != power {
        return Err(format!("`{command}` is not done with this power"));
    }
    let settings = Settings::load(None).map_err(|error| reason(&error))?;
    let policy = Policy::for_actor(settings.policies.as_deref(), &rule, daemon).map_err(|error| reason(&error))?;
    let found = policy.judge_again(&command, way).map_err(|denied| denied.denial().reason)?;
    let process = match (found, process) {
        (Found::Process(found), Some(asked)) if found.id == asked => Some(found),
        (Found::Process(found), _) => {
            return Err(format!("pid {} is not the process that was judged", found.id.pid));
        }
        (_, Some(asked)) => return Err(format!("`{command}` acts on no process, and {} was named", asked.pid)),
        (_, None) => None,
    };
    launcher.can(power, process.as_ref()).map_err(|error| reason(&error))?;
    let index = file.as_ref().and_then(Setting::index);
    let file = match file {
        Some(setting) if is_of(&setting, &command, process.as_ref().map(|process| process.id)) => {
            // A file of a process is its owner's.
            let opened = match (&setting, &process) {
                (Setting::Process { .. }, Some(process)) => process.as_owner(|| setting.open_to_write()),
                _ => setting.open_to_write(),
            };
            Some(opened.map_err(|error| reason(&error))?)
        }
        Some(setting) => return Err(format!("`{command}` does not write {}", setting.name())),
        None => None,
    };
    let handed = Handed::for_command(&command, process.as_ref(), file, home.as_deref());
    let handed = handed.map_err(|error| reason(&error))?;
    Ok(Prepared { launcher, power, act: Some(Act { command, process, handed, index }) })
}

/// Whether this is the one file that the command writes.
fn is_of(setting: &Setting, command: &Command, process: Option<ProcessId>) -> bool {
    match (setting, command) {
        (Setting::Sysctl { key }, Command::Sysctl { key: named, .. }) => key == named.name(),
        (Setting::Cgroup { path, file, .. }, Command::Cgset { file: named, path: place, .. }) => {
            path == place.as_str() && file == named.name()
        }
        (Setting::Process { process: of, what: ProcessSetting::OomScoreAdj }, Command::Choom { .. }) => {
            process == Some(*of)
        }
        (Setting::Unit { unit, run }, Command::Restart { unit: named, run: of }) => unit == named.as_str() && run == of,
        (
            Setting::Property { path, property },
            Command::SetProperty { property: named, path: place, .. }
            | Command::ResetProperty { property: named, path: place, .. },
        ) => path == place.as_str() && property == named,
        (Setting::File { path, .. }, Command::Truncate { path: named })
        | (Setting::Mount { path, .. }, Command::Thaw { path: named }) => path == named.as_str(),
        (
            Setting::Qdisc { interface, .. },
            Command::DeleteQdisc { interface: named, .. } | Command::AddQdisc { interface: named, .. },
        )
        | (
            Setting::Link { interface, .. },
            Command::SetSpeed { interface: named, .. } | Command::SetLink { interface: named, .. },
        ) => interface == named.as_str(),
        _ => false,
    }
}

impl Prepared {
    /// To its end, or the daemon's: with this process its executor ends.
    fn run(self, connection: &UnixStream) -> Result<Answer, String> {
        let mut daemon = connection.try_clone().map_err(|error| error.to_string())?;
        std::thread::spawn(move || {
            // Nothing more is said: this returns when the daemon is gone, or has heard how it ended.
            let _ = daemon.read(&mut [0]);
            std::process::exit(0);
        });
        let act = self.act.ok_or("nothing was asked for")?;
        let run = act.handed.carry_out(&self.launcher, &act.command, act.process.as_ref(), act.index);
        Ok(Answer::Finished { finished: run.map_err(|error| error.to_string())? })
    }

    /// Until the daemon shuts its side, or the executor ends by itself.
    fn stand(self, connection: &mut UnixStream) -> Result<Answer, String> {
        let act = self.act.ok_or("nothing was asked for")?;
        let passed = Passed { process: act.process.as_ref(), files: act.handed.files(), index: act.index };
        let stood = self.launcher.stand(&act.command.arguments(), self.power, passed);
        let standing = match stood.map_err(|error| error.to_string())? {
            Ok(standing) => standing,
            Err(finished) => return Ok(Answer::Finished { finished }),
        };
        let told = Answer::Standing.send(connection);
        connection.set_read_timeout(Some(LOOK_EVERY)).map_err(|error| error.to_string())?;
        while told.is_ok() && !standing.has_ended() {
            match connection.read(&mut [0]) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                _ => break,
            }
        }
        Ok(Answer::Finished { finished: standing.end().map_err(|error| error.to_string())? })
    }
}
