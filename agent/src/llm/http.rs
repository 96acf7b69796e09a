//! The way to a provider: one request, one stream of events, bounded in time and in size.

use std::time::{Duration, SystemTime};

use eventsource_stream::Eventsource;
use futures_util::{StreamExt, TryStreamExt};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::{
    Client, Response,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use serde::Serialize;
use tokio::time::timeout;

use super::{ERROR_BYTES, ProviderError, REPLY_BYTES};
use crate::text::Text;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A provider that asks for more is asked again all the same, by then.
const ASKED_MOST: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client,
}

/// A client that follows no redirect: a key goes where it was meant to go.
///
/// # Errors
/// When there is no TLS.
pub(super) fn client(headers: HeaderMap) -> Result<Client, ProviderError> {
    // Another one of the same kind may be installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .default_headers(headers)
        .user_agent(concat!("kernelsight/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT_WITHIN);
    client.build().map_err(unreachable)
}

impl Http {
    /// `headers` go with every request, and nowhere else: no redirect is followed.
    pub(super) fn new(headers: HeaderMap) -> Result<Self, ProviderError> {
        Ok(Self { client: client(headers)? })
    }

    /// Posts `body` and tells the data of each event, until there is no more.
    pub(super) async fn stream(
        &self,
        url: &str,
        body: &impl Serialize,
        within: Duration,
        mut event: impl FnMut(&str) -> Result<(), ProviderError>,
    ) -> Result<(), ProviderError> {
        let asked = async {
            let response = self.client.post(url).json(body).send().await.map_err(unreachable)?;
            let response = good(response).await?;
            let mut left = REPLY_BYTES;
            let bounded = response.bytes_stream().map_err(|_| ProviderError::Cut).and_then(|piece| {
                let more = left.checked_sub(piece.len());
                left = more.unwrap_or(0);
                std::future::ready(more.map(|_| piece).ok_or(ProviderError::TooLong))
            });
            let mut events = std::pin::pin!(bounded.eventsource());
            while let Some(next) = events.next().await {
                event(&next.map_err(broken)?.data)?;
            }
            Ok(())
        };
        timeout(within, asked).await.map_err(|_| ProviderError::Late { within })?
    }
}

fn broken(error: eventsource_stream::EventStreamError<ProviderError>) -> ProviderError {
    match error {
        eventsource_stream::EventStreamError::Transport(error) => error,
        other => ProviderError::Malformed { problem: Text::from(other.to_string().as_str()).to_string() },
    }
}

/// The URL is left out: some providers take the key in it.
fn unreachable(error: reqwest::Error) -> ProviderError {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(next) = source {
        reason = format!("{reason}: {next}");
        source = next.source();
    }
    ProviderError::Unreachable { reason: Text::from(reason.as_str()).to_string() }
}

async fn good(response: Response) -> Result<Response, ProviderError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Err(by_status(status.as_u16(), header.as_deref(), &words(response).await))
}

/// What a status means that is no success; `retry_after` is the header.
pub(super) fn by_status(status: u16, retry_after: Option<&str>, said: &str) -> ProviderError {
    match status {
        429 => ProviderError::RateLimited { after: wait(retry_after, said) },
        408 | 500.. => ProviderError::Failed { status, said: Text::from(said) },
        _ => ProviderError::Refused { status, said: Text::from(said) },
    }
}

/// The beginning of what it says.
async fn words(response: Response) -> String {
    let mut said = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        let room = ERROR_BYTES.saturating_sub(said.len());
        said.extend_from_slice(&piece[..piece.len().min(room)]);
        if said.len() >= ERROR_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// How long it asks to be left alone: seconds or a date in the header (RFC 9110, 10.2.3), or Google's `RetryInfo` in
/// the body.
fn wait(header: Option<&str>, said: &str) -> Option<Duration> {
    let by_header = header.map(str::trim).and_then(|value| match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let until = DateTimeParser::new().parse_timestamp(value).ok()?;
            let now = Timestamp::try_from(SystemTime::now()).ok()?;
            Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
        }
    });
    let by_body = || {
        let delay = said.split("\"retryDelay\"").nth(1)?.split('"').nth(1)?;
        Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
    };
    by_header.or_else(by_body).map(|asked| asked.min(ASKED_MOST))
}
