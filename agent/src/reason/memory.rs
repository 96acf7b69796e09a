//! Long conversations: the oldest half of one becomes a short block of notes, and its raw text goes.

use crate::{
    llm::{Message, Part, ToolResult},
    mind::budget::LONG_BYTES,
};

/// Characters of one note.
const NOTE_CHARS: usize = 200;

/// Shortens a conversation that has become too long. Its first message, which says what it is about, stays; a call and its
/// answer stay together.
pub(super) fn shorten(messages: &mut Vec<Message>) {
    let bytes: usize = messages.iter().map(bytes_of).sum();
    if bytes <= LONG_BYTES || messages.len() < 4 {
        return;
    }
    let mut half = messages.len() / 2;
    // The rest begins with what the model says: answers to calls that are gone would be answers to nothing.
    while half < messages.len() && !matches!(messages[half], Message::Model { .. }) {
        half += 1;
    }
    if half >= messages.len() {
        return;
    }
    let notes: Vec<String> = messages[1..half].iter().flat_map(notes).map(|note| format!("- {note}")).collect();
    let block = format!("What was thought and found so far, in short:\n{}", notes.join("\n"));
    messages.drain(1..half);
    if let Some(Message::User { text }) = messages.first_mut() {
        text.push_str("\n\n");
        text.push_str(&block);
    }
}

fn bytes_of(message: &Message) -> usize {
    match message {
        Message::User { text } => text.len(),
        Message::Model { parts } => parts.iter().map(bytes_of_part).sum(),
        Message::Tools { results } => results.iter().map(|result| result.answer.to_string().len()).sum(),
    }
}

fn bytes_of_part(part: &Part) -> usize {
    match part {
        Part::Thought { text, .. } | Part::Text { text, .. } => text.len(),
        Part::Call { arguments, .. } => serde_json::to_string(arguments).map_or(0, |text| text.len()),
    }
}

fn notes(message: &Message) -> Vec<String> {
    match message {
        Message::User { text } => vec![short(text)],
        Message::Model { parts } => parts.iter().map(note_of_part).filter(|note| !note.is_empty()).collect(),
        Message::Tools { results } => results.iter().map(note_of_result).collect(),
    }
}

fn note_of_part(part: &Part) -> String {
    match part {
        Part::Thought { text, .. } | Part::Text { text, .. } => short(text),
        Part::Call { name, .. } => format!("called {name}"),
    }
}

fn note_of_result(result: &ToolResult) -> String {
    let verb = if result.is_error { "refused" } else { "answered" };
    format!("{} {verb}: {}", result.name, short(&result.answer.to_string()))
}

fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(NOTE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
