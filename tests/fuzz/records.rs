//! Bytes of the ring and of the task iterator, against their layout as it is written down here a second time.

use std::collections::BTreeMap;

use agent_ebpf::constants::Settings;
use kernelsight::{
    observe::{
        Event,
        event::What,
        kernel::{Rows, TaskRow},
        ring::{Defect, Devices, decode},
    },
    text::Text,
};
use serde_json::{Map, Value, json};

use super::is_escaped;

const HEADER: usize = 48;
const THREAD: usize = 80;
const PROCESS: usize = 256;
const PAGE_BYTES: u64 = 4096;

/// Raw bytes; or lines of hexadecimal digits, a `#` before what is said of them.
pub(crate) fn check(bytes: &[u8]) -> bool {
    let bytes = if bytes.starts_with(b"#") { &from_hex(bytes) } else { bytes };
    let is_record = check_record(bytes);
    check_rows(bytes) || is_record
}

fn from_hex(text: &[u8]) -> Vec<u8> {
    let told =
        text.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default());
    let digits: Vec<u8> = told
        .flatten()
        .filter_map(|digit| char::from(*digit).to_digit(16))
        .map(|digit| u8::try_from(digit).expect("it has four bits"))
        .collect();
    digits.chunks_exact(2).map(|two| two[0] << 4 | two[1]).collect()
}

fn check_record(bytes: &[u8]) -> bool {
    let length = bytes.len();
    let expected = if length < HEADER { Err(Defect::Short { length, expected: HEADER }) } else { told(bytes) };
    match (decode(bytes, &mut Devices::default()), expected) {
        (Ok(event), Ok(fields)) => {
            check_event(bytes, &event, fields);
            true
        }
        (Err(defect), Err(expected)) => {
            assert_eq!(defect, expected);
            false
        }
        (decoded, expected) => panic!("{decoded:?} is not {expected:?}"),
    }
}

/// What a record says beside its header, or what is wrong with it.
fn told(bytes: &[u8]) -> Result<Map<String, Value>, Defect> {
    let kind = u32_at(bytes, 24);
    let (name, expected) = match kind {
        1 => ("rss_step", 56),
        2 => ("oom_kill", 64),
        3 => ("reclaim_stall", 64),
        4 => ("block_outlier", 80),
        5 => ("block_error", 80),
        6 => ("syscall_outlier", 64),
        7 => ("run_queue_outlier", 56),
        8 => ("fork", 56),
        9 => ("exec", 56),
        10 => ("exit", 56),
        kind => return Err(Defect::Kind { kind }),
    };
    if bytes.len() != expected {
        return Err(Defect::Length { kind, length: bytes.len(), expected });
    }
    let number = u64_at(bytes, 48);
    let second = if expected > 56 { u64_at(bytes, 56) } else { 0 };
    let narrow = |number: u64| u32::try_from(number).map_err(|_| Defect::Value { kind, value: number });
    let flag = |number: u64| if number < 2 { Ok(number == 1) } else { Err(Defect::Value { kind, value: number }) };
    let fields = match kind {
        1 => json!({ "rss_bytes": number }),
        2 => json!({ "rss_bytes": number, "in_cgroup": flag(second)? }),
        3 => json!({ "duration_ns": number, "in_cgroup": flag(second)? }),
        4 => json!({ "latency_ns": number, "bytes": second }),
        6 => json!({ "latency_ns": number, "syscall": narrow(second)? }),
        7 => json!({ "latency_ns": number }),
        8 => json!({ "child_pid": narrow(number)? }),
        10 => json!({ "exit_code": narrow(number)?.cast_signed() }),
        _ => json!({}),
    };
    let mut fields = fields.as_object().expect("it is an object").clone();
    fields.insert("event".to_owned(), name.into());
    Ok(fields)
}

fn check_event(bytes: &[u8], event: &Event, mut fields: Map<String, Value>) {
    check_comm(&event.comm.text(), &bytes[32..48]);
    fields.insert("at_ns".to_owned(), u64_at(bytes, 0).into());
    fields.insert("cgroup_id".to_owned(), u64_at(bytes, 16).into());
    let process = json!({ "pid": u32_at(bytes, 28), "start_ticks": u64_at(bytes, 8) / 10_000_000 });
    fields.insert("process".to_owned(), process);
    fields.insert("comm".to_owned(), event.comm.text().as_str().into());
    let shown = serde_json::to_value(event).expect("an event is shown to clients");
    if let What::BlockOutlier { device, .. } | What::BlockError { device, .. } = &event.what {
        assert!(is_escaped(device.as_str()), "{device:?}");
        fields.insert("device".to_owned(), device.as_str().into());
        // Its name is the kernel's, and there are few.
        fields.insert("operation".to_owned(), shown["operation"].clone());
    }
    if let What::BlockError { errno, .. } = event.what {
        let error = u32_at(bytes, 76).cast_signed();
        assert!(errno >= 0, "errno {errno} of {error}");
        assert!(error > 0 || errno.unsigned_abs() == error.unsigned_abs().min(i32::MAX.unsigned_abs()));
        fields.insert("errno".to_owned(), errno.into());
    }
    assert_eq!(shown, Value::Object(fields));
    let again: Event = serde_json::from_value(shown.clone()).expect("a client reads what it is shown");
    assert_eq!(serde_json::to_value(again).expect("and shows it"), shown);
}

/// What a stranger wrote comes out escaped, and can be had again.
fn check_comm(comm: &Text, bytes: &[u8]) {
    let written = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    assert!(is_escaped(comm.as_str()), "{comm:?}");
    assert_eq!(comm.unescape().as_deref(), Some(written));
}

fn check_rows(bytes: &[u8]) -> bool {
    let constants = Settings { page_bytes: PAGE_BYTES, tasks_io: 1, tasks_open_files: 1, ..Settings::NONE };
    let mut rows = Rows::new(&constants);
    let Some(written) = split(bytes) else {
        assert!(rows.take(bytes).is_err(), "rows of other lengths than there are were taken");
        return false;
    };
    // A reading that saw fewer threads comes first: no total may have sunk in the next.
    let half: Vec<u8> = written.iter().take(written.len() / 2).copied().flatten().copied().collect();
    let before = rows.take(&half).expect("each is a row");
    let now = rows.take(bytes).expect("each is a row");
    assert!(now.is_sorted_by(|a, b| a.sample.id.pid < b.sample.id.pid), "a process is there twice");
    let mut of: BTreeMap<u32, Vec<&[u8]>> = BTreeMap::new();
    for row in &written {
        of.entry(u32_at(row, 4)).or_default().push(row);
    }
    for row in &now {
        check_row(row, &of[&row.sample.id.pid], before.iter().find(|before| before.sample.id == row.sample.id));
    }
    !now.is_empty()
}

fn split(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        if ![THREAD, PROCESS].contains(&length) {
            return None;
        }
        let (row, rest) = bytes.split_at_checked(length)?;
        rows.push(row);
        bytes = rest;
    }
    Some(rows)
}

/// A process against the rows of its threads.
fn check_row(row: &TaskRow, written: &[&[u8]], before: Option<&TaskRow>) {
    let sample = &row.sample;
    let speaks = |row: &&&[u8]| {
        row.len() == PROCESS
            && u64_at(row, 160) / 10_000_000 == sample.id.start_ticks
            && row[232..].starts_with(&comm(sample.comm.unescape()))
    };
    assert!(is_escaped(sample.comm.as_str()), "{:?}", sample.comm);
    let is_its_own = |row: &&&[u8]| {
        let nice = u32_at(row, 156).cast_signed().saturating_sub(120);
        let resident = [184, 192, 200].iter().all(|at| sample.rss_bytes >= bytes_at(row, *at));
        resident && (i32::from(sample.nice) == nice || sample.nice == 0)
    };
    assert!(written.iter().filter(speaks).any(|row| is_its_own(&row)), "nobody speaks for {sample:?}");
    let live = |at: usize| written.iter().fold(0_u64, |sum, row| sum.wrapping_add(u64_at(row, at)));
    let ended = |at: usize| written.iter().filter(|row| row.len() == PROCESS).map(move |row| u64_at(row, at));
    match before {
        None => {
            let could = |total: u64, at: usize| ended(at + 64).any(|ended| live(at).wrapping_add(ended) == total);
            assert!(could(sample.minor_faults, 16) && could(sample.major_faults, 24), "{sample:?}");
            assert!(could(sample.cpu_time_ns, 48), "{sample:?}");
        }
        Some(before) => {
            let totals = |row: &TaskRow| {
                let sample = &row.sample;
                let (voluntary, involuntary) = (sample.voluntary_switches, sample.involuntary_switches);
                [Some(sample.minor_faults), Some(sample.major_faults), Some(sample.cpu_time_ns), voluntary, involuntary]
                    .into_iter()
                    .chain([sample.run_delay_ns, sample.read_bytes, sample.written_bytes])
                    .collect::<Vec<_>>()
            };
            let (then, now) = (totals(before), totals(row));
            assert!(then.iter().zip(&now).all(|(then, now)| now >= then), "a total sank: {then:?} to {now:?}");
        }
    }
}

fn comm(unescaped: Option<Vec<u8>>) -> Vec<u8> {
    unescaped.expect("sixteen bytes are never cut")
}

fn bytes_at(row: &[u8], at: usize) -> u64 {
    u64::try_from(u64_at(row, at).cast_signed()).unwrap_or(0).saturating_mul(PAGE_BYTES)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(*bytes[at..].first_chunk().expect("it is so long"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(*bytes[at..].first_chunk().expect("it is so long"))
}
