//! spine
pub mod docket;
mod eyes;
mod standing;
use crate::{observe::classify::ThresholdsError, store::StoreError};
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Thresholds(#[from] ThresholdsError),
    #[error("the urgent ring cannot be watched: {source}")]
    Ring { source: std::io::Error },
}
