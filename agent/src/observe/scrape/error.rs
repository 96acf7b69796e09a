//! What can go wrong when a source is read.

use std::io;

use nix::libc;

use crate::text::Text;

/// Why a source gave nothing. It names the file, and the line where there is one.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    #[error("{path}: {error}")]
    Read { path: String, error: io::Error },
    #[error("{path}, line {line}: `{found}` is not {wanted}")]
    Line { path: String, line: usize, found: Text, wanted: &'static str },
    #[error("{path}: no {wanted}")]
    Missing { path: String, wanted: &'static str },
    #[error("{path}: longer than {limit_bytes} bytes")]
    TooLong { path: String, limit_bytes: usize },
    #[error("{reason}")]
    Off { reason: String },
}

impl ScrapeError {
    /// Whether this machine does not have the source at all (or does not show it to us), so that asking every
    /// second is idle.
    #[must_use]
    pub fn is_off(&self) -> bool {
        match self {
            Self::Off { .. } => true,
            Self::Read { error, .. } => matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EACCES | libc::EPERM | libc::ENOTDIR)
            ),
            _ => false,
        }
    }

    /// Whether what was read is no longer there: a process that ended, a cgroup that was removed.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Read { error, .. } => {
                matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::ENODEV))
            }
            _ => false,
        }
    }
}
