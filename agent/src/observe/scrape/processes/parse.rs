//! The texts of `/proc/PID`.

use super::super::{Document, ScrapeError};
use crate::{
    observe::{ProcessId, sample::ProcessSample},
    text::Text,
};

const PF_KTHREAD: u64 = 0x0020_0000;

/// `/proc/PID/stat`. The name is whatever the process calls itself, parentheses, spaces and newlines included, so the
/// numbers begin after the last `)`; what this file does not tell is left open.
pub fn stat(document: Document<'_>, page_bytes: u64, ticks_per_second: u64) -> Result<ProcessSample, ScrapeError> {
    let text = document.text();
    let open = text.iter().position(|byte| *byte == b'(');
    let close = text.iter().rposition(|byte| *byte == b')');
    let (Some(open), Some(close)) = (open, close) else { return Err(document.missing("name in parentheses")) };
    if close < open {
        return Err(document.missing("name in parentheses"));
    }
    let line = document.line()?;
    let pid = line.fields_of(&text[..open]).number()?;
    // Field 3, the state, is the first after the name.
    let mut fields = line.fields_of(&text[close + 1..]).over(1);
    let parent_pid = fields.number::<i64>()?;
    let mut fields = fields.over(4);
    let flags: u64 = fields.number()?;
    let minor_faults = fields.number()?;
    let mut fields = fields.over(1);
    let major_faults = fields.number()?;
    let mut fields = fields.over(1);
    let ticks = fields.number::<u64>()?.saturating_add(fields.number()?);
    let mut fields = fields.over(3);
    let nice = fields.number()?;
    let threads = fields.number()?;
    let mut fields = fields.over(1);
    let start_ticks = fields.number()?;
    let mut fields = fields.over(1);
    let rss_pages: i64 = fields.number()?;
    Ok(ProcessSample {
        id: ProcessId { pid, start_ticks },
        parent_pid: u32::try_from(parent_pid).unwrap_or(0),
        comm: Text::from_bytes(&text[open + 1..close]),
        cgroup: Text::from("/"),
        kernel_thread: flags & PF_KTHREAD != 0,
        threads,
        nice,
        rss_bytes: u64::try_from(rss_pages).unwrap_or(0).saturating_mul(page_bytes),
        swap_bytes: 0,
        cpu_time_ns: ticks.saturating_mul(1_000_000_000 / ticks_per_second.max(1)),
        run_delay_ns: None,
        minor_faults,
        major_faults,
        voluntary_switches: None,
        involuntary_switches: None,
        read_bytes: None,
        written_bytes: None,
        open_files: None,
        open_files_limit: None,
        network: None,
    })
}

/// What `/proc/PID/status` adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub swap_bytes: u64,
    /// Of the first thread only.
    pub voluntary_switches: Option<u64>,
    pub involuntary_switches: Option<u64>,
}

/// `/proc/PID/status`. Kernel threads and the dead have no memory, and no line of it. The kernel escapes the name in
/// this file, so that it cannot pass for a line.
pub fn status(document: Document<'_>) -> Result<Status, ScrapeError> {
    let [swap_kib, voluntary_switches, involuntary_switches] =
        document.keyed(["VmSwap:", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"])?;
    let swap_bytes = swap_kib.unwrap_or(0).saturating_mul(1024);
    Ok(Status { swap_bytes, voluntary_switches, involuntary_switches })
}

/// `/proc/PID/io`: bytes read from and written to devices.
pub fn io(document: Document<'_>) -> Result<(u64, u64), ScrapeError> {
    let [read, written] = document.keyed_all(["read_bytes:", "write_bytes:"])?;
    Ok((read, written))
}

/// `/proc/PID/schedstat`: the time that its first thread waited for a CPU, ns.
pub fn run_delay(document: Document<'_>) -> Result<u64, ScrapeError> {
    document.line()?.fields().over(1).number()
}

/// `/proc/PID/cgroup`: the path in the hierarchy of the v1 memory controller, or where that is none or the root, in the
/// unified one.
pub fn cgroup(document: Document<'_>) -> Result<Text, ScrapeError> {
    let (mut memory, mut unified) = (None, None);
    for line in document.lines() {
        let mut parts = line.text.splitn(3, |byte| *byte == b':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(line.is_not("number:controllers:path"));
        };
        if number == b"0" && controllers.is_empty() {
            unified = Some(path);
        } else if controllers.split(|byte| *byte == b',').any(|name| name == b"memory") {
            memory = Some(path);
        }
    }
    let path = memory.filter(|path| *path != b"/").or(unified).or(memory).unwrap_or(b"/");
    Ok(Text::from_bytes(path))
}

/// `/proc/PID/limits`: the soft limit of open files; none for unlimited.
pub fn open_files_limit(document: Document<'_>) -> Result<Option<u64>, ScrapeError> {
    const NAME: &[u8] = b"Max open files";
    let line = document.lines().find(|line| line.text.starts_with(NAME));
    let line = line.ok_or_else(|| document.missing("line `Max open files`"))?;
    let soft = line.fields_of(&line.text[NAME.len()..]).field("a limit")?;
    if soft.text == b"unlimited" { Ok(None) } else { soft.parse("a limit").map(Some) }
}
