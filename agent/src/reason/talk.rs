//! One voice's conversation with a model: think, call, read, until it concludes.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::{
    asker::{Asked, Asker},
    desk::{Desk, Told},
    memory,
};
use crate::{
    llm::{Conversation, Finish, Message, Part, Pauses, ProviderError, Reply, ToolResult, ToolSpec, Usage, estimate},
    mind::brief::{Asking, Brief, Leave, Turn},
};

/// Calls of one turn that are made; more are answered by that there are too many.
const CALLS: usize = 8;
/// Bytes of one answer that a model reads; the rest is cut, and said.
const ANSWER_BYTES: usize = 24 << 10;
/// How often it is reminded to conclude by the tool for it.
const REMINDERS: u32 = 2;
/// A provider that does not answer a turn within this is late.
pub const TURN_WITHIN: Duration = Duration::from_secs(60);

/// Who speaks.
#[derive(Clone, Debug)]
pub struct Voice {
    pub name: &'static str,
    pub system: String,
    pub tools: Vec<ToolSpec>,
    pub turns: u32,
    /// The tool by which it concludes; none: by words alone.
    pub concludes_by: Option<&'static str>,
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// By the tool for it, which answered so.
    Concluded(Value),
    /// In words.
    Said(String),
    /// Why it came to nothing.
    Stopped(String),
}

/// Where a conversation stands.
struct Talk<'a, D> {
    voice: &'a Voice,
    brief: &'a Brief,
    desk: &'a D,
    asker: &'a Asker,
    until: Instant,
    messages: Vec<Message>,
    /// What was sent beyond the turn before.
    sent: Vec<Message>,
    /// Calls by name and parameters, with what was answered.
    answered: HashMap<String, Value>,
}

/// Speaks until the voice concludes, its turns are over, or the time is.
pub async fn talk<D: Desk>(
    voice: &Voice,
    brief: &Brief,
    opening: String,
    asker: &Asker,
    desk: &D,
    until: Instant,
) -> Ended {
    let first = Message::User { text: opening };
    let mut talk = Talk {
        voice,
        brief,
        desk,
        asker,
        until,
        messages: vec![first.clone()],
        sent: vec![first],
        answered: HashMap::new(),
    };
    let mut reminders = 0;
    for number in 0..voice.turns {
        let reply = match talk.turn(number).await {
            Ok(reply) => reply,
            Err(why) => return Ended::Stopped(why),
        };
        let is_last = number + 1 == voice.turns;
        match &reply.finish {
            Finish::Refused { why } => {
                return Ended::Stopped(format!("the provider kept the model from answering: {why}"));
            }
            Finish::Length if calls(&reply).next().is_none() => {
                return Ended::Stopped("its answer was cut for its length".to_owned());
            }
            _ => {}
        }
        if calls(&reply).next().is_none() {
            let Some(tool) = voice.concludes_by else {
                let words = words(&reply);
                match desk.conclude(&words, number).await {
                    Told::Answer(_) => return Ended::Said(words),
                    Told::Refused(why) if is_last => return Ended::Stopped(why),
                    Told::Refused(why) => talk.say(Message::User { text: why }),
                }
                continue;
            };
            if is_last || reminders == REMINDERS {
                return Ended::Stopped(format!("it did not conclude by {tool}"));
            }
            reminders += 1;
            talk.say(Message::User { text: format!("Go on with a call. When you know enough, conclude by {tool}.") });
            continue;
        }
        if let Some(concluded) = talk.make_calls(number, &reply).await {
            return Ended::Concluded(concluded);
        }
    }
    Ended::Stopped(format!("its {} turns were over", voice.turns))
}

impl<D: Desk> Talk<'_, D> {
    fn say(&mut self, message: Message) {
        self.messages.push(message.clone());
        self.sent.push(message);
    }

    /// One turn: from the record, or asked of the provider, again while that may help.
    async fn turn(&mut self, number: u32) -> Result<Reply, String> {
        memory::shorten(&mut self.messages);
        let conversation = Conversation {
            system: self.voice.system.clone(),
            messages: self.messages.clone(),
            tools: self.voice.tools.clone(),
            reply_tokens: self.brief.reply_tokens,
            thinks: self.brief.thinks,
        };
        let voice = self.voice.name.to_owned();
        if let Some(reply) = self.recorded(number).and_then(|turn| turn.reply.clone()) {
            self.sent.clear();
            self.took(&reply);
            return Ok(reply);
        }
        // What another model said to the same is no reply of this one.
        let bytes = serde_json::to_vec(&(&self.brief.model, &conversation)).map_err(|error| error.to_string())?;
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let estimate = Usage {
            input_tokens: estimate(bytes.len() as u64),
            output_tokens: self.brief.reply_tokens.into(),
            cached_tokens: 0,
        };
        let asking = Asking { voice: voice.clone(), number, digest, estimate };
        let mut turn = Turn {
            voice,
            number,
            digest: asking.digest.clone(),
            sent: std::mem::take(&mut self.sent),
            reply: None,
            failed: None,
            took_ms: 0,
            cached: false,
        };
        let mut pauses = Pauses::default();
        loop {
            // What is let go counts as spent, so leave is asked for with the time to use it.
            if Instant::now() >= self.until {
                return Err("the time is over".to_owned());
            }
            match self.desk.may_ask(&asking).await {
                Leave::Go => {}
                Leave::Stop { why } => return Err(why),
                Leave::Cached { reply } => {
                    (turn.cached, turn.failed, turn.reply) = (true, None, Some(reply.clone()));
                    self.desk.record(&turn, None).await;
                    self.took(&reply);
                    return Ok(reply);
                }
            }
            let begun = Instant::now();
            let within = TURN_WITHIN.min(self.until.saturating_duration_since(begun));
            let mut heard = |part: &Part| self.desk.heard(self.voice.name, part);
            let asked = self.asker.ask(&conversation, within, &mut heard).await;
            turn.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let Asked { reply, opened } = asked;
            let error = match reply {
                Ok(mut reply) => {
                    counted(&mut reply, &asking.estimate);
                    (turn.failed, turn.reply) = (None, Some(reply.clone()));
                    self.desk.record(&turn, None).await;
                    self.took(&reply);
                    return Ok(reply);
                }
                Err(error) => error,
            };
            turn.failed = Some(error.kind().to_owned());
            self.desk.record(&turn, opened.map(|left| left_alone(left, &error))).await;
            let pause = pauses.next(asked_to_wait(&error), draw()).max(opened.unwrap_or_default());
            if !error.may_pass() || Instant::now() + pause >= self.until {
                return Err(error.to_string());
            }
            self.desk.waits(pause, &error.to_string()).await;
            sleep(pause).await;
        }
    }

    /// That turn of this voice, if it was taken before the thought was interrupted.
    fn recorded(&self, number: u32) -> Option<&Turn> {
        let is_it = |turn: &&Turn| turn.voice == self.voice.name && turn.number == number && turn.reply.is_some();
        self.brief.recorded.iter().find(is_it)
    }

    /// What was answered to the calls of that turn then: it stands at the beginning of the turn after it.
    fn recorded_results(&self, number: u32) -> Option<Vec<ToolResult>> {
        self.recorded(number + 1)?.sent.iter().find_map(|message| match message {
            Message::Tools { results } => Some(results.clone()),
            _ => None,
        })
    }

    fn took(&mut self, reply: &Reply) {
        self.messages.push(Message::Model { parts: reply.parts.clone() });
    }

    /// Makes the calls of a reply; the answer to the concluding one when it was accepted.
    async fn make_calls(&mut self, number: u32, reply: &Reply) -> Option<Value> {
        if let Some(results) = self.recorded_results(number) {
            self.say(Message::Tools { results });
            return None;
        }
        let mut results = Vec::new();
        let mut concluded = None;
        let thought_first = thinks_first(reply);
        for (at, (id, name, arguments)) in calls(reply).enumerate() {
            let told = if !thought_first {
                Told::Refused("say first what you think and why you call this; then call it".to_owned())
            } else if at >= CALLS {
                Told::Refused(format!("at most {CALLS} calls in one turn"))
            } else {
                self.call(name, arguments).await
            };
            let (answer, is_error) = match told {
                Told::Answer(answer) => (answer, false),
                Told::Refused(why) => (json!(why), true),
            };
            if !is_error && self.voice.concludes_by == Some(name) {
                concluded = Some(answer.clone());
            }
            results.push(ToolResult { id: id.to_owned(), name: name.to_owned(), answer: cut(answer), is_error });
        }
        self.say(Message::Tools { results });
        concluded
    }

    /// The same call is made once; asked again it is answered from the record, and that is said.
    async fn call(&mut self, name: &str, arguments: &Map<String, Value>) -> Told {
        if !self.voice.tools.iter().any(|tool| tool.name == name) {
            let known = self.voice.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>().join(", ");
            return Told::Refused(format!("there is no function of that name; there are {known}"));
        }
        let key = format!("{name} {}", sorted(&Value::Object(arguments.clone())));
        if let Some(answer) = self.answered.get(&key) {
            return Told::Answer(json!({ "you_asked_this_before": true, "answer": answer }));
        }
        let told = self.desk.call(name, arguments).await;
        if let Told::Answer(answer) = &told {
            self.answered.insert(key, answer.clone());
        }
        told
    }
}

fn calls(reply: &Reply) -> impl Iterator<Item = (&str, &str, &Map<String, Value>)> {
    reply.parts.iter().filter_map(|part| match part {
        Part::Call { id, name, arguments, .. } => Some((id.as_str(), name.as_str(), arguments)),
        Part::Thought { .. } | Part::Text { .. } => None,
    })
}

/// Whether words stand before the first call.
fn thinks_first(reply: &Reply) -> bool {
    let before = reply.parts.iter().take_while(|part| !matches!(part, Part::Call { .. }));
    before.into_iter().any(|part| match part {
        Part::Thought { text, .. } | Part::Text { text, .. } => !text.trim().is_empty(),
        Part::Call { .. } => false,
    })
}

fn words(reply: &Reply) -> String {
    let text = reply.parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_str()),
        Part::Thought { .. } | Part::Call { .. } => None,
    });
    text.collect::<Vec<_>>().join("\n")
}

/// The answer, or its beginning as text where it is too long.
fn cut(answer: Value) -> Value {
    let text = answer.to_string();
    if text.len() <= ANSWER_BYTES {
        return answer;
    }
    let end = (0..=ANSWER_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    json!({ "cut": format!("only the first {end} of {} bytes; ask for less", text.len()), "beginning": &text[..end] })
}

/// The same text for the same value, in whatever order its keys came.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key:?}:{}", sorted(value))).collect();
            fields.sort_unstable();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(all) => format!("[{}]", all.iter().map(sorted).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Some tell no usage: then it is reckoned, or a budget would not bound them.
fn counted(reply: &mut Reply, estimate: &Usage) {
    if reply.usage.input_tokens == 0 && reply.usage.output_tokens == 0 {
        let bytes = serde_json::to_string(&reply.parts).map_or(0, |text| text.len() as u64);
        reply.usage = Usage { output_tokens: self::estimate(bytes), ..*estimate };
    }
}

/// Why nothing is asked for a while.
fn left_alone(left: Duration, error: &ProviderError) -> String {
    format!("it is left alone for {} s: {error}", left.as_secs())
}

fn asked_to_wait(error: &ProviderError) -> Option<Duration> {
    match error {
        ProviderError::RateLimited { after } => *after,
        _ => None,
    }
}

/// 0 to 1, good enough to spread those who wait.
fn draw() -> f64 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..4]);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
