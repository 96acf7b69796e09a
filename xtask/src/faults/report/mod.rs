//! The report of a run as one HTML page, for somebody who does not believe the table: what failed, how often each thing came
//! true, and each round on a timeline of seconds from the onset. Values in, a string out; it loads nothing and runs nothing.

mod course;
mod expected;
mod labels;
mod page;
mod plot;
mod round;
#[cfg(test)]
pub(super) mod sample;
pub(super) mod story;
mod summary;
mod timeline;

use std::path::Path;

use anyhow::Result;

use super::rounds::Run;

/// Writes the page of a run, as far as it went.
pub(super) fn write(run: &Run, file: &Path) -> Result<()> {
    crate::page::write(&page::page(run), file)
}
