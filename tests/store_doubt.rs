//! What the disk lost of the log while the database is written: it is opened anew, and written on only if it is still the
//! one that those at work know.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kernelsight::{
    execute::Journal as _,
    store::{FILE, Limits, Store},
};
use rusqlite::Connection;

use crate::{
    execute_support::until,
    store_rows::{NOW_MS, intent},
};

struct Scene {
    dir: tempfile::TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
        Self { dir, store }
    }

    fn note(&self, note: &str) -> Result<(), String> {
        self.store.keep_note(note, NOW_MS).map_err(|error| error.to_string())
    }

    fn head(&self) -> PathBuf {
        self.dir.path().join("journal.head")
    }

    fn notes(&self) -> Vec<String> {
        self.store.reader().unwrap().notes(10).unwrap().into_iter().map(|note| note.note).collect()
    }

    fn other(&self) -> Connection {
        Connection::open(self.dir.path().join(FILE)).unwrap()
    }

    /// All that was written so far is in the database itself.
    fn put_log_back(&self) {
        let is_read: bool = self.other().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
        assert!(!is_read);
    }

    /// What came since is not on the disk, and the next write finds that out.
    fn lose_log(&self) {
        // Somebody else's change has the writer forget what it remembers.
        let version: i64 = self.other().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        self.other().pragma_update(None, "user_version", version).unwrap();
        zero(&self.dir.path().join(format!("{FILE}-wal")));
        let refused = self.note("not written").unwrap_err();
        assert!(refused.contains("malformed") || refused.contains("not a database"), "{refused}");
    }
}

fn zero(path: &Path) {
    use std::io::Write as _;
    let bytes = vec![0; usize::try_from(fs::metadata(path).unwrap().len()).unwrap()];
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(&bytes).unwrap();
}

#[test]
fn what_is_on_the_disk_is_written_on() {
    // The head of the journal is of its last step, of an earlier one, or of none: it could not be kept then.
    for kept_of in 0..3 {
        let scene = Scene::new();
        let mut heads = vec![fs::read(scene.head()).unwrap()];
        for _ in 0..2 {
            scene.store.intend(&intent(NOW_MS)).unwrap();
            heads.push(fs::read(scene.head()).unwrap());
        }
        fs::write(scene.head(), &heads[kept_of]).unwrap();
        scene.note("kept").unwrap();
        scene.put_log_back();
        scene.note("lost").unwrap();
        scene.lose_log();
        assert!(!scene.store.health().well);
        scene.note("after").unwrap();
        assert!(scene.store.health().well);
        let mut notes = scene.notes();
        notes.sort();
        assert_eq!(notes, ["after", "kept"]);
        assert_eq!(scene.store.reader().unwrap().unsettled_actions().unwrap().len(), 2);
    }
}

#[test]
fn a_database_that_lost_what_the_journal_was_told_is_not_written_before_a_restart() {
    let scene = Scene::new();
    scene.put_log_back();
    scene.store.intend(&intent(NOW_MS)).unwrap();
    scene.lose_log();
    let files = || ["", "-wal"].map(|suffix| fs::read(scene.dir.path().join(format!("{FILE}{suffix}"))).unwrap());
    let as_lost = files();
    let lacks = "its journal ends with link 0, before 1:";
    for _ in 0..2 {
        let refused = scene.note("not written").unwrap_err();
        assert!(refused.contains(lacks), "{refused}");
    }
    assert!(scene.store.intend(&intent(NOW_MS)).is_err(), "its number would be that of the one that is lost");
    assert!(files() == as_lost, "what may be looked into was written");
    let Scene { dir, store } = scene;
    drop(store);
    let (store, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(opening.set_aside, None);
    assert!(opening.notes.iter().any(|note| note.contains(lacks)), "{:?}", opening.notes);
    store.keep_note("after", NOW_MS).unwrap();
}

#[test]
fn one_whose_journal_is_another_is_not_written_before_a_restart() {
    let another = format!("1:{}", "0".repeat(64));
    for (head, why) in [(another, "link 1 of its journal is not 1:"), (String::new(), "journal.head: it is no head")] {
        let scene = Scene::new();
        scene.store.intend(&intent(NOW_MS)).unwrap();
        scene.put_log_back();
        fs::write(scene.head(), head).unwrap();
        scene.lose_log();
        let refused = scene.note("not written").unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn one_that_lost_all_its_tables_is_not_begun_anew_before_a_restart() {
    let scene = Scene::new();
    scene.lose_log();
    let refused = scene.note("not written").unwrap_err();
    assert!(refused.contains("there are no tables in it"), "{refused}");
}

#[test]
fn it_is_not_opened_anew_under_those_who_read() {
    let scene = Scene::new();
    scene.put_log_back();
    scene.note("lost").unwrap();
    let reader = scene.store.reader().unwrap();
    scene.lose_log();
    let refused = scene.note("not written").unwrap_err();
    assert!(refused.ends_with("and is not yet: somebody reads it"), "{refused}");
    drop(reader);
    until(|| scene.note("after").is_ok());
    assert_eq!(scene.notes(), ["after"]);
}
