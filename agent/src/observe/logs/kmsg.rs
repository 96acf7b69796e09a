//! `/dev/kmsg`: the kernel's ring of messages. Each read answers one record: `priority,number,time_us,flags;text`
//! (Documentation/ABI/testing/dev-kmsg).

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
};

use super::{From, Line, Look, Wanted};
use crate::{
    clock::{now_ms, uptime_ms},
    text::Text,
};

/// A record is no longer than this.
const RECORD_BYTES: usize = 8 << 10;
/// Of the number before the comma, the three bits of the priority.
const PRIORITY: u32 = 7;

pub(super) fn read(wanted: &Wanted, look: &mut Look, lines: &mut Vec<Line>) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/kmsg")?;
    let booted_ms = now_ms() - uptime_ms();
    let mut record = vec![0; RECORD_BYTES];
    loop {
        let length = match file.read(&mut record) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // It was overwritten before it was read; the next one is there.
            Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => continue,
            Err(error) => return Err(error),
        };
        if let Some(line) = parse(&record[..length], booted_ms).filter(|line| wanted.has(line)) {
            lines.push(line);
        }
        if !look.one() {
            return Ok(());
        }
    }
}

/// A record; none where it is not as it should be, or was written by somebody else than the kernel.
fn parse(record: &[u8], booted_ms: i64) -> Option<Line> {
    let at = record.iter().position(|byte| *byte == b';')?;
    let (head, rest) = (str::from_utf8(&record[..at]).ok()?, &record[at + 1..]);
    let mut fields = head.split(',');
    let facility_and_priority: u32 = fields.next()?.parse().ok()?;
    let time_us: i64 = fields.nth(1)?.parse().ok()?;
    // The lines after the first are keys and values of the device.
    let text = rest.split(|byte| *byte == b'\n').next()?;
    let is_kernels = facility_and_priority >> 3 == 0;
    is_kernels.then(|| Line {
        at_ms: booted_ms + time_us / 1000,
        from: From::Kernel,
        unit: None,
        priority: (facility_and_priority & PRIORITY) as u8,
        text: Text::from(String::from_utf8_lossy(text).as_ref()),
    })
}
