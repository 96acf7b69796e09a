//! `watch`: follows live, one line for each thing that happens; `--raw` gives the kernel's events as JSON lines.

use clap::Args;

use super::{
    CliError, Context,
    client::{self, Client},
    eyes::{self, Eyes, Mood, paint},
    incidents::{short, state},
};
use crate::{
    clock::now_ms,
    explain::IncidentStatus,
    live::News,
    observe::{Severity, Signal},
    reflect::Phase,
    tools::follow::{Follow, Params},
};

/// Longest line where no terminal says how wide it is.
const LINE_CHARS: usize = 240;

#[derive(Debug, Args)]
pub struct Watch {
    /// The kernel's events as they come, one JSON object a line, and nothing else.
    #[arg(long)]
    pub raw: bool,
}

impl Watch {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        client::runtime()?.block_on(async {
            let client = Client::connect(&context.socket).await?;
            tokio::select! {
                ended = follow(&client, context, if self.raw { Wanted::Raw } else { Wanted::All }) => ended,
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        })
    }
}

/// How much a follower wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// What somebody at a terminal should know, without the thoughts on the way.
    Main,
    /// The kernel's events, and nothing else.
    Raw,
}

/// Prints what happens until the daemon ends or nobody reads.
pub(super) async fn follow(client: &Client, context: &Context, wanted: Wanted) -> Result<(), CliError> {
    let raw = wanted == Wanted::Raw;
    let params = Params { raw, ..Params::default() };
    loop {
        let answer = client.ask::<Follow>(&params).await?;
        let eyes = Eyes { now_ms: now_ms(), ..context.eyes.clone() };
        for news in &answer.news {
            match news {
                News::Raw { event } if raw => super::print(&super::json(event, false)?)?,
                _ if raw || (wanted == Wanted::Main && !is_main(news)) => {}
                news => context.print_line(news, |news, _| line(news, &eyes))?,
            }
        }
        if answer.lost > 0 {
            // Standard output holds what scripts read, and only that.
            anstream::eprintln!("kernelsight: {} news were lost: this reader was too slow", answer.lost);
        }
    }
}

fn is_main(news: &News) -> bool {
    match news {
        News::SignalOpened { signal } => signal.severity >= Severity::Medium,
        News::IncidentChanged { incident } => incident.status != IncidentStatus::Working,
        News::Step { step, .. } => matches!(step.phase, Phase::Decide | Phase::Execute | Phase::Verify),
        News::SignalChanged { .. } | News::SignalClosed { .. } | News::Raw { .. } => false,
        News::Thinks { .. } | News::Said { .. } => false,
        News::IncidentOpened { .. } | News::Waits { .. } | News::Note { .. } => true,
    }
}

/// One line for one thing that happened.
#[must_use]
pub fn line(news: &News, eyes: &Eyes) -> String {
    let at = paint(Mood::Dim, &eyes.clock(eyes.now_ms));
    let text = match news {
        News::SignalOpened { signal } => about(signal, &signal.sentence),
        News::SignalChanged { signal } => about(signal, &format!("now {}: {}", signal.severity, signal.sentence)),
        News::SignalClosed { signal } => {
            let until = signal.closed_ms.unwrap_or(eyes.now_ms);
            let lasted = eyes::duration((until - signal.first_seen_ms).max(0) as f64 / 1000.0);
            let over = format!("over after {lasted}, at its worst {}", signal.peak_severity);
            tagged(&paint(Mood::Good, "over"), "over", &format!("{}, {}: {over}", signal.signal_type, signal.entity))
        }
        News::IncidentOpened { incident } => {
            let words = format!("{} opened: {}", short(&incident.uid), incident.title);
            tagged(&paint(Mood::Bad, "incident"), "incident", &words)
        }
        News::IncidentChanged { incident } => {
            let words = format!("{} {}: {}", short(&incident.uid), state(incident), incident.title);
            tagged(&paint(Mood::Strong, "incident"), "incident", &words)
        }
        News::Step { incident, step } => {
            let words = format!("{} {}", short(incident), one_line(&step.text));
            tagged(phase(step.phase), phase(step.phase), &words)
        }
        News::Thinks { case, incident } => {
            let about = incident.as_ref().map_or_else(|| "a question".to_owned(), |uid| short(uid).to_string());
            tagged("think", "think", &format!("{about} is put before the model (case {case})"))
        }
        News::Said { voice, text, .. } => tagged("said", "said", &format!("{voice}: {}", one_line(text))),
        News::Waits { ms, why, .. } => {
            let again = eyes::duration(*ms as f64 / 1000.0);
            tagged(
                &paint(Mood::Warn, "wait"),
                "wait",
                &format!("the model is asked again in {again}: {}", one_line(why)),
            )
        }
        News::Note { text } => tagged("note", "note", text),
        News::Raw { event } => {
            tagged("event", "event", &serde_json::to_string(event).unwrap_or_else(|error| error.to_string()))
        }
    };
    eyes::finish(&cut(&format!("{at}  {text}"), eyes.width.map_or(LINE_CHARS, usize::from)))
}

fn about(signal: &Signal, words: &str) -> String {
    let words = format!("{}, {}: {words}", signal.signal_type, signal.entity);
    tagged(&eyes::severity(signal.severity), signal.severity.name(), &words)
}

/// A first word of one width, whatever its colour.
fn tagged(painted: &str, plain: &str, words: &str) -> String {
    let gap = 10_usize.saturating_sub(plain.len());
    format!("{painted}{:gap$}{words}", "")
}

/// The line, as long as one may be; a trace has the whole. Marks of mood count as nothing.
fn cut(line: &str, chars: usize) -> String {
    if eyes::columns(line) <= chars {
        return line.to_owned();
    }
    let mut room = chars.saturating_sub(1);
    let kept = line.chars().take_while(|c| {
        let columns = eyes::columns(c.encode_utf8(&mut [0; 4]));
        let fits = room >= columns;
        room = room.saturating_sub(columns);
        fits
    });
    kept.chain(['…']).collect()
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Observe => "observe",
        Phase::Explain => "explain",
        Phase::Simulate => "simulate",
        Phase::Decide => "decide",
        Phase::Execute => "execute",
        Phase::Verify => "verify",
        Phase::Reflect => "reflect",
    }
}
