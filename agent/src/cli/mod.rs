//! The command line: one file a verb. A verb asks the daemon through its tools, as any other client does, and shows the
//! answer for eyes or as JSON.

pub mod client;
pub mod eyes;

pub mod actions;
pub mod approve;
pub mod ask;
pub mod audit;
pub mod autonomy;
pub mod bench;
pub mod changes;
pub mod deny;
pub mod doctor;
pub mod dry_run;
pub mod incidents;
pub mod mcp;
pub mod model;
pub mod pause;
pub mod policy;
pub mod predict;
pub mod proposals;
pub mod reason;
pub mod replay;
pub mod resume;
pub mod run;
pub mod signals;
pub mod status;
pub mod tools;
pub mod top;
pub mod trace;
pub mod trends;
pub mod undo;
pub mod watch;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use serde::Serialize;

use client::Client;
use eyes::Eyes;

use crate::{
    allocator,
    config::{DEFAULT_SOCKET, Settings},
    tools::Tool,
};

/// Watches this node through eBPF, says why it degrades, and takes the mildest action that helps.
#[derive(Debug, Parser)]
#[command(name = "kernelsight", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// The daemon's socket.
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// JSON instead of text for eyes; one object a line where there is no end.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the agent in the foreground.
    Run(run::Run),
    /// Is all well: what works, what does not and why, what the agent costs.
    Status(status::Status),
    /// What is abnormal, now and lately.
    Signals(signals::Signals),
    /// How each measure moves.
    Trends(trends::Trends),
    /// What happens if nobody acts.
    Predict(predict::Predict),
    /// What is wrong: one line an incident.
    Incidents(incidents::Incidents),
    /// Who takes most of something, now.
    Top(top::Top),
    /// What changed just before: now, or before an incident.
    Changes(changes::Changes),
    /// The whole story of one pass of the loop; without a number, the latest ones.
    Trace(trace::Trace),
    /// Ask the model something about this node, in your own words.
    Ask(ask::Ask),
    /// Go through the model's conversation of a trace again, with no network.
    Replay(replay::Replay),
    /// Show or set which model is asked beside the rules.
    Model(model::Model),
    /// What waits for an operator's word.
    Proposals(proposals::Proposals),
    /// Let one proposal be carried out.
    Approve(approve::Approve),
    /// Say no to one proposal.
    Deny(deny::Deny),
    /// Take one action back, or all that stands.
    Undo(undo::Undo),
    /// Let the agent change nothing until it is resumed.
    Pause(pause::Pause),
    /// End a pause, or what held the agent back after failures.
    Resume(resume::Resume),
    /// Show or set how much the agent may do by itself.
    Autonomy(autonomy::Autonomy),
    /// What was done, and what it replaced; with a name, what that action is, or a dry run of it.
    Actions(actions::Actions),
    /// Whether the journal is as it was written; needs no daemon.
    Audit(audit::Audit),
    /// Ask the policy what it would say; needs no daemon.
    Policy(policy::Policy),
    /// What this machine has and lacks for the agent; needs no daemon.
    Doctor(doctor::Doctor),
    /// Lend the daemon's tools to an MCP client, by standard input and output.
    Mcp(mcp::Mcp),
    /// The tools that you may call.
    Tools(tools::Tools),
    /// Call any tool by its name; the answer is JSON.
    Call(tools::Call),
    /// Think with a model, for the daemon, whose socket is the standard input.
    #[command(hide = true)]
    Reason(reason::Reason),
    /// Time each program beside an empty one.
    #[command(hide = true)]
    BenchProbes(bench::BenchProbes),
    /// Time system calls with our programs, with empty ones and with none.
    #[command(hide = true)]
    BenchCalls(bench::BenchCalls),
    /// Time our block programs and those that remember each request.
    #[command(hide = true)]
    BenchBlock(bench::BenchBlock),
    /// Time records as they are decoded, and by a bare loop.
    #[command(hide = true)]
    BenchRing(bench::BenchRing),
    /// Time how long the programs take to load and attach.
    #[command(hide = true)]
    BenchLoad(bench::BenchLoad),
    /// Measure the store against bare SQLite.
    #[command(hide = true)]
    BenchStore(bench::BenchStore),
    /// Measure the memory that many signals leave behind.
    #[command(hide = true)]
    BenchSignals(bench::BenchSignals),
    /// Follow live: one line for each thing that happens.
    Watch(watch::Watch),
}

/// Why a verb failed; what the process exits with tells programs which kind it was.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(
        "no daemon answers on {path}: is it running? start it with `systemctl start kernelsight` or `kernelsight run`; \
         `systemctl status kernelsight` tells why it ended",
        path = path.display()
    )]
    NoDaemon { path: PathBuf },
    #[error("you may not talk to the daemon on {path}: be root, or a member of the group kernelsight, as those of kernelsight-admin must be too (log in anew after joining)", path = path.display())]
    NotAllowed { path: PathBuf },
    #[error("{reason}")]
    Usage { reason: String },
    #[error("{reason}")]
    Failed { reason: String },
    #[error("cannot print: {source}")]
    Print { source: io::Error },
}

impl CliError {
    /// 1 failed, 2 bad usage, 3 no daemon.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::NotAllowed { .. } | Self::Failed { .. } | Self::Print { .. } => 1,
            Self::Usage { .. } => 2,
            Self::NoDaemon { .. } => 3,
        }
    }
}

/// What every verb is given.
#[derive(Debug)]
pub struct Context {
    pub socket: PathBuf,
    pub json: bool,
    pub eyes: Eyes,
}

/// Does what the command line says; the process exits with the answer.
#[must_use]
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|role| role == "executor") {
        return crate::execute::sandbox::executor_main();
    }
    allocator::keep_one_heap();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Also how `--help` and `--version` come out, with code 0.
            let code = if error.use_stderr() { 2 } else { 0 };
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::FAILURE };
        }
    };
    let json = cli.json;
    match dispatch(cli) {
        Ok(code) => code,
        // `kernelsight signals | head` is no failure.
        Err(CliError::Print { source }) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error, json);
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    let Cli { socket, json, verb } = cli;
    let context = Context { socket: socket.clone().unwrap_or_else(default_socket), json, eyes: Eyes::of_terminal() };
    let done = |result: Result<(), CliError>| result.map(|()| ExitCode::SUCCESS);
    match verb {
        Verb::Run(verb) => done(verb.run(&context, socket)),
        Verb::Status(verb) => done(verb.run(&context)),
        Verb::Signals(verb) => done(verb.run(&context)),
        Verb::Trends(verb) => done(verb.run(&context)),
        Verb::Predict(verb) => done(verb.run(&context)),
        Verb::Incidents(verb) => done(verb.run(&context)),
        Verb::Trace(verb) => done(verb.run(&context)),
        Verb::Proposals(verb) => done(verb.run(&context)),
        Verb::Approve(verb) => done(verb.run(&context)),
        Verb::Deny(verb) => done(verb.run(&context)),
        Verb::Undo(verb) => done(verb.run(&context)),
        Verb::Pause(verb) => done(verb.run(&context)),
        Verb::Resume(verb) => done(verb.run(&context)),
        Verb::Autonomy(verb) => done(verb.run(&context)),
        Verb::Actions(verb) => verb.run(&context),
        Verb::Audit(verb) => verb.run(&context),
        Verb::Policy(verb) => done(verb.run(&context)),
        Verb::Doctor(verb) => verb.run(&context),
        Verb::Ask(verb) => done(verb.run(&context)),
        Verb::Replay(verb) => done(verb.run(&context)),
        Verb::Model(verb) => done(verb.run(&context)),
        Verb::Mcp(verb) => done(verb.run(&context)),
        Verb::Tools(verb) => done(verb.run(&context)),
        Verb::Call(verb) => done(verb.run(&context)),
        Verb::Top(verb) => done(verb.run(&context)),
        Verb::Changes(verb) => done(verb.run(&context)),
        Verb::Reason(verb) => done(verb.run(&context)),
        Verb::BenchProbes(verb) => done(verb.run(&context)),
        Verb::BenchCalls(verb) => done(verb.run(&context)),
        Verb::BenchBlock(verb) => done(verb.run(&context)),
        Verb::BenchRing(verb) => done(verb.run(&context)),
        Verb::BenchLoad(verb) => done(verb.run(&context)),
        Verb::BenchStore(verb) => done(verb.run(&context)),
        Verb::BenchSignals(verb) => done(verb.run(&context)),
        Verb::Watch(verb) => done(verb.run(&context)),
    }
}

/// Where the daemon listens if its settings, as far as this user may read them, say nothing else.
fn default_socket() -> PathBuf {
    Settings::load(None).map_or_else(|_| DEFAULT_SOCKET.into(), |settings| settings.socket)
}

impl Context {
    /// Asks the daemon one thing.
    pub(crate) fn ask<T: Tool>(&self, params: &T::Params) -> Result<T::Answer, CliError> {
        client::runtime()?.block_on(async {
            let client = Client::connect(&self.socket).await?;
            let answer = client.ask::<T>(params).await;
            client.close().await;
            answer
        })
    }

    /// Asks the daemon one thing, and shows it.
    pub(crate) fn show<T: Tool>(
        &self,
        params: &T::Params,
        for_eyes: impl FnOnce(&T::Answer, &Eyes) -> String,
    ) -> Result<(), CliError> {
        let answer = self.ask::<T>(params)?;
        self.print(&answer, for_eyes)?;
        warn(T::unread(&answer));
        Ok(())
    }

    /// The value as JSON, or as its text for eyes.
    pub(crate) fn print<V: Serialize>(
        &self,
        value: &V,
        for_eyes: impl FnOnce(&V, &Eyes) -> String,
    ) -> Result<(), CliError> {
        if self.json { print(&json(value, true)?) } else { print(&for_eyes(value, &self.eyes)) }
    }

    /// One line of a stream that may never end.
    pub(crate) fn print_line<V: Serialize>(
        &self,
        value: &V,
        for_eyes: impl FnOnce(&V, &Eyes) -> String,
    ) -> Result<(), CliError> {
        if self.json { print(&json(value, false)?) } else { print(&for_eyes(value, &self.eyes)) }
    }
}

pub(crate) fn json<V: Serialize>(value: &V, pretty: bool) -> Result<String, CliError> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    text.map_err(|error| CliError::Failed { reason: format!("the answer cannot be written as JSON: {error}") })
}

/// Prints to standard output, ending in a newline; colours only where a terminal shows them.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(|source| CliError::Print { source })
}

/// What an answer should have had in it, beside the rest that it has.
pub(crate) fn warn(unread: &[String]) {
    for why in unread {
        // Nobody is left to tell when standard error is gone too.
        drop(writeln!(anstream::stderr(), "kernelsight: {why}"));
    }
}

fn complain(error: &CliError, json: bool) {
    let text = if json {
        serde_json::json!({ "error": error.to_string(), "code": error.code() }).to_string()
    } else {
        format!("kernelsight: {error}")
    };
    // Nobody is left to tell when standard error is gone too.
    drop(writeln!(anstream::stderr(), "{text}"));
}
