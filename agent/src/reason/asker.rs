//! Whoever is asked, and whether it may be: a provider that fails again and again is left alone for a while.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::llm::{Breaker, Conversation, Part, Provider, ProviderError, Reply};

/// A provider with its breaker, shared by all voices.
#[derive(Debug)]
pub struct Asker {
    provider: Box<dyn Provider>,
    breaker: Mutex<Breaker>,
    since: Instant,
}

/// What came of asking.
#[derive(Debug)]
pub struct Asked {
    pub reply: Result<Reply, ProviderError>,
    /// How long it is left alone, when the breaker opened by this.
    pub opened: Option<Duration>,
}

impl Asker {
    #[must_use]
    pub fn new(provider: Box<dyn Provider>) -> Self {
        Self { provider, breaker: Mutex::default(), since: Instant::now() }
    }

    /// Asks, unless it is left alone just now.
    pub async fn ask(
        &self,
        conversation: &Conversation,
        within: Duration,
        heard: &mut (dyn FnMut(&Part) + Send),
    ) -> Asked {
        if let Some(left) = self.breaker(|breaker, now| breaker.open_for(now)) {
            let reply = Err(ProviderError::RateLimited { after: Some(left) });
            return Asked { reply, opened: None };
        }
        let reply = self.provider.turn(conversation, within, heard).await;
        let opened = self.breaker(|breaker, now| match &reply {
            Ok(_) => {
                breaker.succeeded();
                None
            }
            Err(_) => breaker.failed(now).then(|| breaker.open_for(now).unwrap_or_default()),
        });
        Asked { reply, opened }
    }

    fn breaker<T>(&self, with: impl FnOnce(&mut Breaker, Duration) -> T) -> T {
        with(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner), self.since.elapsed())
    }
}
