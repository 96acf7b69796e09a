//! Serve: the unix socket, and MCP on it. Who connects is told by the kernel, what it costs is bounded here.

mod frame;
mod guard;
pub mod peer;
mod session;
mod socket;

use std::{future::Future, sync::Arc, time::Duration};

use nix::unistd::{Gid, Uid};
use rmcp::service::serve_server;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, SemaphorePermit},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

pub use frame::{Frame, FrameTooLong};
pub use guard::{FRAME_BYTES, FRAME_WITHIN, IDLE_FOR};
pub use session::IN_FLIGHT;
pub use socket::SocketError;

use crate::{
    config::Settings,
    live::{Daemon, Operator},
    tools::{Caller, Role},
};

/// Clients that are served at once.
pub const CLIENTS: usize = 64;
/// Of these, the most that are not [`Role::Admin`]: an operator finds the door open whoever else stands in it.
pub const CLIENTS_NOT_ADMIN: usize = 48;
/// Clients that wait for their turn; more are turned away.
const WAITING: usize = 64;
/// Of these, the most that are not [`Role::Admin`].
const WAITING_NOT_ADMIN: usize = 32;
/// How long a client waits for its turn, and how long it may take to say what it speaks.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// Whoever knocks on and on is not to fill the log: those who are turned away are counted, and said this often.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// Pause after the listener failed (descriptors ran out), so that it is no busy loop.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Tells a role from the credentials of a peer.
pub type Roles = Arc<dyn Fn(Uid, Gid) -> Role + Send + Sync>;

/// Serves until `shutdown`, and removes the socket then.
///
/// # Errors
/// When the socket cannot be made; nothing after that ends it.
pub async fn serve(
    daemon: Daemon,
    settings: &Settings,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), SocketError> {
    serve_as(daemon, settings, Arc::new(peer::role), shutdown).await
}

/// As [`serve`], with other roles than the user database gives.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve_as(
    daemon: Daemon,
    settings: &Settings,
    roles: Roles,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), SocketError> {
    let (listener, _bound) = socket::bind(&settings.socket).await?;
    tokio::select! {
        () = accept(listener, daemon, roles) => {}
        () = shutdown => {}
    }
    Ok(())
}

/// The places at the door.
#[derive(Debug)]
struct Places {
    all: Semaphore,
    not_admin: Semaphore,
    waiting_not_admin: Semaphore,
}

impl Places {
    /// A place at the door, and for those that are no admin one of theirs; none when too many wait already.
    async fn turn(&self, role: Role) -> Option<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>)> {
        let common = if role == Role::Admin {
            None
        } else {
            let _waiting = self.waiting_not_admin.try_acquire().ok()?;
            Some(self.not_admin.acquire().await.ok()?)
        };
        Some((common, self.all.acquire().await.ok()?))
    }
}

async fn accept(listener: UnixListener, daemon: Daemon, roles: Roles) {
    let places = Arc::new(Places {
        all: Semaphore::new(CLIENTS),
        not_admin: Semaphore::new(CLIENTS_NOT_ADMIN),
        waiting_not_admin: Semaphore::new(WAITING_NOT_ADMIN),
    });
    // Dropped with this future, so a shutdown ends every client.
    let mut clients = JoinSet::new();
    let mut crowd = Crowd::default();
    loop {
        let accepted = listener.accept().await;
        while clients.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if clients.len() < CLIENTS + WAITING => {
                clients.spawn(client(stream, daemon.clone(), Arc::clone(&roles), Arc::clone(&places)));
            }
            Ok((stream, _)) => {
                drop(stream);
                crowd.turned_away(clients.len());
            }
            Err(error) => {
                crowd.not_accepted(&error);
                sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// Clients that were not let in, since that was said last.
#[derive(Debug, Default)]
struct Crowd {
    away: u64,
    said: Option<Instant>,
}

impl Crowd {
    fn turned_away(&mut self, served: usize) {
        self.away += 1;
        if self.is_due() {
            tracing::warn!(served, away = self.away, "clients were turned away: too many are connected");
            self.away = 0;
        }
    }

    fn not_accepted(&mut self, error: &std::io::Error) {
        if self.is_due() {
            tracing::warn!(%error, "clients cannot be accepted, which is tried again");
        }
    }

    fn is_due(&mut self) -> bool {
        let due = self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
        if due {
            self.said = Some(Instant::now());
        }
        due
    }
}

async fn client(stream: UnixStream, daemon: Daemon, roles: Roles, places: Arc<Places>) {
    let Some(caller) = identify(&stream, roles).await else { return };
    let Ok(Some(_turn)) = timeout(TURN_WITHIN, places.turn(caller.role)).await else {
        tracing::warn!(who = %caller.operator.name, "a client was turned away: its turn did not come");
        return;
    };
    attend(stream, daemon, caller).await;
}

/// Serves one client whose role is known, to its end.
pub async fn attend(stream: UnixStream, daemon: Daemon, caller: Caller) {
    let transport = guard::transport(stream);
    let session = session::Session::new(daemon, caller);
    match timeout(TURN_WITHIN, serve_server(session, transport)).await {
        Ok(Ok(running)) => drop(running.waiting().await),
        Ok(Err(error)) => tracing::debug!(%error, "a client did not begin as MCP does"),
        Err(_) => tracing::debug!("a client did not begin in time"),
    }
}

async fn identify(stream: &UnixStream, roles: Roles) -> Option<Caller> {
    let credentials = stream.peer_cred().ok()?;
    let (uid, gid) = (Uid::from_raw(credentials.uid()), Gid::from_raw(credentials.gid()));
    // The user database may ask a network.
    let (role, name) = tokio::task::spawn_blocking(move || (roles(uid, gid), peer::name(uid))).await.ok()?;
    let operator = Operator { uid: uid.as_raw(), pid: credentials.pid().unwrap_or(0), name };
    Some(Caller::new(operator, role))
}
