//! A case as a story: what was asked, thought, called, found and concluded. Names are what they are, not placeholders.

use std::fmt::{self, Write as _};

use super::{
    brief::About,
    case::{Ending, Tally},
    veil::Veil,
};
use crate::{
    llm::{Finish, Message, Part, ToolResult},
    store::{CaseRow, TurnRow},
    tools::verify_claim::Verdict,
};

/// Characters of one answer of a tool; the record has the whole.
const ANSWER_CHARS: usize = 600;

/// The whole conversation, in Markdown.
#[must_use]
pub fn story(case: &CaseRow, turns: &[TurnRow]) -> String {
    let mut text = String::new();
    let _cannot_fail = write_story(&mut text, case, turns);
    text
}

fn write_story(out: &mut String, case: &CaseRow, turns: &[TurnRow]) -> fmt::Result {
    let about = match (&case.brief.about, &case.incident) {
        (About::Question { text, .. }, _) => format!("a question: {}", line(text)),
        (About::Incident, Some(incident)) => format!("incident {}", incident.uid),
        (About::Incident, None) => "an incident".to_owned(),
    };
    writeln!(out, "## The model's thoughts (case {}, {}, about {about})", case.id, case.brief.model)?;
    let mut voice = "";
    for row in turns {
        if row.turn.voice != voice {
            voice = &row.turn.voice;
            writeln!(out, "\n### {voice}\n")?;
        }
        write_turn(out, row, &case.names)?;
    }
    if !case.looked_up.is_empty() {
        writeln!(out, "\n### What its claims were found to be\n")?;
        for (_, found) in &case.looked_up {
            match found {
                Ok(found) => writeln!(out, "- {}: {}", verdict(found.verdict), line(&found.found))?,
                Err(why) => writeln!(out, "- no claim: {}", line(why))?,
            }
        }
    }
    writeln!(out, "\n### What came of it\n\n{}", ending(case))?;
    writeln!(out, "{}", costs(turns, &case.tally))
}

fn write_turn(out: &mut String, row: &TurnRow, names: &Veil) -> fmt::Result {
    let turn = &row.turn;
    for result in turn.sent.iter().filter_map(results).flatten() {
        let verb = if result.is_error { "refuses" } else { "answers" };
        writeln!(out, "  - {} {verb}: {}", result.name, cut(&line(&names.uncover_text(&text_of(result)))))?;
    }
    let took_s = turn.took_ms as f64 / 1e3;
    let Some(reply) = &turn.reply else {
        let why = turn.failed.as_deref().unwrap_or("nothing");
        return writeln!(out, "- no answer after {took_s:.1} s: {}", line(why));
    };
    for part in &reply.parts {
        match part {
            Part::Thought { text, .. } => writeln!(out, "- *thinks* {}", line(&names.uncover_text(text)))?,
            Part::Text { text, .. } => writeln!(out, "- *says* {}", line(&names.uncover_text(text)))?,
            Part::Call { name, arguments, .. } => {
                let arguments = serde_json::to_string(arguments).map_err(|_| fmt::Error)?;
                writeln!(out, "- *calls* {} {}", line(name), line(&names.uncover_text(&arguments)))?;
            }
        }
    }
    match &reply.finish {
        Finish::Stop => Ok(()),
        Finish::Length => writeln!(out, "- (its reply was cut for its length)"),
        Finish::Refused { why } => writeln!(out, "- (its provider kept it from answering: {why})"),
    }
}

fn results(message: &Message) -> Option<&Vec<ToolResult>> {
    match message {
        Message::Tools { results } => Some(results),
        Message::User { .. } | Message::Model { .. } => None,
    }
}

fn text_of(result: &ToolResult) -> String {
    result.answer.as_str().map_or_else(|| result.answer.to_string(), str::to_owned)
}

fn ending(case: &CaseRow) -> String {
    let agreement = case.agreement.map_or(String::new(), |agreement| format!(" Beside the rules: {agreement}."));
    match &case.ending {
        None => "It is not over.".to_owned(),
        Some(Ending::Recommended { proposal, agreement: specialists }) => {
            let heard =
                specialists.map_or(String::new(), |share| format!(" {:.0} % of the specialists agree.", share * 100.0));
            let decision = line(&proposal.decision.to_string());
            format!("{}. {}{heard}{agreement}", decision.trim_end_matches('.'), line(&proposal.justification))
        }
        Some(Ending::Answered { text }) => text.clone(),
        Some(Ending::Refused { why }) => format!("Refused, because what it said is not so: {}.", line(&why.join("; "))),
        Some(Ending::Stopped { why }) => format!("Nothing: {}.", line(why)),
        Some(Ending::Late) => "Nothing: its time was over, and the rules decided.".to_owned(),
    }
}

/// What it took, in a sentence.
#[must_use]
pub fn costs(turns: &[TurnRow], tally: &Tally) -> String {
    let tokens = turns.iter().fold(0, |tokens: u64, row| tokens.saturating_add(row.usage.tokens()));
    let took_s = turns.iter().map(|row| row.turn.took_ms).sum::<u64>() as f64 / 1e3;
    let cached = turns.iter().filter(|row| row.turn.cached).count();
    let usd: Option<f64> = turns.iter().map(|row| row.usd).sum();
    let usd = usd.filter(|usd| *usd > 0.0).map_or(String::new(), |usd| format!(", ${usd:.4}"));
    format!(
        "It took {} turns ({cached} from the record), {took_s:.1} s and {tokens} tokens{usd}; {} of {} calls were refused, {} of \
         {} claims were not so.",
        turns.len(),
        tally.refused_calls,
        tally.calls,
        tally.false_claims,
        tally.claims
    )
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::True => "true",
        Verdict::False => "false",
        Verdict::Unknown => "unknown",
    }
}

/// On one line, and nothing that Markdown or a terminal would take for its own.
fn line(text: &str) -> String {
    crate::reflect::in_line(text)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(ANSWER_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
