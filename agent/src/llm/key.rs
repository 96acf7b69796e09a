//! The key of a provider: from a file, a credential of systemd, or the environment. It is shown nowhere.

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The variable that may hold it, where no file does.
pub const VARIABLE: &str = "KERNELSIGHT_MODEL_KEY";
/// The credential of the unit that may hold it.
const CREDENTIAL: &str = "model.key";
/// What the unit gives where there is none.
const NO_KEY: &str = "-";
/// A longer text is no key.
const LONGEST_BYTES: u64 = 8 << 10;

#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key cannot be read from {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} can be read by others (mode {mode:o}); a key is for its owner alone: chmod 600", path = path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("what {place} holds is no key: it must be one line of printable characters without spaces")]
    Form { place: String },
}

impl Key {
    /// The key of `file`, else of the unit's credential, else of the environment; none where nobody gave one.
    ///
    /// # Errors
    /// When a file that is named cannot be read or can be read by others, or what is found is no key.
    pub fn find(file: Option<&Path>) -> Result<Option<Self>, KeyError> {
        if let Some(file) = file {
            return Self::read(file, true).map(Some);
        }
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| PathBuf::from(dir).join(CREDENTIAL));
        if let Some(credential) = credential.filter(|path| path.exists()) {
            // Its directory is the unit's alone; what its mode says is the mask of an access list.
            let key = Self::read(&credential, false)?;
            return Ok(Some(key).filter(|key| key.reveal() != NO_KEY));
        }
        std::env::var(VARIABLE).ok().map(|key| Self::checked(&key, format!("${VARIABLE}"))).transpose()
    }

    fn read(path: &Path, by_mode: bool) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Read { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.permissions().mode() & 0o777;
        if by_mode && mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, LONGEST_BYTES), &mut text).map_err(failed)?;
        Self::checked(&text, path.display().to_string())
    }

    fn checked(text: &str, place: String) -> Result<Self, KeyError> {
        let key = text.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Form { place });
        }
        Ok(Self(key.to_owned()))
    }

    /// For the request that needs it, and for nothing else.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
