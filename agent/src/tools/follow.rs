//! `follow`: what happened since this client last asked. It waits for news, so that asking again and again is cheap.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::broadcast::error::{RecvError, TryRecvError},
    time::{Instant, timeout_at},
};

use super::{Audience, Caller, Tier, Tool, ToolError, params::Bounded};
use crate::live::{Daemon, News};

#[derive(Debug)]
pub struct Follow;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// How long to wait for the first news, s.
    pub wait_s: Bounded<0, 30>,
    /// Most news in one answer.
    pub most: Bounded<1, 500>,
    /// Whether the kernel's own events come too.
    pub raw: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { wait_s: Bounded::clamped(20), most: Bounded::clamped(200), raw: false }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Oldest first; empty when nothing happened.
    pub news: Vec<News>,
    /// News that this client was too slow for.
    pub lost: u64,
}

impl Tool for Follow {
    const NAME: &'static str = "follow";
    const DESCRIPTION: &'static str = "What happened since the last follow on this connection (the first one begins to \
        listen): signals, incidents, steps of the loop, notes; with raw, the kernel's events too.";
    const TIER: Tier = Tier::Observe;
    const AUDIENCE: Audience = Audience::People;
    type Params = Params;
    type Answer = Answer;

    async fn call(daemon: &Daemon, caller: &Caller, params: Params) -> Result<Answer, ToolError> {
        let deadline = Instant::now() + Duration::from_secs(params.wait_s.count() as u64);
        let mut news = caller.news.lock().await;
        if params.raw {
            caller.raw.get_or_init(|| Arc::clone(&daemon.look().raw_wanted));
        }
        let receiver = news.get_or_insert_with(|| daemon.news.subscribe());
        let mut answer = Answer { news: Vec::new(), lost: 0 };
        let wanted = |one: &News| params.raw || !matches!(one, News::Raw { .. });
        while answer.news.is_empty() && answer.lost == 0 {
            match timeout_at(deadline, receiver.recv()).await {
                Ok(Ok(one)) if wanted(&one) => answer.news.push(one),
                Ok(Ok(_)) if Instant::now() < deadline => {}
                Ok(Err(RecvError::Lagged(missed))) => answer.lost += missed,
                Ok(Err(RecvError::Closed)) => return Err(ToolError::Stopping),
                Ok(Ok(_)) | Err(_) => return Ok(answer),
            }
        }
        while answer.news.len() < params.most.count() {
            match receiver.try_recv() {
                Ok(one) if wanted(&one) => answer.news.push(one),
                Ok(_) => {}
                Err(TryRecvError::Lagged(missed)) => answer.lost += missed,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Ok(answer)
    }
}
