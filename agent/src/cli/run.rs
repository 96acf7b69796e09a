//! `run`: the agent in the foreground. What is printed comes through the door, as for any other client.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use tokio::time::sleep;
use tracing_subscriber::EnvFilter;

use super::{
    CliError, Context,
    client::Client,
    eyes::Eyes,
    status,
    watch::{self, Wanted},
};
use crate::{
    agent,
    config::{Settings, WatchCalls},
    live::{self, Autonomy},
    tools::{get_status::GetStatus, params::Nothing},
};

/// The daemon opens its door once it is ready; until then it is asked again after this.
const KNOCK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub struct Run {
    /// The settings' file; without one, /etc/kernelsight/kernelsight.toml if it is there.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the database is kept.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The autonomy level from the start; without one, the level that was last set, or advisor.
    #[arg(long, value_name = "LEVEL")]
    pub autonomy: Option<Autonomy>,
    /// Directory of policies that replace the embedded ones, file by file.
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// Directory of the sockets of actors, who act for a daemon that has no power but to watch.
    #[arg(long, value_name = "DIR")]
    pub actors: Option<PathBuf>,
    /// The socket behind which the service manager makes the process that thinks with a model.
    #[arg(long, value_name = "SOCKET")]
    pub reasoner: Option<PathBuf>,
    /// Time between two samples, ms.
    #[arg(long, value_name = "MS")]
    pub tick_ms: Option<u64>,
    /// When system calls are watched, which costs each of them 100 to 200 ns; without this, on_demand.
    #[arg(long, value_name = "WHEN")]
    pub watch_calls: Option<WatchCalls>,
    /// Print nothing but errors.
    #[arg(long)]
    pub quiet: bool,
}

impl Run {
    pub(super) fn run(self, context: &Context, socket: Option<PathBuf>) -> Result<(), CliError> {
        let quiet = self.quiet;
        log(context.json);
        let settings = self.settings(socket)?;
        let context = Context { socket: settings.socket.clone(), json: context.json, eyes: context.eyes.clone() };
        agent::come_first();
        agent::leave_no_core();
        let reasoners = agent::Reasoners::begin(&settings);
        // While there is one thread: what others are confined by, they have from it.
        let unconfined = agent::confine(&settings).err();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| CliError::Failed { reason: format!("cannot start: {error}") })?;
        let ended = runtime.block_on(async {
            let told = tokio::spawn(async move {
                if !quiet {
                    tell(&context).await;
                }
            });
            // On a worker: there a timer wakes the thread that waits for it, and not another one through this.
            let ended = tokio::spawn(agent::run(settings, unconfined, reasoners)).await;
            told.abort();
            ended
        });
        // What still blocks (a name service, a disk) must not keep the process.
        runtime.shutdown_timeout(Duration::from_secs(2));
        let failed = |error: &dyn std::fmt::Display| CliError::Failed { reason: error.to_string() };
        ended.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    fn settings(self, socket: Option<PathBuf>) -> Result<Settings, CliError> {
        let usage = |error: crate::config::ConfigError| CliError::Usage { reason: error.to_string() };
        let mut settings = Settings::load(self.config.as_deref()).map_err(usage)?;
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        settings.socket = socket.map_or(settings.socket, absolute);
        settings.state_dir = self.state_dir.map_or(settings.state_dir, absolute);
        settings.autonomy = self.autonomy.or(settings.autonomy);
        settings.policies = self.policies.map(absolute).or(settings.policies);
        settings.actors = self.actors.map(absolute).or(settings.actors);
        settings.reasoner = self.reasoner.map(absolute).or(settings.reasoner);
        settings.tick_ms = self.tick_ms.unwrap_or(settings.tick_ms);
        settings.watch_calls = self.watch_calls.unwrap_or(settings.watch_calls);
        settings.checked().map_err(usage)
    }
}

/// The daemon's own log, on standard error: warnings and worse, unless `KERNELSIGHT_LOG` says otherwise.
fn log(json: bool) {
    let filter = EnvFilter::try_from_env("KERNELSIGHT_LOG").unwrap_or_else(|_| EnvFilter::new("warn,rmcp=off"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Whoever embeds this may log already.
    let begun = if json { log.json().try_init() } else { log.with_ansi(false).try_init() };
    drop(begun);
}

/// What is attached, what is not and why; then one line for each thing worth knowing. A reader that goes away (a closed
/// pipe) is no reason for the agent to end.
async fn tell(context: &Context) {
    let client = loop {
        match Client::connect(&context.socket).await {
            Ok(client) => break client,
            Err(_) => sleep(KNOCK_EVERY).await,
        }
    };
    let status = match client.ask::<GetStatus>(&Nothing {}).await {
        Ok(status) => status,
        Err(error) => return anstream::eprintln!("kernelsight: it runs, but cannot tell here how it stands: {error}"),
    };
    if context.print_line(&status, begun).is_ok() {
        drop(watch::follow(&client, context, Wanted::Main).await);
    }
}

/// The first words on the terminal.
#[must_use]
pub fn begun(status: &live::Status, eyes: &Eyes) -> String {
    let last = "Following; stop it with Ctrl-C. In another terminal: `kernelsight status`, `incidents`, `trace`.";
    format!("{}\n\n{last}\n", status::text(status, false, eyes))
}
