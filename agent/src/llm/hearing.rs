//! A reply as it is heard: its pieces are told, joined and counted, so that it is never longer than it may be.

use serde_json::{Map, Value};

use super::{Finish, Part, ProviderError, REPLY_BYTES, Reply, Usage, malformed};

/// What a call counts for beside its words, so that many empty ones are too long, too.
const CALL_BYTES: usize = 64;

/// Whoever is told each piece.
pub(super) type Heard<'a> = &'a mut (dyn FnMut(&Part) + Send);

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    pub(super) finish: Option<Finish>,
    pub(super) usage: Usage,
    parts: Vec<Part>,
    bytes: usize,
    calls: usize,
    broken: Option<ProviderError>,
}

/// A call whose arguments come in pieces.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) id: String,
    pub(super) name: String,
    arguments: String,
}

impl Hearing {
    pub(super) fn text(
        &mut self,
        text: String,
        signature: Option<String>,
        heard: Heard<'_>,
    ) -> Result<(), ProviderError> {
        self.count_words(&text, signature.as_deref())?;
        self.join(Part::Text { text, signature }, heard);
        Ok(())
    }

    pub(super) fn thought(
        &mut self,
        text: String,
        signature: Option<String>,
        heard: Heard<'_>,
    ) -> Result<(), ProviderError> {
        self.count_words(&text, signature.as_deref())?;
        self.join(Part::Thought { text, signature }, heard);
        Ok(())
    }

    /// A call that came whole.
    pub(super) fn call(
        &mut self,
        id: Option<String>,
        name: String,
        arguments: Value,
        signature: Option<String>,
        heard: Heard<'_>,
    ) -> Result<(), ProviderError> {
        self.count(CALL_BYTES + name.len() + arguments.to_string().len())?;
        self.count_words(id.as_deref().unwrap_or_default(), signature.as_deref())?;
        self.keep_call(id.unwrap_or_default(), name, object(arguments)?, signature, heard);
        Ok(())
    }

    pub(super) fn begin_call(&mut self, id: String, name: String) -> Result<Begun, ProviderError> {
        self.count(CALL_BYTES + id.len() + name.len())?;
        Ok(Begun { id, name, arguments: String::new() })
    }

    pub(super) fn extend_call(&mut self, call: &mut Begun, arguments: &str) -> Result<(), ProviderError> {
        self.count(arguments.len())?;
        call.arguments.push_str(arguments);
        Ok(())
    }

    /// Of this call nothing more comes. Arguments that are not whole are no error yet: a reply that was cut for its length
    /// may end in them.
    pub(super) fn end_call(&mut self, call: Begun, heard: Heard<'_>) {
        let Begun { id, name, arguments } = call;
        let read = match arguments.trim() {
            "" => Ok(Map::new()),
            text => serde_json::from_str(text).map_err(malformed).and_then(object),
        };
        match read {
            Ok(arguments) => self.keep_call(id, name, arguments, None, heard),
            Err(error) => self.broken = Some(error),
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// When it did not come to its end, or a call in it is none.
    pub(super) fn reply(self) -> Result<Reply, ProviderError> {
        let finish = self.finish.ok_or(ProviderError::Cut)?;
        match self.broken {
            Some(error) if finish == Finish::Stop => Err(error),
            _ => Ok(Reply { parts: self.parts, finish, usage: self.usage }),
        }
    }

    /// Tells a piece, and joins it to the one before where both are of one text. Many streams begin with an empty one.
    fn join(&mut self, part: Part, heard: Heard<'_>) {
        if let Part::Text { text, signature: None } | Part::Thought { text, signature: None } = &part
            && text.is_empty()
        {
            return;
        }
        heard(&part);
        match (self.parts.last_mut(), part) {
            (Some(Part::Text { text, signature }), Part::Text { text: more, signature: newer })
            | (Some(Part::Thought { text, signature }), Part::Thought { text: more, signature: newer }) => {
                text.push_str(&more);
                *signature = newer.or(signature.take());
            }
            (_, part) => self.parts.push(part),
        }
    }

    /// One without an id of the provider's gets one.
    fn keep_call(
        &mut self,
        id: String,
        name: String,
        arguments: Map<String, Value>,
        signature: Option<String>,
        heard: Heard<'_>,
    ) {
        self.calls += 1;
        let id = if id.is_empty() { format!("call-{}", self.calls) } else { id };
        let part = Part::Call { id, name, arguments, signature };
        heard(&part);
        self.parts.push(part);
    }

    fn count_words(&mut self, text: &str, signature: Option<&str>) -> Result<(), ProviderError> {
        self.count(text.len() + signature.map_or(0, str::len))
    }

    /// # Errors
    /// When it is longer than it may be.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.bytes += bytes;
        if self.bytes > REPLY_BYTES { Err(ProviderError::TooLong) } else { Ok(()) }
    }
}

/// Arguments of a call; none are an empty object.
fn object(arguments: Value) -> Result<Map<String, Value>, ProviderError> {
    match arguments {
        Value::Object(arguments) => Ok(arguments),
        Value::Null => Ok(Map::new()),
        _ => Err(ProviderError::Malformed { problem: "arguments of a call are no object".to_owned() }),
    }
}
