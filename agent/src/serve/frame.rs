//! Frames of the socket, as their bytes come: where one ends, and whether it is too long. A frame is a line.

/// What has been read of the frame that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    most: usize,
    begun: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame has more than {most} bytes")]
pub struct FrameTooLong {
    most: usize,
}

impl Frame {
    /// None is begun. One may have so many bytes before its newline.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, begun: 0 }
    }

    /// Bytes of the frame that was begun; 0 between two.
    #[must_use]
    pub const fn begun(self) -> usize {
        self.begun
    }

    /// Takes what came next, and says whether a frame ended in it.
    ///
    /// # Errors
    /// [`FrameTooLong`] when one has more bytes than it may.
    pub fn take(&mut self, came: &[u8]) -> Result<bool, FrameTooLong> {
        let mut ended = false;
        for piece in came.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            let bytes = self.begun + piece.len() - usize::from(ends);
            if bytes > self.most {
                return Err(FrameTooLong { most: self.most });
            }
            self.begun = if ends { 0 } else { bytes };
            ended |= ends;
        }
        Ok(ended)
    }
}
