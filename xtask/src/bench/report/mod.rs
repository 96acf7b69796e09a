//! The report of a run as one HTML page: what is missed first, then each figure with its goal, its spread, what it is
//! compared with, and its rounds.

mod figure;
mod plot;
mod summary;

use std::{fs, path::Path};

use anyhow::Result;
use maud::{Markup, html};

use crate::{
    faults::inject::psi_percent,
    figure::{Standing, Taken},
    page::{self, Machine, facts},
};

/// How busy the node is before anything of this run is, in words.
pub(super) fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = averages.split_whitespace().take(3).collect();
    let waits = psi_percent("cpu").map_or_else(String::new, |percent| {
        format!("; some task waited for a CPU for {percent:.0} % of the last ten seconds")
    });
    format!("load average {}{waits}", averages.join(", "))
}

/// Writes the page, as far as the run went.
pub(super) fn write(machine: &Machine, load: &str, command: &str, taken: &Taken, file: &Path) -> Result<()> {
    page::write(&of(machine, load, command, taken), file)
}

fn of(machine: &Machine, load: &str, command: &str, taken: &Taken) -> String {
    let title = title(taken);
    let body = html! {
        h1 { "What KernelSight costs, and how soon it sees" }
        p class="lead" { (title) }
        @for why in taken.broken() { p class="warning" { "A measurement broke: " (why) } }
        (facts(machine, command, &[("before", load.to_owned())]))
        (summary::missed(taken))
        (summary::not_taken(taken))
        (summary::all(taken))
        (how())
        (summary::courses(taken))
        h2 { "One by one" }
        @for (at, one) in taken.figures.iter().enumerate() { (figure::figure(one, at)) }
    };
    page::page(&title, &body)
}

fn title(taken: &Taken) -> String {
    let count = |standing| taken.count(standing);
    let (missed, not_taken) = (count(Standing::Missed), count(Standing::NotTaken));
    format!("{} goals met, {missed} missed, {not_taken} not taken", count(Standing::Met))
}

fn how() -> Markup {
    html! {
        section {
            h2 { "How it was measured" }
            p {
                "Who is compared takes turns on the same work, round after round, so that whatever else the machine does falls \
                 on all of them; a ratio is taken within each round. A figure is the median of its rounds, where nothing else \
                 is said. Times of one machine are not those of another; ratios are nearly so."
            }
            dl {
                dt { "least–most" } dd { "of the rounds; the quartiles are with each figure" }
                dt { "net" } dd { "time in a program by the kernel's own clock, less that of an empty one beside it" }
                dt { "not taken" } dd { "what it is compared with is not here; such a goal is neither met nor missed" }
                dt { "dashed" } dd { "the goal" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Course, Figure, Goal};

    const HOSTILE: &str = "</script><h1>pwned</h1><img src=x>\" onload=\"alert(1)";

    fn taken(words: &str) -> Taken {
        let mut taken = Taken::default();
        taken.add(vec![
            Figure::median("P1", format!("a call {words}"), Goal::AtMost(1.1), "x", vec![1.0, 1.02, 1.01])
                .beside(format!("ours {words}"), "ns", vec![210.0, 214.0, 212.0])
                .beside("empty", "ns", vec![208.0, 209.0, 211.0])
                .noting(format!("in turns {words}")),
            Figure::median("P3", "a request", Goal::AtMost(0.22), "x", vec![0.3, 0.4]),
            Figure::not_taken("P10", "the loop", Goal::AtMost(250.0), "ms", format!("no model yet {words}")),
        ]);
        let broke = Some(format!("the agent is gone {words}"));
        taken.courses.push(Course { name: "x", about: "y", seconds: 2.0, cpu_wait_before_percent: Some(71.0), broke });
        taken
    }

    fn page(words: &str) -> String {
        let machine = Machine {
            begun: "2026-01-01T00:00:00Z".to_owned(),
            kernel: words.to_owned(),
            cpus: 2,
            memory_mb: Some(4096),
            commit: None,
        };
        of(&machine, words, words, &taken(words))
    }

    #[test]
    fn text_of_strangers_is_text_wherever_it_stands() {
        let page = page(HOSTILE);
        assert!(!page.contains("<h1>pwned") && !page.contains("<img") && !page.contains("\" onload"), "{page}");
        assert!(page.matches("&lt;/script&gt;&lt;h1&gt;pwned").count() >= 8, "{page}");
    }

    #[test]
    fn a_page_asks_nothing_of_any_other_place() {
        let page = page("x");
        for fetched in ["src=", "<link", "<script", "@import", "url(", "http://", "https://"] {
            assert!(!page.contains(fetched), "{fetched}");
        }
    }

    #[test]
    fn every_figure_is_on_it_and_what_is_missed_stands_first() {
        let page = page("y");
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
        assert!(at("What is missed") < at("a request") && at("a request") < at("What was not taken"));
        assert!(at("What was not taken") < at("All goals"));
        for (number, what) in ["a request", "the loop", "a call"].iter().enumerate() {
            assert!(page[at("One by one")..].contains(what), "{what}");
            assert!(page.contains(&format!("id=\"figure-{number}\"")), "{number}");
        }
        assert!(page.contains("1 goals met, 1 missed, 1 not taken"), "{page}");
    }

    #[test]
    fn what_broke_and_what_was_busy_is_said() {
        let page = page("z");
        assert!(page.contains("A measurement broke: the agent is gone"), "{page}");
        assert!(page.contains("71 %"), "{page}");
    }
}
