//! The agent as a user starts it: its own state and socket in a directory of its own, and gone at the end.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, mkdtemp},
};

use crate::{
    client::{Client, Status},
    place,
};

const READY_WITHIN: Duration = Duration::from_secs(30);
const GONE_WITHIN: Duration = Duration::from_secs(15);

/// A running agent. Dropping it ends it without grace.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) client: Client,
    child: Child,
    log: PathBuf,
    /// What goes with it.
    directory: Option<PathBuf>,
}

impl Agent {
    /// Starts it and waits until it answers. What it says goes to `log`.
    pub(crate) fn start(autonomy: &str, log: &Path) -> Result<(Self, Status)> {
        Self::start_with(autonomy, &[], log)
    }

    /// The same with more arguments.
    pub(crate) fn start_with(autonomy: &str, arguments: &[&str], log: &Path) -> Result<(Self, Status)> {
        let template = std::env::temp_dir().join("kernelsight-XXXXXX");
        let directory = mkdtemp(&template).with_context(|| format!("{} cannot be made", template.display()))?;
        let mut agent = Self::spawn(&directory, &[&["--autonomy", autonomy], arguments].concat(), log)?;
        agent.directory = Some(directory);
        let status = agent.wait_until_ready()?;
        Ok((agent, status))
    }

    /// Starts it on a directory that outlives it, and does not wait.
    pub(crate) fn spawn(directory: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let binary = place::agent()?;
        Client::check(&binary)?;
        let output = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        let client = Client { binary: binary.clone(), socket: directory.join("kernelsight.sock") };
        let child = Command::new(&binary)
            .arg("--socket")
            .arg(&client.socket)
            .args(["run", "--state-dir"])
            .arg(directory.join("state"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        Ok(Self { client, child, log: log.to_owned(), directory: None })
    }

    /// None while it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to leave by SIGTERM; an error when it does not, or not well.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("the agent ended before it was asked to ({status})");
        }
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let asked = Instant::now();
        while asked.elapsed() < GONE_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                if status.success() || status.signal() == Some(Signal::SIGTERM as i32) {
                    return Ok(());
                }
                bail!("the agent left badly on SIGTERM ({status})");
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the agent did not leave within {} s of SIGTERM", GONE_WITHIN.as_secs())
    }

    /// Ends it as hard as the kernel can.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it answers.
    pub(crate) fn wait_until_ready(&mut self) -> Result<Status> {
        self.answers().with_context(|| format!("what it said is in {}", self.log.display()))
    }

    fn answers(&mut self) -> Result<Status> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                bail!("the agent ended at its start ({status})");
            }
            match self.client.status() {
                Ok(status) if status.pid == self.child.id() => return Ok(status),
                Ok(status) => bail!("another process ({}) answers on the agent's socket", status.pid),
                Err(error) if begun.elapsed() > READY_WITHIN => {
                    return Err(error.context(format!("the agent did not answer within {} s", READY_WITHIN.as_secs())));
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have left already; there is nothing else to do for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// All that a process started, and what that did.
pub(crate) fn below(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let told = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let children: Vec<u32> = told
        .flat_map(|text| text.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<u32>>())
        .collect();
    children.into_iter().flat_map(|child| [vec![child], below(child)].concat()).collect()
}
