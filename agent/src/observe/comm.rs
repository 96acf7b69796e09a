//! The name of a process as the kernel keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// Bytes of a name, as the kernel's `TASK_COMM_LEN`.
pub const COMM_BYTES: usize = 16;

/// A stranger's bytes up to the first NUL, of which a [`Text`] is made for whoever looks at them. Most records of a busy
/// ring are looked at by nobody.
///
/// They are kept as two words: bytes would be copied through memory on their way, and a word that is read back while
/// its bytes are still being stored waits for them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Comm([u64; 2]);

impl Comm {
    #[must_use]
    pub const fn new(bytes: [u8; COMM_BYTES]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self([both as u64, (both >> 64) as u64])
    }

    /// Escaped, as all text of strangers is.
    #[must_use]
    pub fn text(&self) -> Text {
        Text::from_bytes(&self.bytes())
    }

    fn bytes(&self) -> [u8; COMM_BYTES] {
        let [head, tail] = self.0;
        (u128::from(head) | u128::from(tail) << 64).to_le_bytes()
    }

    /// What is longer is cut.
    fn of(bytes: &[u8]) -> Self {
        let mut comm = [0; COMM_BYTES];
        comm.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
        Self::new(comm)
    }
}

impl From<&str> for Comm {
    fn from(name: &str) -> Self {
        Self::of(name.as_bytes())
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

impl Serialize for Comm {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Comm {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let bytes = text.unescape().filter(|bytes| bytes.len() <= COMM_BYTES);
        let wanted = || format!("`{text}` is no name of a process, which has at most {COMM_BYTES} bytes, escaped");
        bytes.map(|bytes| Self::of(&bytes)).ok_or_else(|| serde::de::Error::custom(wanted()))
    }
}
