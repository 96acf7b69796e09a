//! A process that has children when it is told to, and what the kernel says of where processes are.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One at a time makes cgroups of the agent's own, so that the one above them goes with the last.
pub(crate) fn own_cgroups_alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A shell that begins a child whenever it is told to.
pub(crate) struct Parent {
    shell: Child,
    output: BufReader<ChildStdout>,
    children: Vec<u32>,
}

impl Parent {
    pub(crate) fn start() -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "while read -r line; do sleep 120 > /dev/null & echo $!; done"]);
        // No kernel minds where a process without a capability is moved.
        let mut shell = shell.uid(12_345).gid(12_345).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let mut parent = Self { shell, output, children: Vec::new() };
        // Once it has one, it is what it will be.
        parent.begin();
        parent
    }

    pub(crate) fn pid(&self) -> u32 {
        self.shell.id()
    }

    pub(crate) fn begin(&mut self) -> u32 {
        self.shell.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        self.children.push(line.trim().parse().unwrap());
        self.children[self.children.len() - 1]
    }

    /// Ends the shell, and none of its children.
    pub(crate) fn end_alone(&mut self) {
        self.shell.kill().unwrap();
        self.shell.wait().unwrap();
    }

    pub(crate) fn children(&self) -> &[u32] {
        &self.children
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        for child in &self.children {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*child as i32), nix::sys::signal::SIGKILL);
        }
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// What the kernel says of where a process is, in all hierarchies.
pub(crate) fn cgroups(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap()
}
