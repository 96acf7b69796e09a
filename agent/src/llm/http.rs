//! The way to a provider: one request, one stream of messages, bounded in time and in size.

use std::{
    ops::ControlFlow,
    time::{Duration, SystemTime},
};

use futures_util::StreamExt;
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::{
    Client, Response,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    ERROR_BYTES, Key, ProviderError,
    stream::{Framing, Messages},
};
use crate::text::Text;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A provider that asks for more is asked again all the same, by then.
const ASKED_MOST: Duration = Duration::from_secs(3600);
/// A shorter key is no secret: some servers want any word in its place.
const SECRET_BYTES: usize = 8;
/// So much of a key is enough to know it by, where the rest of it is cut.
const KNOWN_BYTES: usize = 12;

#[derive(Clone, Debug)]
pub(super) struct Http {
    url: String,
    client: Client,
    key: Option<Key>,
}

impl Http {
    /// Requests go to `url`, with the headers, and the key in the one that `by` names, after `before`. They go nowhere else:
    /// no redirect is followed.
    ///
    /// # Errors
    /// When the key cannot be part of a header, or there is no TLS, where it is needed.
    pub(super) fn new(
        url: String,
        mut headers: HeaderMap,
        by: HeaderName,
        before: &str,
        key: Option<&Key>,
    ) -> Result<Self, ProviderError> {
        if let Some(key) = key {
            let unfit = |_| ProviderError::Malformed { problem: "the key cannot be sent".to_owned() };
            let mut value = HeaderValue::from_str(&format!("{before}{}", key.reveal())).map_err(unfit)?;
            value.set_sensitive(true);
            headers.insert(by, value);
        }
        // Another one of the same kind may be installed already.
        _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .default_headers(headers.clone())
                .user_agent(concat!("kernelsight/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .connect_timeout(CONNECT_WITHIN)
        };
        let client = match builder().build() {
            // A small image has no certificates, and a model beside it needs none.
            Err(_) if !url.starts_with("https:") => builder().tls_certs_only([]).build(),
            built => built,
        };
        Ok(Self { url, client: client.map_err(unreachable)?, key: key.cloned() })
    }

    /// Posts `body` and hands over each message of the answer, until no more is wanted or there is none.
    ///
    /// # Errors
    /// All that a provider may fail in; what `hand` says.
    pub(super) async fn stream(
        &self,
        body: &impl Serialize,
        framing: Framing,
        within: Duration,
        mut hand: impl FnMut(&str) -> Result<ControlFlow<()>, ProviderError>,
    ) -> Result<(), ProviderError> {
        let asked = async {
            let response = self.client.post(&self.url).json(body).send().await.map_err(unreachable)?;
            let mut pieces = good(response).await?.bytes_stream();
            let mut messages = Messages::new(framing);
            while let Some(piece) = pieces.next().await {
                if messages.take(&piece.map_err(|_| ProviderError::Cut)?, &mut hand)?.is_break() {
                    return Ok(());
                }
            }
            messages.end(&mut hand)
        };
        let asked = timeout(within, asked).await.map_err(|_| ProviderError::Late { within })?;
        asked.map_err(|error| self.without_key(error))
    }

    /// A provider's words end where they begin to repeat the key.
    fn without_key(&self, error: ProviderError) -> ProviderError {
        let Some(key) = self.key.as_ref().map(Key::reveal).filter(|key| key.len() >= SECRET_BYTES) else {
            return error;
        };
        let known = Text::from(key.get(..KNOWN_BYTES).unwrap_or(key));
        let before = |said: &Text| said.part(|said| said.split(known.as_str()).next()).unwrap_or_default();
        match error {
            ProviderError::Failed { status, said } => ProviderError::Failed { status, said: before(&said) },
            ProviderError::Refused { status, said } => ProviderError::Refused { status, said: before(&said) },
            ProviderError::Malformed { problem } => {
                let problem = problem.split(known.as_str()).next().unwrap_or_default().to_owned();
                ProviderError::Malformed { problem }
            }
            other => other,
        }
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
