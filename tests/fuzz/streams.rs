//! What a provider answers, byte by byte: however it comes, it is the same reply, told in the pieces that it is made of, and
//! never longer than one may be. The first line names the provider.

use kernelsight::llm::{Finish, Part, ProviderError, REPLY_BYTES, Reply, read};

/// Splits of one input that are tried.
const SPLITS: usize = 16;

type Read = Result<Reply, ProviderError>;

pub(crate) fn check(bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return false };
    let (provider, stream) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 1..]);
    let Some((whole, told)) = hear(&provider, &[stream]) else { return false };
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(hear(&provider, &single), Some((whole.clone(), told.clone())), "byte by byte");
    for at in (1..stream.len()).step_by(stream.len() / SPLITS + 1) {
        let (first, rest) = stream.split_at(at);
        assert_eq!(hear(&provider, &[first, rest]), Some((whole.clone(), told.clone())), "split at {at}");
    }
    let Ok(reply) = whole else { return false };
    assert_eq!(words(&reply.parts), words(&told), "what is told is what is answered");
    assert!(words(&reply.parts).iter().map(|(_, text)| text.len()).sum::<usize>() <= REPLY_BYTES);
    let is_named = |part: &Part| !matches!(part, Part::Call { id, .. } if id.is_empty());
    assert!(reply.parts.iter().all(is_named), "an answer needs the call that it is of: {reply:?}");
    reply.finish == Finish::Stop
}

fn hear(provider: &str, pieces: &[&[u8]]) -> Option<(Read, Vec<Part>)> {
    let mut told = Vec::new();
    let reply = read(provider, pieces, &mut |part: &Part| told.push(part.clone()))?;
    Some((reply, told))
}

/// The parts by what they are, those of one text joined.
fn words(parts: &[Part]) -> Vec<(&'static str, String)> {
    let mut words: Vec<(&'static str, String)> = Vec::new();
    for part in parts {
        let (kind, text) = match part {
            Part::Thought { text, .. } => ("thought", text.clone()),
            Part::Text { text, .. } => ("text", text.clone()),
            Part::Call { id, name, arguments, .. } => ("call", format!("{id} {name} {arguments:?}")),
        };
        match words.last_mut() {
            Some((last, before)) if *last == kind && kind != "call" => before.push_str(&text),
            _ => words.push((kind, text)),
        }
    }
    words
}
