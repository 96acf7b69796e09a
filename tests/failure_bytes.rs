//! A byte of the database that is not as it was written: the start uses the database on or sets it aside, and is soon.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kernelsight::{
    agent::Past,
    execute::{Executor, Guard, Journal as _, JournalState, Limits as Bounds},
    explain::IncidentUid,
    observe::SignalType,
    store::{
        ActionFilter, FILE, IncidentFilter, Limits, Listed, Opening, SignalFilter, Store, StoreError, TraceFilter,
    },
    verify::Verdict,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    daemon::Daemon,
    execute_support::{Target, executor, is_root, policy},
    store_rows::{NOW_MS, incident, intent, process, proposed, signal, tick, trace},
};

const WITHIN: Duration = Duration::from_secs(2);
/// A bit that keeps text what it is, one that makes it no UTF-8, and all; one byte after the other is flipped by another.
const MASKS: [u8; 3] = [0x01, 0x80, 0xff];
/// Of what is behind the header, the quick form takes one byte in so many; it is prime, so that it meets every column.
const ONE_IN: usize = 599;
const HEADER_BYTES: usize = 100;
const PAGE_BYTES: usize = 4096;
/// Settings that a start reads.
const SETTINGS: [&str; 4] = ["autonomy", "holds", "starts", "failures_in_a_row"];

/// A row or more in every table that a start reads, and the stories beside them.
fn small(dir: &Path) -> Vec<u8> {
    let (store, _) = Store::open(dir, Limits::default()).unwrap();
    for id in 1..=20 {
        store.keep_signal(&signal(id));
        store.keep_tick(&tick(NOW_MS + id));
        store.keep_reading(NOW_MS, SignalType::Scheduler, "wait_ms", &process(id as u32, "python3"), id as f64);
    }
    for key in SETTINGS {
        store.keep_setting(key, "[]", "ann", NOW_MS).unwrap();
    }
    store.keep_note("a note", NOW_MS).unwrap();
    store.keep_incident(&incident("0190-a", NOW_MS)).unwrap();
    store.keep_trace(&mut trace("0190-a", 30.0, Verdict::Resolved)).unwrap();
    let settled = store.intend(&intent(NOW_MS)).unwrap();
    store.advance(settled, JournalState::Undone, "nice 10 -> 0", NOW_MS).unwrap();
    let open = store.intend(&intent(NOW_MS)).unwrap();
    store.advance(open, JournalState::Done, "nice 0 -> 10", NOW_MS).unwrap();
    store.close().unwrap();
    fs::read(dir.join(FILE)).unwrap()
}

/// What a start does with its database, before it looks at the machine; whether the database was set aside.
fn start(dir: &Path, executor: &Executor, bounds: &Bounds) -> Result<bool, StoreError> {
    let (store, opening) = Store::open(dir, Limits::default())?;
    let was_set_aside = opening.set_aside.is_some();
    let guard = Guard::new(bounds.clone(), Duration::from_secs(1));
    Past::take_up(&store, opening, executor, &guard, None)?;
    store.close()?;
    Ok(was_set_aside)
}

/// Flips each of the bytes in a copy of its own and starts on that.
fn check(places: &[usize]) {
    let home = tempfile::tempdir().unwrap();
    let sound = small(home.path());
    let head = fs::read(home.path().join("journal.head")).unwrap();
    let places: Vec<usize> = places.iter().copied().filter(|place| *place < sound.len()).collect();
    let [next, aside, tried] = [const { AtomicUsize::new(0) }; 3];
    let failed = Mutex::new(Vec::new());
    let slowest = Mutex::new(Duration::ZERO);
    // Where nothing is synced, there are a thousand starts in the time of ten.
    let memory = Path::new("/dev/shm");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (executor, bounds) = (executor(&policy()), Bounds::load(None).unwrap());
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(place) = places.get(at) else { break };
                    if at.is_multiple_of(places.len().div_ceil(100)) {
                        println!("→ {at} of {} bytes", places.len());
                    }
                    let masks = if *place < HEADER_BYTES { &MASKS[..] } else { &MASKS[place % 3..][..1] };
                    for mask in masks {
                        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
                        let dir = dir.unwrap();
                        let mut flipped = sound.clone();
                        flipped[*place] ^= mask;
                        fs::write(dir.path().join(FILE), flipped).unwrap();
                        fs::write(dir.path().join("journal.head"), &head).unwrap();
                        let begun = Instant::now();
                        tried.fetch_add(1, Ordering::Relaxed);
                        match start(dir.path(), &executor, &bounds) {
                            Ok(was_set_aside) => _ = aside.fetch_add(usize::from(was_set_aside), Ordering::Relaxed),
                            Err(why) => failed.lock().unwrap().push(format!("byte {place} ^ {mask:#x}: {why}")),
                        }
                        let mut slowest = slowest.lock().unwrap();
                        *slowest = begun.elapsed().max(*slowest);
                    }
                }
            });
        }
    });
    let (failed, slowest) = (failed.into_inner().unwrap(), slowest.into_inner().unwrap());
    let tried = tried.into_inner();
    let aside = aside.into_inner();
    println!(
        "{}",
        json!({ "bytes": sound.len(), "tried": tried, "set_aside": aside, "stopped": failed.len(),
            "slowest_ms": slowest.as_secs_f64() * 1e3 })
    );
    let shown = failed.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{} of {tried} starts failed, {aside} set it aside:\n{shown}", failed.len());
    assert!(aside > 0, "no flip was noticed: {tried} were tried");
    assert!(slowest <= WITHIN, "{slowest:?}");
}

#[test]
fn a_flipped_byte_never_stops_the_start() {
    check(&(0..HEADER_BYTES).chain((HEADER_BYTES..1 << 24).step_by(ONE_IN)).collect::<Vec<_>>());
}

#[test]
#[ignore = "takes minutes: `cargo xtask failure --only bytes`"]
fn no_byte_of_all_stops_the_start_when_it_is_flipped() {
    check(&(0..1 << 24).collect::<Vec<_>>());
}

/// Changes the database as a byte on the disk would.
fn harm(state: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(state.join(FILE)).unwrap();
    assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
}

#[test]
fn a_row_of_the_journal_that_cannot_be_read_holds_all_that_acts_and_no_undo() {
    if !is_root() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let [unread, open, next] = [Target::idle(), Target::idle(), Target::idle()];
    let daemon = Daemon::start(state.path(), "agent");
    let pause = |daemon: &Daemon, target: &Target| daemon.order("pause_process", json!({ "pid": target.pid() }));
    pause(&daemon, &unread).unwrap();
    // The whole node cools down between two.
    std::thread::sleep(Duration::from_millis(2100));
    pause(&daemon, &open).unwrap();
    daemon.stop();
    harm(state.path(), "UPDATE actions SET state = 'done' WHERE id = 2");
    harm(state.path(), "UPDATE actions SET intent = CAST(x'7bff7d' AS TEXT) WHERE id = 1");

    let daemon = Daemon::start(state.path(), "agent");
    open.comes_to_run();
    unread.comes_to_stand();
    let notes = daemon.notes();
    assert!(notes.iter().any(|note| note.contains("nothing is done while that is so")), "{notes:?}");
    let refused = pause(&daemon, &next).unwrap_err();
    assert!(refused.contains("what was done before could not be read"), "{refused}");
    next.comes_to_run();
    daemon.stop();
}

#[test]
fn holds_that_cannot_be_read_go_on_until_an_operator_ends_them() {
    if !is_root() {
        return;
    }
    let (state, target) = (tempfile::tempdir().unwrap(), Target::idle());
    let daemon = Daemon::start(state.path(), "agent");
    daemon.ask(&["pause", "--reason", "the disk is being replaced"]);
    daemon.stop();
    harm(state.path(), "UPDATE settings SET value = CAST(x'ff' AS TEXT) WHERE key = 'holds'");

    let daemon = Daemon::start(state.path(), "agent");
    let pause = || daemon.order("pause_process", json!({ "pid": target.pid() }));
    let refused = pause().unwrap_err();
    assert!(refused.contains("paused by the agent: what held before cannot be read"), "{refused}");
    daemon.ask(&["resume"]);
    pause().unwrap();
    target.comes_to_stand();
    daemon.stop();
    let daemon = Daemon::start(state.path(), "agent");
    assert_eq!(daemon.ask(&["status"])["holds"], json!([]));
    daemon.stop();
}

/// A database of which the check of a start finds nothing, and in which `write` fails for damage to that index.
fn damaged_at(index: &str, write: impl Fn(&Store) -> Result<(), StoreError>) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let sound = small(home.path());
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let connection = rusqlite::Connection::open(home.path().join(FILE)).unwrap();
    let page = connection.query_row(root, [index], |row| row.get::<_, u32>(0)).unwrap() as usize;
    drop(connection);
    let flipped = |place: usize| {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = sound.clone();
        bytes[place] ^= 0x80;
        fs::write(dir.path().join(FILE), bytes).unwrap();
        dir
    };
    // Rows stand at the end of a page. One that is no row is not found by the check of a start, and ends what looks there.
    let ends_a_write = |place: &usize| {
        let dir = flipped(*place);
        let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
        opening.set_aside.is_none() && write(&store).is_err_and(|error| error.is_damage())
    };
    flipped((page * PAGE_BYTES - 64..page * PAGE_BYTES).find(ends_a_write).expect("a byte that ends a write"))
}

/// Takes up what is in a database, as a start does.
fn take_up(store: &Store, opening: Opening) -> Result<Past, StoreError> {
    let guard = Guard::new(Bounds::load(None).unwrap(), Duration::from_secs(1));
    Past::take_up(store, opening, &executor(&policy()), &guard, None)
}

#[test]
fn a_note_that_cannot_be_kept_does_not_end_the_start() {
    let state = damaged_at("notes_by_time", |store| store.keep_note("a note", NOW_MS));
    let (store, _) = Store::open(state.path(), Limits::default()).unwrap();
    let opening = Opening { notes: vec!["something was found".to_owned()], ..Opening::default() };
    let past = take_up(&store, opening).unwrap();
    assert!(past.notes.contains(&"something was found".to_owned()), "{:?}", past.notes);
}

#[test]
fn what_stands_since_long_and_cannot_be_read_bars_nothing_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    let kept = store.intend(&intent(NOW_MS)).unwrap();
    store.advance(kept, JournalState::Kept, "it helped", NOW_MS).unwrap();
    let told = |later: u32| {
        for _ in 0..later {
            let id = store.intend(&intent(NOW_MS)).unwrap();
            store.advance(id, JournalState::Failed, "refused", NOW_MS).unwrap();
        }
        let notes = take_up(&store, Opening::default()).unwrap().notes;
        notes.into_iter().filter(|note| note.starts_with("row 1:")).collect::<Vec<_>>()
    };
    harm(dir.path(), "UPDATE actions SET intent = CAST(x'7bff7d' AS TEXT) WHERE id = 1");
    assert!(matches!(told(1).as_slice(), [note] if note.ends_with("nothing is done while that is so")));
    let late = told(Guard::PAST);
    assert!(matches!(late.as_slice(), [note] if note.ends_with("cannot be taken back by this agent")), "{late:?}");
}

#[test]
fn settings_that_cannot_be_written_hold_all_that_acts_and_do_not_end_the_start() {
    if !is_root() {
        return;
    }
    let starts = |store: &Store| store.keep_setting("starts", "[]", "the agent", NOW_MS);
    let (state, target) = (damaged_at("sqlite_autoindex_settings_1", starts), Target::idle());
    let daemon = Daemon::start(state.path(), "agent");
    let refused = daemon.order("pause_process", json!({ "pid": target.pid() })).unwrap_err();
    assert!(refused.contains("what held before cannot be read"), "{refused}");
    let holds = daemon.ask(&["status"])["holds"].to_string();
    assert!(holds.contains("its starts cannot be counted: cannot write a setting"), "{holds}");
    target.comes_to_run();
    daemon.stop();
}

#[test]
fn a_row_that_cannot_be_read_back_hides_no_other_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    for (id, uid) in [(1, "0190-a"), (2, "0190-b")] {
        store.keep_signal(&signal(id));
        store.keep_incident(&incident(uid, NOW_MS + id)).unwrap();
        store.keep_trace(&mut trace(uid, 30.0, Verdict::Resolved)).unwrap();
        store.keep_proposal(&proposed(uid)).unwrap();
        let action = store.intend(&intent(NOW_MS)).unwrap();
        store.advance(action, JournalState::Done, "nice 0 -> 10", NOW_MS).unwrap();
        store.advance(action, JournalState::Kept, "it helped", NOW_MS).unwrap();
    }
    store.flush().unwrap();
    // One by what it says, others by how it is written.
    harm(dir.path(), "UPDATE signal_metadata SET numbers = '[{' WHERE id = 1");
    let status = "json_replace(incident, '$.status', char(27) || '[31m')";
    harm(dir.path(), &format!("UPDATE incidents SET incident = {status} WHERE uid = '0190-a'"));
    harm(dir.path(), "UPDATE reasoning_traces SET steps = '[{' WHERE trace_id = 1");
    harm(dir.path(), "UPDATE proposals SET proposal = '{}' WHERE id = 1");
    harm(dir.path(), "UPDATE actions SET intent = CAST(x'7bff7d' AS TEXT) WHERE id = 1");

    let reader = store.reader().unwrap();
    fn check<T>(what: &str, row: &str, listed: Listed<T>, is_second: impl Fn(&T) -> bool) {
        let Listed { rows, unread } = listed;
        assert!(matches!(rows.as_slice(), [second] if is_second(second)), "{what}: {unread:?}");
        assert!(matches!(unread.as_slice(), [why] if why.contains(what) && why.contains(row)), "{unread:?}");
        assert!(!unread.concat().contains(char::is_control), "{unread:?}");
    }
    let second = |uid: &IncidentUid| uid.0 == "0190-b";
    check("signal", "row 1", reader.signals(&SignalFilter::default()).unwrap(), |signal| signal.id == 2);
    check("incident", "0190-a", reader.incidents(&IncidentFilter::default()).unwrap(), |of| second(&of.uid));
    check("trace", "row 1", reader.traces(&TraceFilter::default()).unwrap(), |trace| second(&trace.incident));
    check("proposals", "row 1", reader.proposals(true).unwrap(), |row| second(&row.incident));
    check("action", "row 1", reader.actions(&ActionFilter::default()).unwrap(), |row| row.id == 2);
    check("action", "row 1", reader.standing_actions().unwrap(), |row| row.id == 2);
}

#[test]
fn all_is_taken_back_but_what_cannot_be_read_which_is_told() {
    if !is_root() {
        return;
    }
    let (state, [unread, open]) = (tempfile::tempdir().unwrap(), [Target::idle(), Target::idle()]);
    let daemon = Daemon::start(state.path(), "agent");
    for target in [&unread, &open] {
        daemon.order("pause_process", json!({ "pid": target.pid() })).unwrap();
        target.comes_to_stand();
        // The whole node cools down between two.
        std::thread::sleep(Duration::from_millis(2100));
    }
    harm(state.path(), "UPDATE actions SET intent = CAST(x'7bff7d' AS TEXT) WHERE id = 1");

    let listed = daemon.command(&["actions"]).output().unwrap();
    let [table, warning] = [listed.stdout, listed.stderr].map(|said| String::from_utf8(said).unwrap());
    assert!(listed.status.success() && table.contains(&open.pid().to_string()), "{table}");
    assert!(warning.starts_with("kernelsight: ") && warning.contains("row 1"), "{warning}");
    let (_, told) = daemon.tells(&["undo", "--all"]);
    open.comes_to_run();
    unread.comes_to_stand();
    assert!(told.contains("row 1"), "{told}");
    daemon.stop();
}
