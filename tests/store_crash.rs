//! A kill at any instant loses at most what was not yet flushed, and never a row that was acknowledged.

use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use kernelsight::{
    execute::journal::{Journal, JournalState},
    store::{Limits, SignalFilter, Store},
    verify::Verdict,
};

use crate::store_rows::{NOW_MS, incident, intent, signal, tick, trace};

const ROUNDS: u32 = 30;
/// Names the directory to a child.
const CHILD: &str = "KERNELSIGHT_TEST_STORE";
const NAME: &str = "store_crash::a_writer_killed_at_any_instant_loses_nothing_it_acknowledged";

#[test]
fn a_writer_killed_at_any_instant_loses_nothing_it_acknowledged() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Whatever the clock's last digits are: the instant is another one each time.
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        std::thread::sleep(Duration::from_micros(u64::from(nanos % 120_000) + u64::from(round) * 4000));
        child.kill().unwrap();
        let mut said = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut said).unwrap();
        child.wait().unwrap();
        acknowledged += check_all_is_there(dir.path(), &String::from_utf8_lossy(&said));
    }
    println!("{acknowledged} rows were acknowledged in {ROUNDS} rounds");
    assert!(acknowledged >= 30, "the writer hardly wrote: {acknowledged}");
}

/// Says `KIND ID` for each row once it is acknowledged, and never ends by itself within the test's time.
fn write_until_killed(dir: &Path) {
    let mut out = std::io::stdout().lock();
    let (store, opening) = Store::open(dir, Limits::default()).unwrap();
    assert_eq!(opening.set_aside, None);
    let first = store.reader().unwrap().next_signal_id().unwrap();
    writeln!(out, "\nfirst {first}").unwrap();
    for at in first..first + 100_000 {
        store.keep_signal(&signal(at));
        store.keep_tick(&tick(NOW_MS + at));
        match at % 6 {
            0 => writeln!(out, "action {}", store.intend(&intent(NOW_MS + at)).unwrap()).unwrap(),
            1 => {
                let uid = format!("{at:08}-{}", std::process::id());
                store.keep_incident(&incident(&uid, NOW_MS + at)).unwrap();
                writeln!(out, "incident {uid}").unwrap();
            }
            2 => {
                let id = store.keep_trace(&mut trace("0190-a", 30.0, Verdict::Resolved)).unwrap();
                writeln!(out, "trace {id}").unwrap();
            }
            3 if at % 5 == 0 => {
                let id = store.intend(&intent(NOW_MS)).unwrap();
                store.advance(id, JournalState::Undone, "again", NOW_MS + at).unwrap();
                writeln!(out, "undone {id}").unwrap();
            }
            4 if at % 7 == 0 => {
                store.flush().unwrap();
                writeln!(out, "signal {at}").unwrap();
            }
            _ => {}
        }
    }
}

/// Opens what the killed one left, and finds all that it said; answers how many rows that was.
fn check_all_is_there(dir: &Path, said: &str) -> usize {
    let (store, opening) = Store::open(dir, Limits::default()).unwrap();
    assert_eq!(opening.set_aside, None, "{:?}", opening.notes);
    let reader = store.reader().unwrap();
    let mut found = 0;
    // The last line may be cut short by the kill.
    let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let Some((kind, id)) = line.split_once(' ') else { continue };
        let there = match kind {
            "action" => {
                reader.action(id.parse().unwrap()).unwrap().is_some_and(|row| row.state == JournalState::Intended)
            }
            "undone" => {
                reader.action(id.parse().unwrap()).unwrap().is_some_and(|row| row.state == JournalState::Undone)
            }
            "trace" => reader.trace(id.parse().unwrap()).unwrap().is_some(),
            "incident" => reader.incident(id).unwrap().is_some(),
            "signal" => reader.next_signal_id().unwrap() > id.parse().unwrap(),
            _ => continue,
        };
        assert!(there, "`{line}` was acknowledged and is lost");
        found += 1;
    }
    // Signals are written in their order: what is lost is the end, not a hole.
    let signals = reader.signals(&SignalFilter { limit: Some(100_000), ..SignalFilter::default() }).unwrap().rows;
    assert_eq!(signals.len() as i64, reader.next_signal_id().unwrap() - 1);
    found
}
