//! `mcp`: the daemon's tools for any MCP client that speaks by standard input and output. Both ways carry one JSON
//! message a line, so what comes in on one side goes out on the other as it is.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use clap::Args;

use super::{CliError, Context, client};

#[derive(Clone, Copy, Debug, Args)]
pub struct Mcp {}

/// Which end broke.
enum Broken {
    Read,
    Write(io::Error),
}

impl Mcp {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let failed = |source: io::Error| CliError::Failed { reason: format!("the daemon's socket: {source}") };
        let connected = UnixStream::connect(&context.socket);
        let answers = connected.map_err(|error| client::unreachable(&context.socket, &error))?;
        let questions = answers.try_clone().map_err(failed)?;
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        // Ends with the process.
        thread::spawn(move || {
            if pass(io::stdin().lock(), &questions).is_ok() {
                done.store(true, Ordering::Release);
                // The daemon sees that nothing more comes; that it is gone already, the other way sees.
                _ = questions.shutdown(Shutdown::Write);
            }
        });
        match pass(&answers, io::stdout().lock()) {
            Err(Broken::Write(source)) => Err(CliError::Print { source }),
            _ if is_done.load(Ordering::Acquire) => Ok(()),
            _ => Err(CliError::Failed { reason: "the daemon closed the connection".to_owned() }),
        }
    }
}

/// Copies until the end, each piece as soon as it is there.
fn pass(mut from: impl Read, mut to: impl Write) -> Result<(), Broken> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Broken::Read),
        };
        to.write_all(&piece[..read]).and_then(|()| to.flush()).map_err(Broken::Write)?;
    }
}
