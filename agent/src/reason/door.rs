//! The reasoner's way to the daemon: MCP over the socket that it inherits.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    time::Duration,
};

use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, CallToolResult},
    serve_client,
    service::{Peer, RunningService},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use tokio::{net::UnixStream, sync::mpsc, time::timeout};

use super::desk::{Desk, Told};
use crate::{
    llm::Part,
    mind::brief::{Asking, Brief, Leave, Turn},
    tools::{
        Tool, end_case::EndCase, may_ask::MayAsk, record_turn::RecordTurn, take_case::TakeCase,
        tell_progress::TellProgress,
    },
};

/// The daemon answers within this, whatever is asked: it waits for a case for 20 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Pieces of a reply that may wait to be told; what comes then is not told, but kept with its turn all the same.
const PIECES: usize = 256;

/// Why the daemon cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error("the socket that was inherited cannot be used: {source}")]
    Socket { source: std::io::Error },
    #[error("the daemon does not answer: {reason}")]
    Gone { reason: String },
    #[error("the daemon refuses {tool}: {reason}")]
    Refused { tool: &'static str, reason: String },
    #[error("the daemon answers {tool} in a way that is not understood: {reason}")]
    Strange { tool: &'static str, reason: String },
}

#[derive(Debug)]
pub struct Door {
    service: RunningService<RoleClient, ()>,
    pieces: mpsc::Sender<Map<String, Value>>,
}

impl Door {
    /// Speaks to the daemon over that socket.
    ///
    /// # Errors
    /// When it is no socket, or nobody answers.
    pub async fn open(socket: OwnedFd) -> Result<Self, DoorError> {
        let failed = |source| DoorError::Socket { source };
        let stream = StdStream::from(socket);
        stream.set_nonblocking(true).map_err(failed)?;
        let stream = UnixStream::from_std(stream).map_err(failed)?;
        let service = timeout(ANSWER_WITHIN, serve_client((), stream.into_split()))
            .await
            .map_err(|error| DoorError::Gone { reason: error.to_string() })?
            .map_err(|error| DoorError::Gone { reason: error.to_string() })?;
        let (pieces, waiting) = mpsc::channel(PIECES);
        tokio::spawn(tell_pieces(service.peer().clone(), waiting));
        Ok(Self { service, pieces })
    }

    /// The next case; none for now.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub async fn take_case(&self) -> Result<Option<Brief>, DoorError> {
        Ok(self.ask::<TakeCase>(json!({})).await?.brief.map(|brief| *brief))
    }

    /// # Errors
    /// When the daemon is gone.
    pub async fn give_up(&self, why: &str) -> Result<(), DoorError> {
        self.ask::<EndCase>(json!({ "end": { "with": "nothing", "why": why } })).await.map(drop)
    }

    pub async fn leave(self, within: Duration) {
        // Whether it hears that makes no difference.
        _ = timeout(within, self.service.cancel()).await;
    }

    async fn ask<T: Tool>(&self, params: impl Serialize) -> Result<T::Answer, DoorError>
    where
        T::Answer: DeserializeOwned,
    {
        let strange = |reason: String| DoorError::Strange { tool: T::NAME, reason };
        let params = match serde_json::to_value(params).map_err(|error| strange(error.to_string()))? {
            Value::Object(params) => params,
            other => return Err(strange(format!("{other} is no object"))),
        };
        let result = self.call_tool(T::NAME, params).await?;
        if result.is_error == Some(true) {
            return Err(DoorError::Refused { tool: T::NAME, reason: words(&result) });
        }
        serde_json::from_value(result.structured_content.unwrap_or_default())
            .map_err(|error| strange(error.to_string()))
    }

    async fn call_tool(&self, tool: &str, params: Map<String, Value>) -> Result<CallToolResult, DoorError> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(params);
        let gone = |reason: String| DoorError::Gone { reason };
        let asked = timeout(ANSWER_WITHIN, self.service.call_tool(request)).await;
        asked.map_err(|error| gone(error.to_string()))?.map_err(|error| gone(error.to_string()))
    }
}

/// Tells what is heard, as it comes, to the end.
async fn tell_pieces(peer: Peer<RoleClient>, mut waiting: mpsc::Receiver<Map<String, Value>>) {
    while let Some(params) = waiting.recv().await {
        let request = CallToolRequestParams::new(TellProgress::NAME).with_arguments(params);
        if peer.call_tool(request).await.is_err() {
            return;
        }
    }
}

fn words(result: &CallToolResult) -> String {
    let text = result.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.as_str());
    text.collect::<Vec<_>>().join("\n")
}

impl Desk for Door {
    async fn may_ask(&self, asking: &Asking) -> Leave {
        match self.ask::<MayAsk>(asking).await {
            Ok(leave) => leave,
            Err(error) => Leave::Stop { why: error.to_string() },
        }
    }

    async fn record(&self, turn: &Turn, breaker: Option<String>) {
        // A turn that cannot be kept must not be taken: what follows it asks again, and is told.
        if let Err(error) = self.ask::<RecordTurn>(json!({ "turn": turn, "breaker": breaker })).await {
            tracing::warn!(%error, "a turn was not kept");
        }
    }

    async fn waits(&self, pause: Duration, why: &str) {
        let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let told = self.ask::<TellProgress>(json!({ "progress": { "what": "waits", "ms": ms, "why": why } })).await;
        if let Err(error) = told {
            tracing::warn!(%error, "nobody was told of a wait");
        }
    }

    async fn call(&self, tool: &str, params: &Map<String, Value>) -> Told {
        match self.call_tool(tool, params.clone()).await {
            Ok(result) if result.is_error == Some(true) => Told::Refused(words(&result)),
            Ok(result) => Told::Answer(result.structured_content.unwrap_or_default()),
            Err(error) => Told::Refused(error.to_string()),
        }
    }

    async fn conclude(&self, words: &str, _: u32) -> Told {
        let end = json!({ "end": { "with": "answer", "text": words } });
        match end {
            Value::Object(params) => self.call(EndCase::NAME, &params).await,
            _ => Told::Refused("no object".to_owned()),
        }
    }

    fn heard(&self, voice: &str, part: &Part) {
        let (text, thought) = match part {
            Part::Thought { text, .. } => (text, true),
            Part::Text { text, .. } => (text, false),
            Part::Call { .. } => return,
        };
        // When nobody takes them up fast enough, those who follow miss some.
        if let Value::Object(piece) =
            json!({ "progress": { "what": "said", "voice": voice, "text": text, "thought": thought } })
        {
            _ = self.pieces.try_send(piece);
        }
    }
}
