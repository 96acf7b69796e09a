//! `fd_exhaustion`: a service that opens more files than its limit, needs or leaks them, and goes on serving.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::Result;
use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Load, check_as, ground::Ground, settings_of};

pub(super) const LOAD: Load = Load { name: "fd_exhaustion", check: check_as::<Settings>, run };

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Soft limit of open files; the hard one stays, so that an operator can raise it.
    limit: u64,
    /// So many it needs open; none: it leaks without end.
    wants: Option<u64>,
    opens_per_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limit: 64, wants: None, opens_per_s: 500 }
    }
}

fn run(ground: &mut Ground, settings: Value) -> Result<()> {
    let settings: Settings = settings_of(settings)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, settings.limit.min(hard), hard)?;
    // What it serves goes over a connection that it already has.
    let mut connection = UnixStream::pair()?;
    ground.started(&[std::process::id()])?;
    let mut held = Vec::new();
    let (mut refused, mut served) = (0_u64, 0_u64);
    let pause = Duration::from_secs(1) / u32::try_from(settings.opens_per_s.clamp(1, 100_000))?;
    while !ground.over() {
        if settings.wants.is_some_and(|wants| held.len() as u64 >= wants) {
            // It has what it needs, and goes on to open and close.
            held.pop();
        }
        match File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) if error.raw_os_error() == Some(Errno::EMFILE as i32) => refused += 1,
            Err(error) => return Err(error.into()),
        }
        serve(&mut connection)?;
        served += 1;
        std::thread::sleep(pause);
        let open = held.len();
        ground.report(|seconds| {
            let line = json!({
                "open_files": open,
                "refused_per_s": (refused as f64 / seconds).round(),
                "served_per_s": (served as f64 / seconds).round(),
            });
            (refused, served) = (0, 0);
            line
        })?;
    }
    Ok(())
}

/// One request and its answer, both here.
pub(super) fn serve((client, server): &mut (UnixStream, UnixStream)) -> Result<()> {
    let mut request = *b"?";
    client.write_all(&request)?;
    Ok(server.read_exact(&mut request)?)
}
