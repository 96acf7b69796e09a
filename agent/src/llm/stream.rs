//! A stream as its bytes come: where a message ends, and whether it is too long.

use std::{mem, ops::ControlFlow};

use super::{ProviderError, REPLY_BYTES};

/// Most bytes of a stream: some frame every token in hundreds of them.
const STREAM_BYTES: usize = REPLY_BYTES * 128;

/// How a stream is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Server-sent events (WHATWG HTML, 9.2.6), of which only the data is looked at.
    Events,
    /// A message a line.
    Lines,
}

/// What has been read of the message that was begun.
#[derive(Debug)]
pub(super) struct Messages {
    framing: Framing,
    line: Vec<u8>,
    /// The lines of data before it, of the same event.
    data: String,
    left: usize,
}

impl Messages {
    /// None is begun. One may have [`REPLY_BYTES`].
    pub(super) const fn new(framing: Framing) -> Self {
        Self { framing, line: Vec::new(), data: String::new(), left: STREAM_BYTES }
    }

    /// Takes what came next, and hands over each message that is whole by it, until no more is wanted.
    ///
    /// # Errors
    /// [`ProviderError::TooLong`] when a message or all of them are; [`ProviderError::Malformed`] when one is no text;
    /// what `hand` says.
    pub(super) fn take(
        &mut self,
        came: &[u8],
        hand: &mut impl FnMut(&str) -> Result<ControlFlow<()>, ProviderError>,
    ) -> Result<ControlFlow<()>, ProviderError> {
        self.left = self.left.checked_sub(came.len()).ok_or(ProviderError::TooLong)?;
        for piece in came.split_inclusive(|byte| *byte == b'\n') {
            if self.data.len() + self.line.len() + piece.len() > REPLY_BYTES {
                return Err(ProviderError::TooLong);
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") && self.end_line(hand)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// There is no more. The last line needs no newline; an event that did not end is none.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn end(
        mut self,
        hand: &mut impl FnMut(&str) -> Result<ControlFlow<()>, ProviderError>,
    ) -> Result<(), ProviderError> {
        match self.framing {
            Framing::Events => Ok(()),
            Framing::Lines => self.end_line(hand).map(|_| ()),
        }
    }

    fn end_line(
        &mut self,
        hand: &mut impl FnMut(&str) -> Result<ControlFlow<()>, ProviderError>,
    ) -> Result<ControlFlow<()>, ProviderError> {
        let no_text = |_| ProviderError::Malformed { problem: "it is no UTF-8".to_owned() };
        let line = String::from_utf8(mem::take(&mut self.line)).map_err(no_text)?;
        let line = line.trim_end_matches(['\r', '\n']);
        let message = match self.framing {
            Framing::Lines => line.to_owned(),
            Framing::Events if line.is_empty() => mem::take(&mut self.data),
            Framing::Events => {
                if let Some(data) = line.strip_prefix("data:") {
                    if !self.data.is_empty() {
                        self.data.push('\n');
                    }
                    self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
                }
                return Ok(ControlFlow::Continue(()));
            }
        };
        if message.trim().is_empty() { Ok(ControlFlow::Continue(())) } else { hand(&message) }
    }
}
