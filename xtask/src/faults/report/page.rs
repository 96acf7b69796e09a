//! The whole page.

use maud::{Markup, html};

use super::{course, summary};
use crate::{
    faults::rounds::{End, Run},
    page::{self, facts},
};

/// The page of a run, as far as it went.
pub(super) fn page(run: &Run) -> String {
    let rates = run.rates();
    let body = html! {
        h1 { "KernelSight against injected faults" }
        p class="lead" { (title(run)) }
        (end(run))
        @if let Some(unrest) = run.unrest() { p class="warning" { "Busy node: " (unrest) "." } }
        (facts(&run.machine, &run.command, &[]))
        (summary::failures(run))
        (summary::rates(&rates))
        (summary::faults(run))
        (how())
        h2 { "One by one" }
        @for of in &run.courses { (course::course(run, of)) }
    };
    page::page(&title(run), &body)
}

fn title(run: &Run) -> String {
    let (passed, failed) = run.passed_and_failed();
    let goals = if run.rates().met { "no goal missed" } else { "goals missed" };
    format!("{} faults and controls: {passed} rounds passed, {failed} failed, {goals}", run.courses.len())
}

/// That a run was not whole is said before anything that it seems to show.
fn end(run: &Run) -> Markup {
    let (passed, failed) = run.passed_and_failed();
    let planned = run.planned * run.courses.len();
    html! {
        @match &run.end {
            End::Over => {}
            End::UnderWay => p class="warning" {
                "This run was not over when this was written: " (passed + failed) " of " (planned) " rounds are in it."
            },
            End::Stopped(why) => p class="warning" {
                (why) ". " (passed + failed) " of " (planned) " rounds are in it."
            },
        }
    }
}

fn how() -> Markup {
    html! {
        section {
            h2 { "How it was measured" }
            p {
                "Each fault is a real load, started beside a newly started agent that had watched the node for some seconds. All seconds are \
                 from the onset: when the load said that it was under way. What is told is what a client of the agent's socket \
                 was told, which asked four times a second; what must hold is measured by the runner once a second, and not by \
                 the agent."
            }
            dl {
                dt { "detect" } dd { "a client saw a signal of an expected type, or the loop says that it took one up" }
                dt { "decide" } dd { "the loop had decided on an incident of an expected type and for an expected cause: to act, to advise, or to ask a person" }
                dt { "act" } dd { "the first action had its effect" }
                dt { "relief" }
                dd {
                    "an action was verified to help, and all that must hold at the end had held for its seconds and did until \
                     the end; none where it is right to do nothing"
                }
                dt { "pass@1" } dd { "the share of rounds that passed" }
                dt { "pass^N" } dd { "whether every one of N rounds passed" }
                dt { "95 % confidence" }
                dd { "Wilson's interval: where the true rate may lie after so few rounds, as if they were independent" }
                dt { "a signal's bar" }
                dd { "from when its value first crossed, which is before it lasted long enough to be told, until it was over" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn text_of_strangers_is_text_wherever_it_stands() {
        let page = page(&sample::run_of(sample::HOSTILE));
        assert!(!page.contains("<h1>pwned") && !page.contains("<img"), "{page}");
        assert!(!page.contains("</script") && !page.contains("\" onload"), "{page}");
        // In the sentence, the name, the action, the reason, the title, the step, the evidence, and once more each in words.
        assert!(page.matches("&lt;/script&gt;&lt;h1&gt;pwned").count() >= 10, "{page}");
    }

    #[test]
    fn a_page_asks_nothing_of_any_other_place() {
        let page = page(&sample::run_of("cpu_hog"));
        for fetched in ["src=", "<link", "<script", "@import", "url(", "http://", "https://"] {
            assert!(!page.contains(fetched), "{fetched}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn what_failed_stands_before_what_did_not() {
        let page = page(&sample::run_of("cpu_hog"));
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
        assert!(at("What failed") < at("How often"));
        assert!(at("no action helped, by its verdict") < at("How often"));
        assert!(at("How often") < at("One by one"));
    }

    #[test]
    fn a_run_that_was_interrupted_says_so_and_shows_what_it_has() {
        let mut run = sample::run_of("cpu_hog");
        run.planned = 3;
        run.end = End::UnderWay;
        let page = page(&run);
        assert!(page.contains("This run was not over when this was written: 2 of 3 rounds are in it."), "{page}");
        assert!(page.contains("no action helped, by its verdict"), "{page}");
    }

    #[test]
    fn a_node_that_was_not_calm_is_told_of() {
        let mut run = sample::run_of("cpu_hog");
        assert!(!page(&run).contains("Busy node"));
        run.courses[0].rounds[1].score.cpu_wait_before_percent = Some(64.0);
        let page = page(&run);
        assert!(page.contains("Busy node: before 1 of 2 rounds"), "{page}");
        assert!(page.contains("waited for a CPU for 64 % of the ten seconds"), "{page}");
    }

    #[test]
    fn a_run_that_a_control_stopped_says_why() {
        let mut run = sample::run_of("cpu_hog");
        run.end = End::Stopped("compile is a control and was acted on".into());
        assert!(page(&run).contains("compile is a control and was acted on. "));
    }
}
