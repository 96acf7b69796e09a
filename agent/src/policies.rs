//! Policies as files: embedded, and replaced one by one by those of an operator's directory.

use std::{
    borrow::Cow,
    fs, io,
    path::{Path, PathBuf},
};

/// The text of a file of the policies' directory; the embedded one where there is no directory, or no such file in it.
///
/// # Errors
/// The path that cannot be read. A directory that is not there is no reason to do without what stands in it.
pub(crate) fn text(
    directory: Option<&Path>,
    name: &str,
    embedded: &'static str,
) -> Result<Cow<'static, str>, (PathBuf, io::Error)> {
    let Some(directory) = directory else { return Ok(embedded.into()) };
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.into()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((path, error)),
        Err(_) => match fs::read_dir(directory) {
            Ok(_) => Ok(embedded.into()),
            Err(error) => Err((directory.to_owned(), error)),
        },
    }
}
