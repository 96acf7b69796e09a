//! What the pages of a run have in common: their frame, their facts, how they are written. A page is one file of HTML
//! that loads nothing and runs nothing.

mod machine;
mod numbers;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(crate) use machine::Machine;
pub(crate) use numbers::{Scale, px, short, unit};

/// Nothing is fetched and nothing runs, whatever a stranger's text should say.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = include_str!("page.css");

/// The whole page, around what is on it.
pub(crate) fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}

/// When, on what, and by which command a run was made; `more` are facts of one kind of run.
pub(crate) fn facts(machine: &Machine, command: &str, more: &[(&str, String)]) -> Markup {
    html! {
        dl class="facts" {
            dt { "begun" } dd { (machine.begun) }
            dt { "kernel" } dd { (machine.kernel) }
            dt { "machine" }
            dd { (machine.cpus) " CPUs" @if let Some(memory_mb) = machine.memory_mb { ", " (memory_mb) " MB of memory" } }
            @for (name, words) in more { dt { (name) } dd { (words) } }
            dt { "commit" }
            dd { @if let Some(commit) = &machine.commit { code { (commit) } } @else { "not known" } }
            dt { "again" } dd { code { (command) } }
        }
    }
}

/// A cell of a table: whether a goal is met, or why neither.
pub(crate) fn met(met: Option<bool>, neither: &str) -> Markup {
    match met {
        Some(true) => html! { td class="passed" { "met" } },
        Some(false) => html! { td class="failed" { "MISSED" } },
        None => html! { td class="faint" { (neither) } },
    }
}

/// Writes the page, whole or not at all: who looks while a run goes on finds the one before.
pub(crate) fn write(page: &str, file: &Path) -> Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    let new = file.with_extension("html.new");
    fs::write(&new, page).with_context(|| format!("{} cannot be written", new.display()))?;
    fs::rename(&new, file).with_context(|| format!("{} cannot be replaced", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = std::env::temp_dir().join(format!("kernelsight-page-{}", std::process::id()));
        let file = directory.join("deep/report.html");
        for name in ["first", "second"] {
            write(&page("a run", &html! { p { (name) } }), &file).expect("written");
        }
        let page = fs::read_to_string(&file).expect("a page");
        let beside = fs::read_dir(directory.join("deep")).expect("a directory").count();
        fs::remove_dir_all(&directory).expect("removed");
        assert!(page.contains("second") && !page.contains("first"));
        assert_eq!(beside, 1);
    }
}
