//! Text that strangers wrote: process names, arguments, cgroup names, log lines.

use std::{borrow::Cow, fmt};

use compact_str::CompactString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most characters that a [`Text`] holds after escaping; the rest is cut and shown as `…`.
pub const TEXT_MAX_CHARS: usize = 256;

/// Escaped and bounded text of a stranger.
///
/// Printable ASCII stands for itself; every other byte is written `\xNN`, and a backslash `\\`, so that what is
/// shown, stored or sent to a model has no control character, no newline, no look-alike and no more than
/// [`TEXT_MAX_CHARS`] characters. A text is data: it is never a part of a command, a pattern or a format string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "String")]
pub struct Text(CompactString);

impl Text {
    /// Escapes `bytes` up to the first NUL.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // What is plain and fits is copied as it is: most names are, and a busy ring has many.
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'[' | b']'..=b'~');
        let plain = bytes.iter().position(|byte| !is_plain(byte)).unwrap_or(bytes.len());
        let ends = bytes.get(plain).is_none_or(|byte| *byte == 0);
        if ends
            && plain < TEXT_MAX_CHARS
            && let Ok(plain) = str::from_utf8(&bytes[..plain])
        {
            return Self(CompactString::new(plain));
        }
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut escaped = CompactString::with_capacity(bytes.len().min(TEXT_MAX_CHARS));
        for byte in bytes {
            let piece: Cow<'static, str> = match byte {
                b'\\' => "\\\\".into(),
                b' '..=b'~' => char::from(*byte).to_string().into(),
                _ => format!("\\x{byte:02x}").into(),
            };
            if escaped.len() + piece.len() > TEXT_MAX_CHARS - 1 {
                escaped.push('…');
                break;
            }
            escaped.push_str(&piece);
        }
        Self(escaped)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of it that `find` points to: as escaped as the whole is, and not escaped twice.
    #[must_use]
    pub fn part<'a>(&'a self, find: impl FnOnce(&'a str) -> Option<&'a str>) -> Option<Self> {
        find(&self.0).map(|part| Self(part.into()))
    }

    /// The bytes that the stranger wrote, to look up what they name; none when the text was cut.
    #[must_use]
    pub fn unescape(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            match (first, after) {
                (b'\\', [b'\\', after @ ..]) => {
                    bytes.push(b'\\');
                    rest = after;
                }
                (b'\\', [b'x', high, low, after @ ..]) => {
                    let digit = |digit: &u8| char::from(*digit).to_digit(16);
                    bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                    rest = after;
                }
                (b' '..=b'[' | b']'..=b'~', _) => bytes.push(*first),
                _ => return None,
            }
        }
        Some(bytes)
    }

    /// Whether the escaped text is the same as what the stranger wrote, so that it can serve as a name to look up.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.0.contains(['\\', '…'])
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Text {
    /// Reads back what was stored escaped; anything that no [`Text`] could hold is escaped again.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = CompactString::deserialize(deserializer)?;
        let sound = stored.chars().count() <= TEXT_MAX_CHARS && stored.chars().all(|c| matches!(c, ' '..='~' | '…'));
        Ok(if sound { Self(stored) } else { Self::from_bytes(stored.as_bytes()) })
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
