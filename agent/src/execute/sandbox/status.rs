//! What the kernel shows of a process in `/proc/PID/status`, and whether it is as it should be.

use capctl::CapSet;

/// `SECCOMP_MODE_FILTER`.
const MODE_FILTER: &str = "2";

/// The text, as it was read.
#[derive(Debug)]
pub(crate) struct Status(String);

impl Status {
    pub(crate) const fn of(text: String) -> Self {
        Self(text)
    }

    /// Each thread has its own filters and capabilities.
    pub(crate) fn of_this_thread() -> Result<Self, String> {
        let path = "/proc/thread-self/status";
        std::fs::read_to_string(path).map(Self).map_err(|error| format!("{path} cannot be read: {error}"))
    }

    /// What stands behind a name, its words with a space between them.
    pub(crate) fn line(&self, name: &str) -> Option<String> {
        let rest = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(rest.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn expect(&self, name: &str, expected: &str) -> Result<(), String> {
        match self.line(name) {
            Some(shown) if shown == expected => Ok(()),
            shown => Err(format!("{name} is `{}`, not `{expected}`", shown.unwrap_or_default())),
        }
    }

    /// No capability but these, in any set.
    pub(crate) fn expect_capabilities_within(&self, kept: CapSet) -> Result<(), String> {
        let kept = kept.iter().fold(0, |bits, cap| bits | 1_u64 << (cap as u8));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let shown = self.line(set).unwrap_or_default();
            if !u64::from_str_radix(&shown, 16).is_ok_and(|shown| shown & !kept == 0) {
                return Err(format!("{set} is `{shown}`, more than {kept:016x}"));
            }
        }
        Ok(())
    }

    /// Filters of system calls that are in force. Kernels that have Landlock show it.
    pub(crate) fn filters(&self) -> Result<u64, String> {
        let number = self.line("Seccomp_filters").and_then(|number| number.parse().ok());
        number.ok_or_else(|| "the kernel does not show how many system call filters there are".to_owned())
    }

    /// No new privileges, and one more filter of system calls than `before`.
    pub(crate) fn expect_filter(&self, before: u64) -> Result<(), String> {
        self.expect("NoNewPrivs", "1")?;
        self.expect("Seccomp", MODE_FILTER)?;
        if self.filters()? == before + 1 { Ok(()) } else { Err("the system call filter is not there".to_owned()) }
    }
}
