//! A database that cannot be used is set aside, named, and a new one begun; nothing is thrown away.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use expect_test::{Expect, expect};
use kernelsight::{
    execute::{Journal as _, JournalState},
    mind::case::EndingKind,
    store::{CaseUse, FILE, Limits, Opening, SignalFilter, Store, StoreError},
    verify::Verdict,
};

use crate::store_rows::{NOW_MS, intent, signal, trace};

/// A database with a few thousand signals in it, cleanly closed.
fn filled(dir: &Path) {
    let (store, _) = Store::open(dir, Limits::default()).unwrap();
    for id in 1..=3000 {
        store.keep_signal(&signal(id));
    }
    store.keep_note("before", NOW_MS).unwrap();
    store.close().unwrap();
}

fn count(store: &Store) -> usize {
    store
        .reader()
        .unwrap()
        .signals(&SignalFilter { limit: Some(10_000), ..SignalFilter::default() })
        .unwrap()
        .rows
        .len()
}

/// Harms the database and opens it: it must be set aside whole, and a working one stand in its place.
fn check(harm: impl Fn(&Path), note: Expect) {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let path = dir.path().join(FILE);
    harm(&path);
    let harmed = fs::read(&path).unwrap();
    let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    let aside = opening.set_aside.expect("it is set aside");
    assert!(fs::read(&aside).unwrap() == harmed, "it is moved as it was");
    let name = aside.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("kernelsight.db.corrupt-"), "{name}");
    let shown = opening.notes.join("\n").replace(&aside.display().to_string(), "ASIDE");
    // Which page it is depends on what a row takes.
    let places = regex::Regex::new("(Tree|page) [0-9]+").unwrap();
    note.assert_eq(&places.replace_all(&shown, "$1 N"));
    assert_eq!(count(&store), 0);
    store.keep_signal(&signal(1));
    store.close().unwrap();
    let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!((opening.set_aside, opening.notes), (None, Vec::new()));
    assert_eq!(count(&store), 1);
}

fn overwrite(path: &Path, at: u64, with: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(with).unwrap();
}

fn order(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_sound_database_is_used_on() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(opening, Opening { set_aside: None, notes: Vec::new(), schema_version: 6 });
    assert_eq!(count(&store), 3000);
}

#[test]
fn an_overwritten_header_is_set_aside() {
    check(
        |path| overwrite(path, 0, &[b'#'; 100]),
        expect![
            "the database could not be used (file is not a database); it was set aside as ASIDE and a new one begun"
        ],
    );
}

#[test]
fn a_truncated_file_is_set_aside() {
    check(
        |path| {
            let length = fs::metadata(path).unwrap().len();
            OpenOptions::new().write(true).open(path).unwrap().set_len(length / 2).unwrap();
        },
        expect![
            "the database could not be used (database disk image is malformed); it was set aside as ASIDE and a new one begun"
        ],
    );
}

#[test]
fn damage_in_the_middle_is_set_aside() {
    check(
        |path| {
            let length = fs::metadata(path).unwrap().len();
            for page in (length / 4096 / 2)..(length / 4096 / 2 + 20) {
                overwrite(path, page * 4096, &[0xa5; 64]);
            }
        },
        expect![
            "the database could not be used (quick_check: *** in database main *** Tree N page N: btreeInitPage() returns error code 11); it was set aside as ASIDE and a new one begun"
        ],
    );
}

#[test]
fn a_newer_schema_is_set_aside() {
    check(
        |path| order(path, "PRAGMA user_version = 99"),
        expect![
            "the database could not be used (schema version 99 is newer than 6, which this build knows); it was set aside as ASIDE and a new one begun"
        ],
    );
}

#[test]
fn the_database_of_another_program_is_set_aside() {
    check(
        |path| order(path, "PRAGMA application_id = 1"),
        expect![
            "the database could not be used (application id 0x1 is not KernelSight's, 0x4b534442); it was set aside as ASIDE and a new one begun"
        ],
    );
}

#[test]
fn tables_that_somebody_changed_are_set_aside() {
    check(
        |path| order(path, "DROP INDEX signals_by_time"),
        expect![
            "the database could not be used (`signals_by_time` is not as version 6 makes it); it was set aside as ASIDE and a new one begun"
        ],
    );
    check(
        |path| order(path, "CREATE TRIGGER sly AFTER INSERT ON settings BEGIN DELETE FROM denials; END"),
        expect![
            "the database could not be used (`sly` is not as version 6 makes it); it was set aside as ASIDE and a new one begun"
        ],
    );
}

#[test]
fn a_file_that_was_never_a_database_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), b"hello, this is no database at all").unwrap();
    let (_store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(fs::read(opening.set_aside.unwrap()).unwrap(), b"hello, this is no database at all");
}

#[test]
fn an_empty_file_is_begun_in_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), b"").unwrap();
    let (_store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(opening.set_aside, None);
}

#[test]
fn two_damaged_databases_in_one_second_are_both_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut asides = Vec::new();
    for _ in 0..3 {
        fs::write(dir.path().join(FILE), b"hello, this is no database at all").unwrap();
        let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
        asides.extend(opening.set_aside);
        store.close().unwrap();
    }
    assert_eq!(asides.len(), 3);
    assert!(asides.iter().all(|aside| aside.exists()));
}

#[test]
fn a_database_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    assert!(matches!(Store::open(dir.path(), Limits::default()), Err(StoreError::InUse { .. })));
    store.close().unwrap();
    Store::open(dir.path(), Limits::default()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_or_written_is_named() {
    let error = Store::open(Path::new("/proc/kernelsight"), Limits::default()).unwrap_err().to_string();
    expect!["cannot make the directory /proc/kernelsight: No such file or directory (os error 2)"].assert_eq(&error);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Store::open(&file, Limits::default()), Err(StoreError::File { .. })));
    fs::create_dir(dir.path().join(FILE)).unwrap();
    let error = Store::open(dir.path(), Limits::default()).unwrap_err().to_string();
    expect!["cannot use DIR/kernelsight.db: it is no regular file"]
        .assert_eq(&error.replace(&dir.path().display().to_string(), "DIR"));
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, b"not ours").unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.path().join(FILE)).unwrap();
    assert!(matches!(Store::open(dir.path(), Limits::default()), Err(StoreError::File { .. })));
    assert_eq!(fs::read(&elsewhere).unwrap(), b"not ours");
}

#[test]
fn cases_of_before_are_counted_by_what_came_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let schema = [
        include_str!("../migrations/0001_begin.sql"),
        include_str!("../migrations/0002_actions_together.sql"),
        include_str!("../migrations/0003_owed_and_refused.sql"),
        include_str!("../migrations/0004_chained_journal.sql"),
        include_str!("../migrations/0005_mind.sql"),
    ];
    // One that is over, one that is not, and one whose ending nobody can read.
    let endings = [r#"'{"kind":"late"}'"#, "NULL", "'{'"];
    let cases = endings.map(|ending| {
        format!(
            "INSERT INTO cases (begun_ms, question, provider, model, brief, options, names, looked_up, tally, ending)
             VALUES ({NOW_MS}, 'why?', 'gemini', 'x', '{{}}', '[]', '{{}}', '[]', '{{\"claims\": 3}}', {ending});"
        )
    });
    order(
        &dir.path().join(FILE),
        &format!(
            "PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA application_id = 0x4b534442;
             {}
             PRAGMA user_version = 5;
             {}",
            schema.concat(),
            cases.concat()
        ),
    );
    let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(opening.notes, Vec::<String>::new());
    let counted = store.reader().unwrap().case_use(NOW_MS).unwrap();
    assert_eq!(counted.endings.into_iter().collect::<Vec<_>>(), [(None, 2), (Some(EndingKind::Late), 1)]);
    assert_eq!(counted.claims, 9);
    assert_eq!(store.reader().unwrap().case_use(NOW_MS + 1).unwrap(), CaseUse::default());
}

#[test]
fn a_database_of_the_first_schema_is_read_on() {
    let (newest, first) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, _) = Store::open(newest.path(), Limits::default()).unwrap();
    let mut kept = trace("inc-1", 30.0, Verdict::Resolved);
    store.keep_trace(&mut kept).unwrap();
    let old = store.intend(&intent(NOW_MS)).unwrap();
    store.advance(old, JournalState::Done, "nice 0 -> 10", NOW_MS).unwrap();
    store.close().unwrap();
    // As the first schema had it: one action, one outcome. There was a newer action than any that is left.
    let first_schema = include_str!("../migrations/0001_begin.sql");
    order(
        &first.path().join(FILE),
        &format!(
            "PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA application_id = 0x4b534442;
             {first_schema}
             PRAGMA user_version = 1;
             ATTACH '{}' AS newest;
             INSERT INTO reasoning_traces SELECT * FROM newest.reasoning_traces;
             INSERT INTO actions SELECT * FROM newest.actions;
             UPDATE sqlite_sequence SET seq = 40 WHERE name = 'actions';
             UPDATE reasoning_traces SET
                 outcome = json_extract(outcome, '$[0]'),
                 undo = json_extract(undo, '$[0]'),
                 proposal = json_remove(
                     json_set(proposal, '$.decision.action', json_extract(proposal, '$.decision.actions[0]')),
                     '$.decision.actions');",
            newest.path().join(FILE).display()
        ),
    );
    let (store, opening) = Store::open(first.path(), Limits::default()).unwrap();
    assert_eq!(opening, Opening { set_aside: None, notes: Vec::new(), schema_version: 6 });
    assert_eq!(store.reader().unwrap().trace(kept.trace_id).unwrap(), Some(kept));
    assert_eq!(store.unsettled().unwrap().iter().map(|row| row.id).collect::<Vec<_>>(), [old]);
    store.advance(old, JournalState::Owed, "it is stuck", NOW_MS).unwrap();
    assert_eq!(store.intend(&intent(NOW_MS)).unwrap(), 41, "no id is given twice");
}
