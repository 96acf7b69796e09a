//! What a wire format is, and that whoever speaks one is a provider.

use std::{fmt::Debug, future::Future, ops::ControlFlow, pin::Pin, time::Duration};

use serde_json::Value;

use super::{
    Conversation, Part, Provider, ProviderError, Reply,
    hearing::{Heard, Hearing},
    http::Http,
    stream::{Framing, Messages},
};

/// How a turn is asked for, and how its answer is told.
pub(super) trait Format: Debug + Send + Sync {
    const NAME: &'static str;
    const FRAMING: Framing;
    type Hears: Hears;

    /// The body of a request, as the API documents it.
    ///
    /// # Errors
    /// When the conversation does not fit the format.
    fn request(&self, model: &str, conversation: &Conversation) -> Result<Value, ProviderError>;
}

/// Hears an answer, message after message.
pub(super) trait Hears: Default + Send {
    /// # Errors
    /// When it is no message of the format, tells a failure, or is longer than a reply may be.
    fn take(&mut self, message: &str, heard: Heard<'_>) -> Result<ControlFlow<()>, ProviderError>;

    /// What was heard, once no more comes.
    fn end(self, heard: Heard<'_>) -> Hearing;
}

/// A model that is spoken to in that format.
#[derive(Debug)]
pub(super) struct Speaks<F> {
    pub(super) http: Http,
    pub(super) model: String,
    pub(super) format: F,
}

impl<F: Format> Provider for Speaks<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn turn<'a>(
        &'a self,
        conversation: &'a Conversation,
        within: Duration,
        heard: &'a mut (dyn FnMut(&Part) + Send),
    ) -> Pin<Box<dyn Future<Output = Result<Reply, ProviderError>> + Send + 'a>> {
        Box::pin(async move {
            let body = self.format.request(&self.model, conversation)?;
            let mut hears = F::Hears::default();
            let hand = |message: &str| hears.take(message, heard);
            self.http.stream(&body, F::FRAMING, within, hand).await?;
            hears.end(heard).reply()
        })
    }
}

/// An answer off its bytes, as it is read off the network.
pub(super) fn read<F: Format>(pieces: &[&[u8]], heard: Heard<'_>) -> Result<Reply, ProviderError> {
    let mut hears = F::Hears::default();
    let mut messages = Messages::new(F::FRAMING);
    let mut is_whole = false;
    let mut hand = |message: &str| hears.take(message, heard);
    for piece in pieces {
        is_whole = messages.take(piece, &mut hand)?.is_break();
        if is_whole {
            break;
        }
    }
    if !is_whole {
        messages.end(&mut hand)?;
    }
    hears.end(heard).reply()
}
