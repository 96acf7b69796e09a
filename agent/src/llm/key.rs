//! The keys of providers: from files, credentials of systemd, or the environment. Each goes to its provider alone, and is
//! shown nowhere.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::PROVIDERS;

/// The variable, and the credential of the unit, that may hold the key of whichever provider the settings name.
const VARIABLE: &str = "KERNELSIGHT_MODEL_KEY";
const CREDENTIAL: &str = "model.key";
/// What the unit gives where there is none.
const NO_KEY: &str = "-";
/// A longer text is no key.
const LONGEST_BYTES: u64 = 8 << 10;

#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    text: String,
    place: String,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key cannot be read from {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} can be read by others (mode {mode:o}); a key is for its owner alone: chmod 600", path = path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("what {place} holds is no key: it must be one line of printable characters without spaces")]
    Form { place: String },
}

/// Where keys are looked for.
#[derive(Clone, Debug)]
pub struct Places {
    /// The file of whichever provider the settings name.
    pub file: Option<PathBuf>,
    /// The files of providers, by their names.
    pub files: BTreeMap<String, PathBuf>,
    /// The directory of the unit's credentials.
    pub credentials: Option<PathBuf>,
    pub variable: fn(&str) -> Option<OsString>,
}

/// The keys that were found, and what was wrong with others.
#[derive(Debug)]
pub struct Keys {
    /// Of whichever provider the settings name.
    configured: Found,
    own: BTreeMap<&'static str, Found>,
}

type Found = Result<Option<Key>, KeyError>;

impl Places {
    /// These files, and what this process was given.
    #[must_use]
    pub fn of_this_process(file: Option<PathBuf>, files: BTreeMap<String, PathBuf>) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { file, files, credentials, variable: |name| std::env::var_os(name) }
    }
}

impl Keys {
    /// Reads all that there are: who reads them may be nobody afterwards. What is wrong with one is told to who needs it.
    #[must_use]
    pub fn find(places: &Places) -> Self {
        let own = |provider: &'static str| {
            let file = places.files.get(provider).map(PathBuf::as_path);
            (provider, places.find(file, &format!("model-{provider}.key"), &variable(provider)))
        };
        Self {
            configured: places.find(places.file.as_deref(), CREDENTIAL, VARIABLE),
            own: PROVIDERS.into_iter().map(own).collect(),
        }
    }

    /// The key that is that provider's: its own, or else the one of the provider that the settings name, where it is that.
    ///
    /// # Errors
    /// When what was found as its key cannot be used.
    pub fn of(&self, provider: &str, configured: Option<&str>) -> Result<Option<&Key>, &KeyError> {
        match self.own.get(provider) {
            Some(Ok(None)) if configured == Some(provider) => self.configured.as_ref().map(Option::as_ref),
            Some(own) => own.as_ref().map(Option::as_ref),
            None => Ok(None),
        }
    }
}

impl Places {
    /// The key of `file`, else of the credential, else of the variable; none where nobody gave one.
    fn find(&self, file: Option<&Path>, credential: &str, variable: &str) -> Found {
        if let Some(file) = file {
            return Key::read(file).map(Some);
        }
        let credential = self.credentials.as_ref().map(|directory| directory.join(credential));
        if let Some(credential) = credential.filter(|path| path.exists()) {
            // Its directory is the unit's alone; what its mode says is the mask of an access list.
            let key = Key::read_if(&credential, |_| true)?;
            if key.text != NO_KEY {
                return Ok(Some(key));
            }
        }
        let given = (self.variable)(variable);
        given.map(|text| Key::checked(&text.to_string_lossy(), format!("${variable}"))).transpose()
    }
}

impl Key {
    /// The key of a file that is its owner's alone.
    ///
    /// # Errors
    /// When it cannot be read, others can read it, or what is in it is no key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        Self::read_if(path, |mode| mode & 0o077 == 0)
    }

    fn read_if(path: &Path, may_be: impl FnOnce(u32) -> bool) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Read { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if !may_be(mode) {
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
        Ok(Self { text: key.to_owned(), place })
    }

    /// Where it was found.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// For the request that needs it, and for nothing else.
    pub(super) fn reveal(&self) -> &str {
        &self.text
    }
}

/// The variable that may hold the key of that provider: `KERNELSIGHT_GEMINI_KEY`.
#[must_use]
pub fn variable(provider: &str) -> String {
    format!("KERNELSIGHT_{}_KEY", provider.to_ascii_uppercase())
}

/// All variables that may hold one.
pub fn variables() -> impl Iterator<Item = String> {
    std::iter::once(VARIABLE.to_owned()).chain(PROVIDERS.into_iter().map(variable))
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
