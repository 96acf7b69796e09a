//! How a tool asks the spine and the store: bounded waits, and errors that say what to do.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

use super::{Caller, Role, ToolError, params::Prose};
use crate::{
    explain::Incident,
    live::{Daemon, Live, Order},
    mind::ModelStatus,
    observe::{Entity, ProcessId},
    store::{Reader, Store, StoreError},
};

/// Longest wait for the spine: an action runs 30 s at most, and its capture and its undo note take their time too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives the spine an order and waits for its answer.
///
/// # Errors
/// What the spine says, or that it is late or stopping.
pub async fn order<T>(
    daemon: &Daemon,
    order: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Order,
) -> Result<T, ToolError> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        daemon.orders.send(order(reply)).await.map_err(|_| ToolError::Stopping)?;
        answer.await.map_err(|_| ToolError::Stopping)
    };
    let late = || ToolError::Late { seconds: PATIENCE.as_secs() };
    timeout(PATIENCE, asked).await.map_err(|_| late())??.map_err(|reason| ToolError::Refused { reason })
}

/// Reads the database on a thread that may block.
///
/// # Errors
/// [`ToolError::Store`], or [`ToolError::NotFound`] when what was asked for is not there.
pub async fn read<T: Send + 'static>(
    daemon: &Daemon,
    query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ToolError> {
    let store = daemon.store.clone();
    let asked = tokio::task::spawn_blocking(move || query(&store.reader()?)).await;
    match asked {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(StoreError::Absent { what, id })) => {
            Err(ToolError::NotFound { what: format!("{what} {id}"), hint: "list what there is first" })
        }
        Ok(Err(error @ StoreError::Ambiguous { .. })) => Err(ToolError::Refused { reason: error.to_string() }),
        Ok(Err(error)) => Err(ToolError::Store { problem: error.to_string() }),
        Err(_) => Err(ToolError::Store { problem: "the read was cut off".to_owned() }),
    }
}

/// Writes to the database on a thread that may block.
///
/// # Errors
/// [`ToolError::Store`] when it is not on disk.
pub async fn write(
    daemon: &Daemon,
    keep: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), ToolError> {
    let store = daemon.store.clone();
    let problem = |problem: String| ToolError::Store { problem };
    let kept = tokio::task::spawn_blocking(move || keep(&store)).await;
    kept.map_err(|error| problem(error.to_string()))?.map_err(|error| problem(error.to_string()))
}

/// The incident whose id is or begins so, open or over.
///
/// # Errors
/// [`ToolError::NotFound`], or that there is more than one.
pub async fn incident(daemon: &Daemon, prefix: Prose<64>) -> Result<Incident, ToolError> {
    let prefix = prefix.into_string();
    if let Some(open) = one_that_begins(&daemon.look().incidents, &prefix) {
        return Ok(open);
    }
    let wanted = prefix.clone();
    read(daemon, move |reader| reader.incident(&wanted)).await?.ok_or_else(|| ToolError::NotFound {
        what: format!("incident {}", prefix.escape_default()),
        hint: "see `kernelsight incidents` (list_incidents) for those that are",
    })
}

/// The open incident whose id begins so, if it is the only one.
fn one_that_begins(incidents: &[Incident], prefix: &str) -> Option<Incident> {
    let mut found = incidents.iter().filter(|incident| incident.uid.0.starts_with(prefix));
    match (found.next(), found.next()) {
        (Some(incident), None) => Some(incident.clone()),
        _ => None,
    }
}

/// How the model is that is asked beside the rules, for people: a model is told nothing of itself.
pub(super) fn model(daemon: &Daemon, caller: &Caller) -> Option<ModelStatus> {
    (caller.role != Role::Model).then(|| daemon.mind.status()).flatten()
}

/// An entity's key as it is said to people; a process by its name while it lives.
#[must_use]
pub fn who(live: &Live, key: &str) -> String {
    let Some((kind, name)) = key.split_once(':') else { return key.to_owned() };
    let running = || {
        let (pid, start_ticks) = name.split_once('@')?;
        let id = ProcessId { pid: pid.parse().ok()?, start_ticks: start_ticks.parse().ok()? };
        let found = live.window.now()?.processes.iter().find(|process| process.sample.id == id)?;
        Some(Entity::Process { id, comm: found.sample.comm.clone() }.to_string())
    };
    let known = if kind == "process" { running() } else { None };
    known.unwrap_or_else(|| format!("{kind} {name}"))
}
