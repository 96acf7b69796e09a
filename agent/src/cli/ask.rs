//! `ask`: a question in one's own words, answered as the model thinks.

use std::time::Duration;

use clap::Args;

use super::{
    CliError, Context,
    client::{self, Client},
    eyes::{self, Eyes, Mood, paint},
};
use crate::{
    live::News,
    mind::{Ending, story},
    tools::{
        ask_model::{self, AskModel},
        follow::{self, Follow},
        params::{Bounded, Prose},
        query_case::{self, QueryCase},
    },
};

#[derive(Debug, Args)]
pub struct Ask {
    /// Such as "why is this node slow?"
    pub question: Prose<2000>,
    /// Show what the model thinks, calls and finds on the way.
    #[arg(long)]
    pub thinking: bool,
}

/// A piece that was told late is waited for so long.
const LAST_PIECES: Duration = Duration::from_millis(300);

impl Ask {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        client::runtime()?.block_on(async {
            let (asking, following) =
                (Client::connect(&context.socket).await?, Client::connect(&context.socket).await?);
            // From now on nothing is missed.
            following.ask::<Follow>(&follow::Params { wait_s: Bounded::clamped(0), ..Default::default() }).await?;
            let case = asking.ask::<AskModel>(&ask_model::Params { question: self.question.clone() }).await?.case;
            let wanted = !context.json;
            let told = tokio::select! {
                told = follow_case(&following, case, wanted, self.thinking) => told.map(|()| None),
                answer = ended(&asking, case) => answer.map(Some),
            }?;
            let Some(answer) = told else { return Ok(()) };
            if wanted {
                // What is still on its way.
                let rest = follow_case(&following, case, wanted, self.thinking);
                _ = tokio::time::timeout(LAST_PIECES, rest).await;
                anstream::eprintln!("\n");
            }
            asking.close().await;
            following.close().await;
            self.show(&answer, context)
        })
    }

    fn show(&self, answer: &query_case::Answer, context: &Context) -> Result<(), CliError> {
        match &answer.case.ending {
            Some(Ending::Answered { text }) => {
                let text = |_: &query_case::Answer, _: &Eyes| {
                    if self.thinking { story::story(&answer.case, &answer.turns) } else { eyes::finish(text) }
                };
                context.print(answer, text)?;
                if !context.json && !self.thinking {
                    let costs = story::costs(&answer.turns, &answer.case.tally);
                    anstream::eprintln!("{}", eyes::finish(&paint(Mood::Dim, &costs)));
                }
                Ok(())
            }
            other => {
                let why = match other {
                    Some(Ending::Stopped { why }) => why.clone(),
                    Some(Ending::Late) => "its time was over".to_owned(),
                    Some(Ending::Refused { why }) => format!("what it says is not so, twice: {}", why.join("; ")),
                    _ => "it came to nothing".to_owned(),
                };
                let reason = format!("the model does not answer: {why} (case {})", answer.case.id);
                Err(CliError::Failed { reason })
            }
        }
    }
}

async fn ended(client: &Client, case: i64) -> Result<query_case::Answer, CliError> {
    loop {
        let params = query_case::Params { case: Bounded::clamped(case), wait: true };
        let answer = client.ask::<QueryCase>(&params).await?;
        if answer.case.ending.is_some() {
            return Ok(answer);
        }
    }
}

/// Tells on standard error what the model does, as it does it; never ends by itself.
async fn follow_case(client: &Client, case: i64, wanted: bool, thinking: bool) -> Result<(), CliError> {
    loop {
        let answer = client.ask::<Follow>(&follow::Params::default()).await?;
        for news in answer.news.iter().filter(|_| wanted) {
            match news {
                News::Said { case: of, text, thought, .. } if *of == case && (thinking || !thought) => {
                    anstream::eprint!("{}", eyes::finish(&paint(Mood::Dim, text)));
                }
                News::Waits { case: of, ms, why } if *of == case => {
                    let again = eyes::duration(*ms as f64 / 1000.0);
                    anstream::eprintln!("{}", eyes::finish(&format!("asked again in {again}: {why}")));
                }
                _ => {}
            }
        }
    }
}
