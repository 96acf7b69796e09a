//! A file of the kernel: opened once, read from its beginning as often as wanted, into a buffer that all share.

use std::{
    fs::File,
    io,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::Path,
};

use super::{Document, ScrapeError};
use crate::text::Text;

/// No file that we read is longer, but for a kernel that has gone mad.
const LONGEST_BYTES: usize = 4 << 20;
const BUFFER_BYTES: usize = 16 << 10;

/// A file that is opened at its first reading and, where it is kept, stays open.
///
/// The kernel makes the text anew whenever it is read from offset 0, so a reading costs one or two system calls and no
/// look-up of the path. A kept file of a process or a cgroup stays that process's or cgroup's: it never reads a
/// namesake's.
#[derive(Debug)]
pub(super) struct KernelFile {
    path: Box<Path>,
    /// The path as errors show it.
    name: Box<str>,
    kept: bool,
    file: Option<File>,
}

impl KernelFile {
    pub(super) fn kept(path: impl AsRef<Path>) -> Self {
        Self::new(path.as_ref(), true)
    }

    pub(super) fn once(path: impl AsRef<Path>) -> Self {
        Self::new(path.as_ref(), false)
    }

    fn new(path: &Path, kept: bool) -> Self {
        let name = Text::from_bytes(path.as_os_str().as_bytes()).as_str().into();
        Self { path: path.into(), name, kept, file: None }
    }

    /// Reads the whole text. After an error the file is opened anew next time.
    pub(super) fn read<'b>(&'b mut self, buffer: &'b mut Vec<u8>) -> Result<Document<'b>, ScrapeError> {
        match self.read_bytes(buffer) {
            Ok(length) => {
                if !self.kept {
                    self.file = None;
                }
                Ok(Document::new(&self.name, &buffer[..length]))
            }
            Err(error) => {
                self.file = None;
                Err(error)
            }
        }
    }

    fn read_bytes(&mut self, buffer: &mut Vec<u8>) -> Result<usize, ScrapeError> {
        let failed = |error| ScrapeError::Read { path: self.name.to_string(), error };
        let file = match &mut self.file {
            Some(file) => file,
            closed => closed.insert(File::open(&self.path).map_err(failed)?),
        };
        if buffer.len() < BUFFER_BYTES {
            buffer.resize(BUFFER_BYTES, 0);
        }
        let mut length = 0;
        loop {
            match file.read_at(&mut buffer[length..], length as u64) {
                Ok(0) => return Ok(length),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
            if length == buffer.len() {
                if length >= LONGEST_BYTES {
                    return Err(ScrapeError::TooLong { path: self.name.to_string(), limit_bytes: LONGEST_BYTES });
                }
                buffer.resize(length * 2, 0);
            }
        }
    }
}
