//! The client's side of the door.

use std::{io, path::Path, path::PathBuf, time::Duration};

use rmcp::{
    RoleClient,
    model::CallToolRequestParams,
    service::{RunningService, ServiceError, serve_client},
};
use serde_json::{Map, Value};
use tokio::{net::UnixStream, time::timeout};

use super::CliError;
use crate::tools::Tool;

/// A daemon that is alive says hello within this.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// The longest that a tool may take, and some more.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    service: RunningService<RoleClient, ()>,
}

impl Client {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`CliError::NoDaemon`] when nobody answers, [`CliError::NotAllowed`] when the socket's mode forbids it.
    pub async fn connect(path: &Path) -> Result<Self, CliError> {
        let stream = UnixStream::connect(path).await.map_err(|error| unreachable(path, &error))?;
        match timeout(HELLO_WITHIN, serve_client((), stream.into_split())).await {
            Ok(Ok(service)) => Ok(Self { path: path.to_owned(), service }),
            _ => Err(CliError::NoDaemon { path: path.to_owned() }),
        }
    }

    /// Calls one tool.
    ///
    /// # Errors
    /// What the tool says, or that the daemon went away.
    pub async fn ask<T: Tool>(&self, params: &T::Params) -> Result<T::Answer, CliError> {
        let failed = |reason: String| CliError::Failed { reason };
        let arguments: Map<String, Value> = match serde_json::to_value(params) {
            Ok(Value::Object(map)) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            other => return Err(failed(format!("{} cannot be asked like that: {other:?}", T::NAME))),
        };
        serde_json::from_value(self.call(T::NAME, arguments).await?).map_err(|error| {
            failed(format!(
                "the daemon answers {} in a way that this program does not know ({error}): is it of the same version?",
                T::NAME
            ))
        })
    }

    /// Calls the tool of that name with these parameters.
    ///
    /// # Errors
    /// What the tool says, or that the daemon went away.
    pub async fn call(&self, tool: &str, params: Map<String, Value>) -> Result<Value, CliError> {
        let failed = |reason: String| CliError::Failed { reason };
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(params);
        let result = match timeout(ANSWER_WITHIN, self.service.call_tool(request)).await {
            Ok(Ok(result)) => result,
            Ok(Err(ServiceError::McpError(error))) => return Err(failed(error.message.into_owned())),
            Ok(Err(ServiceError::TransportClosed | ServiceError::TransportSend(_))) => {
                return Err(failed(format!("the daemon on {} went away before it answered", self.path.display())));
            }
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(format!("the daemon did not answer within {} s", ANSWER_WITHIN.as_secs()))),
        };
        if result.is_error == Some(true) {
            let said: Vec<String> =
                result.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.clone()).collect();
            return Err(failed(said.join("\n")));
        }
        Ok(result.structured_content.unwrap_or_default())
    }

    /// The names of the tools that this user may call.
    ///
    /// # Errors
    /// When the daemon went away.
    pub async fn tools(&self) -> Result<Vec<String>, CliError> {
        let listed = timeout(ANSWER_WITHIN, self.service.list_all_tools()).await;
        let failed =
            |why: &dyn std::fmt::Display| CliError::Failed { reason: format!("the tools are not told: {why}") };
        let tools = listed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(tools.into_iter().map(|tool| tool.name.into_owned()).collect())
    }

    /// Says goodbye.
    pub async fn close(self) {
        // The socket closes either way.
        drop(self.service.cancel().await);
    }
}

/// What it means that nobody could be reached at `path`.
pub(crate) fn unreachable(path: &Path, error: &io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => CliError::NotAllowed { path: path.to_owned() },
        io::ErrorKind::InvalidInput => {
            CliError::Usage { reason: format!("{} cannot be a socket's path: {error}", path.display()) }
        }
        _ => CliError::NoDaemon { path: path.to_owned() },
    }
}

/// A small runtime: one thread, which is the caller's.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed { reason: format!("cannot start: {error}") })
}
