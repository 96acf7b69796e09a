//! The socket's file: made with its mode and group from the start, never through a symbolic link, and never in place of
//! something that is no socket or that somebody answers on.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
            net::UnixListener as StdListener,
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, Flock, FlockArg, OFlag},
    sys::{
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind as bind_to, listen, socket},
        stat::{Mode, fchmod},
    },
    unistd::{Gid, fchownat},
};
use tokio::{
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::peer;

/// Root and the group may connect.
const SOCKET_MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o755;
const BACKLOG: i32 = 128;
/// How long another daemon gets to answer on a socket that is there already.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is {kind}, not a socket; it is left alone: remove it, or give another path by --socket", path = path.display())]
    NotASocket { path: PathBuf, kind: &'static str },
    #[error("another daemon answers on {path}; only one may run on one socket", path = path.display())]
    InUse { path: PathBuf },
}

/// The file as it was made; dropped, it is removed if it is still that.
#[derive(Debug)]
pub(super) struct Bound {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for Bound {
    /// Removes the file unless somebody put another in its place; however the door is closed, it goes with it.
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the socket could not be removed");
        }
    }
}

/// Makes the directory if it is missing, clears a stale socket, and listens.
pub(super) async fn bind(path: &Path) -> Result<(UnixListener, Bound), SocketError> {
    let failed = |what| move |source: io::Error| SocketError::Io { what, path: path.to_owned(), source };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(parent)
            .map_err(failed("make the directory of"))?;
    }
    // Two daemons that start at once must not remove each other's socket.
    let _one_at_a_time = lock(parent).map_err(failed("lock the directory of"))?;
    clear(path).await?;
    let listener = make(path).map_err(failed("make the socket"))?;
    let identity = identity(path).map_err(failed("look at"))?;
    Ok((listener, Bound { path: path.to_owned(), identity }))
}

fn lock(directory: &Path) -> io::Result<Flock<File>> {
    let directory = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(directory)?;
    Flock::lock(directory, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

/// Removes what is at `path` if it is a socket on which nobody answers.
async fn clear(path: &Path) -> Result<(), SocketError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(SocketError::Io { what: "look at", path: path.to_owned(), source }),
    };
    if !found.is_socket() {
        let kind = if found.is_symlink() {
            "a symbolic link"
        } else if found.is_dir() {
            "a directory"
        } else {
            "a file"
        };
        return Err(SocketError::NotASocket { path: path.to_owned(), kind });
    }
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    match timeout(ANSWER_WITHIN, UnixStream::connect(path)).await {
        Ok(Err(error)) if refused(&error) => fs::remove_file(path).map_err(|source| SocketError::Io {
            what: "remove the stale socket",
            path: path.to_owned(),
            source,
        }),
        // Connected, or too busy to say so: either way somebody listens.
        _ => Err(SocketError::InUse { path: path.to_owned() }),
    }
}

fn make(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file takes its mode from the socket, so that there is no instant at which strangers may connect.
    fchmod(&socket, Mode::from_bits_truncate(SOCKET_MODE))?;
    bind_to(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    if let Some(viewers) = peer::group(peer::VIEWERS) {
        give_to(path, viewers)?;
    }
    // A umask may have taken the group's bits.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    UnixListener::from_std(StdListener::from(socket))
}

/// Without the right to (the daemon runs as a plain user), the group stays as it is.
fn give_to(path: &Path, group: Gid) -> io::Result<()> {
    let here = File::open(path.parent().unwrap_or(Path::new("/")))?;
    match fchownat(&here, path.file_name().unwrap_or_default(), None, Some(group), AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(()) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
