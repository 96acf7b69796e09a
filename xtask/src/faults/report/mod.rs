//! The report of a run as one HTML page, for somebody who does not believe the table: what failed, how often each thing came
//! true, and each round on a timeline of seconds from the onset. Values in, a string out; it loads nothing and runs nothing.

mod course;
mod expected;
mod labels;
mod numbers;
mod page;
mod plot;
mod round;
#[cfg(test)]
pub(super) mod sample;
pub(super) mod story;
mod summary;
mod timeline;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::rounds::Run;

/// Writes the page, whole or not at all: who looks while a run goes on finds the one before.
pub(super) fn write(run: &Run, file: &Path) -> Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    let new = file.with_extension("html.new");
    fs::write(&new, page::page(run)).with_context(|| format!("{} cannot be written", new.display()))?;
    fs::rename(&new, file).with_context(|| format!("{} cannot be replaced", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = std::env::temp_dir().join(format!("kernelsight-report-{}", std::process::id()));
        let file = directory.join("deep/report.html");
        for name in ["first", "second"] {
            write(&sample::run_of(name), &file).expect("written");
        }
        let page = fs::read_to_string(&file).expect("a page");
        let beside = fs::read_dir(directory.join("deep")).expect("a directory").count();
        fs::remove_dir_all(&directory).expect("removed");
        assert!(page.contains("second (pid 812)") && !page.contains("first (pid 812)"));
        assert_eq!(beside, 1);
    }
}
