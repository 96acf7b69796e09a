//! The daemon's side: an actor is asked, answers that it is ready, and is given the word.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, IoSlice},
    net::Shutdown,
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg},
};

use super::message::{ASK_MAX, Answer, Ask, Word};
use crate::{
    execute::{
        action::Power,
        hands::Task,
        line,
        sandbox::{Finished, SandboxError},
    },
    lock,
};

/// An actor is started for each connection; on a machine that suffers that takes time.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Beyond an executor's own time: for its end, and for the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// An actor whose daemon has taken the word back goes; so long it may take.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// Those that are asked in one go are asked within this.
const ATTESTED_WITHIN: Duration = Duration::from_secs(20);

/// The actors of this node.
#[derive(Debug)]
pub(in crate::execute) struct Actors {
    directory: PathBuf,
    timeout: Duration,
    lock_at: PathBuf,
    /// Locked. Each actor is passed a copy, so that it stays locked until the last one is gone that this daemon asked:
    /// it is never unlocked, only closed. None while another has it.
    lock: OnceLock<File>,
    /// Whether each can be had, or why not, as it was found the last time that it was asked.
    found: Mutex<BTreeMap<Power, Result<(), String>>>,
}

/// An actor that waits for the word.
#[derive(Debug)]
pub(in crate::execute) struct Ready {
    said: BufReader<UnixStream>,
    power: Power,
    timeout: Duration,
}

/// An actor whose executor stands.
#[derive(Debug)]
pub(in crate::execute) struct Standing {
    said: BufReader<UnixStream>,
    power: Power,
}

impl Actors {
    /// The actors whose sockets are in `directory`. None is asked before [`Self::earlier_are_gone`].
    pub(in crate::execute) fn new(directory: &Path, lock_at: &Path, timeout: Duration) -> Self {
        Self {
            directory: directory.to_owned(),
            timeout,
            lock_at: lock_at.to_owned(),
            lock: OnceLock::new(),
            found: Mutex::default(),
        }
    }

    /// Waits until those that an earlier daemon asked are gone: what they did or did not do is certain then.
    pub(in crate::execute) fn earlier_are_gone(&self, within: Duration) -> Result<(), SandboxError> {
        if self.lock.get().is_none() {
            let lock = lock::take(&self.lock_at, within).map_err(|source| self.not_locked(source))?;
            // A second one of this process would not have got it.
            let _ = self.lock.set(lock);
        }
        Ok(())
    }

    fn not_locked(&self, source: io::Error) -> SandboxError {
        SandboxError::NoLock { path: self.lock_at.clone(), source }
    }

    /// Asks those of which it is not known that they could act: all of them at first. One after the other, so that a
    /// slow machine is none the slower; those that there is no time for are asked the next time.
    pub(in crate::execute) fn attest(&self) {
        let until = Instant::now() + ATTESTED_WITHIN;
        let known: Vec<Power> =
            self.found().iter().filter_map(|(power, found)| found.is_ok().then_some(*power)).collect();
        let powers = Power::ALL.into_iter().filter(|power| !power.is_harmless() && !known.contains(power));
        for power in powers.take_while(|_| Instant::now() < until) {
            // What comes of it is kept, and told with the parts.
            let _ = self.attest_one(power);
        }
    }

    fn attest_one(&self, power: Power) -> Result<(), SandboxError> {
        let attested = self.ask(power, &Ask::Attest {}).map(drop);
        if let Err(error) = &attested {
            self.found().insert(power, Err(error.to_string()));
        }
        attested
    }

    /// Whether the actor of a power could act, as it was found when it was last asked.
    pub(in crate::execute) fn could(&self, power: Power) -> Result<(), SandboxError> {
        let found = self.found().get(&power).cloned();
        match found {
            Some(found) => found.map_err(SandboxError::KnownMissing),
            None => self.attest_one(power),
        }
    }

    /// Each power of which something is known, and why nobody can act with it.
    pub(in crate::execute) fn told(&self) -> Vec<(Power, Option<String>)> {
        self.found().iter().map(|(power, found)| (*power, found.clone().err())).collect()
    }

    /// Asks for an executor. Nothing is done before the word is given, and nothing if what comes back is dropped.
    pub(in crate::execute) fn ready(&self, task: &Task<'_>) -> Result<Ready, SandboxError> {
        let ask = Ask::Act {
            command: task.command.arguments(),
            way: task.way,
            rule: task.rule.to_owned(),
            process: task.process.map(|process| process.id),
            file: task.file.cloned(),
            home: task.home.cloned().map(Box::new),
            timeout_ms: self.timeout.as_millis().try_into().unwrap_or(u64::MAX),
        };
        let said = self.ask(task.command.power(), &ask)?;
        Ok(Ready { said, power: task.command.power(), timeout: self.timeout })
    }

    fn ask(&self, power: Power, ask: &Ask) -> Result<BufReader<UnixStream>, SandboxError> {
        let asked = self.connect(power, ask).and_then(|mut said| Ok((answer(&mut said, power)?, said)));
        match asked {
            Ok((answered, said)) => {
                self.found().insert(power, Ok(()));
                match answered {
                    Answer::Ready => Ok(said),
                    Answer::Refused { reason } => Err(SandboxError::ActorRefused { power, reason }),
                    Answer::Standing | Answer::Finished { .. } => Err(out_of_turn(power)),
                }
            }
            Err(error) => {
                self.found().insert(power, Err(error.to_string()));
                Err(error)
            }
        }
    }

    fn connect(&self, power: Power, ask: &Ask) -> Result<BufReader<UnixStream>, SandboxError> {
        let failed = |source| failed(power, source);
        let lock = self.lock.get().ok_or_else(|| self.not_locked(io::ErrorKind::WouldBlock.into()))?;
        let actor = UnixStream::connect(self.directory.join(power.unit())).map_err(failed)?;
        actor.set_read_timeout(Some(READY_WITHIN)).map_err(failed)?;
        actor.set_write_timeout(Some(READY_WITHIN)).map_err(failed)?;
        let line = line::write(ask, ASK_MAX).map_err(failed)?;
        let lock = [lock.as_raw_fd()];
        let passed = [ControlMessage::ScmRights(&lock)];
        let sent =
            sendmsg::<UnixAddr>(actor.as_raw_fd(), &[IoSlice::new(&line)], &passed, MsgFlags::MSG_NOSIGNAL, None);
        if sent.map_err(|error| failed(error.into()))? < line.len() {
            return Err(failed(io::ErrorKind::WriteZero.into()));
        }
        Ok(BufReader::new(actor))
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<Power, Result<(), String>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ready {
    /// Gives the word, and waits for the executor's end.
    pub(in crate::execute) fn run(mut self) -> Result<Finished, SandboxError> {
        match self.give(&Word::Run) {
            Ok(Answer::Finished { finished }) => Ok(finished),
            Ok(Answer::Refused { reason }) => Err(SandboxError::ActorRefused { power: self.power, reason }),
            Ok(Answer::Ready | Answer::Standing) => Err(gone(&mut self.said, out_of_turn(self.power))),
            Err(error) => Err(gone(&mut self.said, error)),
        }
    }

    /// Gives the word to an executor that stands; `Err` in the answer is what it said instead of starting.
    pub(in crate::execute) fn stand(mut self) -> Result<Result<Standing, Finished>, SandboxError> {
        match self.give(&Word::Stand) {
            Ok(Answer::Standing) => Ok(Ok(Standing { said: self.said, power: self.power })),
            Ok(Answer::Finished { finished }) => Ok(Err(finished)),
            Ok(Answer::Refused { reason }) => Err(SandboxError::ActorRefused { power: self.power, reason }),
            Ok(Answer::Ready) => Err(gone(&mut self.said, out_of_turn(self.power))),
            Err(error) => Err(gone(&mut self.said, error)),
        }
    }

    fn give(&mut self, word: &Word) -> Result<Answer, SandboxError> {
        let actor = self.said.get_mut();
        actor
            .set_read_timeout(Some(self.timeout + ANSWER_WITHIN))
            .and_then(|()| word.send(actor))
            .map_err(|source| failed(self.power, source))?;
        answer(&mut self.said, self.power)
    }
}

impl Standing {
    /// Whether the executor has ended by itself: then the actor has said so, or is gone.
    pub(in crate::execute) fn has_ended(&self) -> bool {
        let mut waiting = [PollFd::new(self.said.get_ref().as_fd(), PollFlags::POLLIN)];
        !self.said.buffer().is_empty() || poll(&mut waiting, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Tells it to end, and waits for that.
    pub(in crate::execute) fn end(mut self) -> Result<Finished, SandboxError> {
        // One that is gone already needs not be told.
        let _ = self.said.get_ref().shutdown(Shutdown::Write);
        match answer(&mut self.said, self.power) {
            Ok(Answer::Finished { finished }) => Ok(finished),
            Ok(Answer::Refused { reason }) => Err(SandboxError::ActorRefused { power: self.power, reason }),
            Ok(Answer::Ready | Answer::Standing) => Err(gone(&mut self.said, out_of_turn(self.power))),
            Err(error) => Err(gone(&mut self.said, error)),
        }
    }
}

/// After an error: takes the word back, and waits until the actor is gone, whose end of the connection closes then.
/// Whoever puts back what was half done must not be overtaken by it.
fn gone(said: &mut BufReader<UnixStream>, error: SandboxError) -> SandboxError {
    let actor = said.get_ref();
    let told = actor.shutdown(Shutdown::Write).and_then(|()| actor.set_read_timeout(Some(GONE_WITHIN)));
    match told.and_then(|()| io::copy(said, &mut io::sink())) {
        // It may have been gone before it could be told.
        Err(source) if matches!(source.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            SandboxError::StillThere { error: error.to_string() }
        }
        _ => error,
    }
}

fn answer(said: &mut BufReader<UnixStream>, power: Power) -> Result<Answer, SandboxError> {
    let late = |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    let answer = Answer::receive(said).map_err(|source| match late(&source) {
        true => failed(power, io::Error::new(io::ErrorKind::TimedOut, "it took too long")),
        false => failed(power, source),
    })?;
    answer.ok_or_else(|| failed(power, io::ErrorKind::UnexpectedEof.into()))
}

fn failed(power: Power, source: io::Error) -> SandboxError {
    SandboxError::NoActor { power, source }
}

fn out_of_turn(power: Power) -> SandboxError {
    failed(power, io::Error::new(io::ErrorKind::InvalidData, "it answers what it was not asked"))
}
