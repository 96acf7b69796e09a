//! The journal's chain: every way to change what was written is found.

use std::path::Path;

use expect_test::{Expect, expect};
use kernelsight::{
    execute::{Journal as _, JournalState},
    store::{
        FILE, Limits, Store,
        chain::{self, Audit},
    },
};

use crate::store_rows::{NOW_MS, intent};

/// A journal of three actions, each intended, done and kept.
fn journal() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Limits::default()).unwrap();
    for n in 0..3 {
        let id = store.intend(&intent(NOW_MS + n)).unwrap();
        store.advance(id, JournalState::Done, "nice 0 -> 10", NOW_MS + n).unwrap();
        store.advance(id, JournalState::Kept, "resolved", NOW_MS + n).unwrap();
    }
    store.close().unwrap();
    dir
}

fn audit(dir: &Path) -> Audit {
    chain::verify(dir, None).unwrap()
}

fn order(dir: &Path, sql: &str) {
    rusqlite::Connection::open(dir.join(FILE)).unwrap().execute_batch(sql).unwrap();
}

/// What the audit says after that was done to a sound journal.
fn after(sql: &str) -> String {
    let dir = journal();
    assert!(audit(dir.path()).sound);
    order(dir.path(), sql);
    audit(dir.path()).faults.join("\n")
}

fn check(sql: &str, expected: Expect) {
    expected.assert_eq(&after(sql));
}

#[test]
fn a_journal_that_nobody_touched_is_sound() {
    let dir = journal();
    let Audit { sound, links, actions, faults, head, .. } = audit(dir.path());
    assert_eq!((sound, links, actions, faults), (true, 9, 3, vec![]));
    assert_eq!(chain::verify(dir.path(), head).unwrap().faults, Vec::<String>::new());
    assert_eq!(head.unwrap().to_string().parse(), Ok(head.unwrap()));
}

#[test]
fn what_was_edited_is_found() {
    check(
        "UPDATE action_steps SET note = 'nice 0 -> 1' WHERE action_id = 2 AND step = 2",
        expect!["action 2, step 2 is not as it was written"],
    );
    check("UPDATE actions SET author = 'ann' WHERE id = 2", expect!["action 2, step 1 is not as it was written"]);
    check(
        "UPDATE actions SET state = 'undone' WHERE id = 2",
        expect!["action 2, step 3 is not what the action says of itself"],
    );
    check(
        "UPDATE journal_chain SET content = zeroblob(32) WHERE seq = 4",
        expect![[r#"
        link 4 (action 2, step 1) does not follow from the one before
        action 2, step 1 is not as it was written"#]],
    );
}

#[test]
fn what_was_taken_out_is_found() {
    check(
        "DELETE FROM action_steps WHERE action_id = 3 AND step = 3",
        expect![[r#"
            action 3, step 3 is missing
            action 3, step 2 is not what the action says of itself"#]],
    );
    check(
        "DELETE FROM journal_chain WHERE action_id = 2; DELETE FROM action_steps WHERE action_id = 2;
         DELETE FROM actions WHERE id = 2",
        expect![[r#"
            links 4 to 6 are missing
            link 7 (action 3, step 1) does not follow from the one before"#]],
    );
}

#[test]
fn a_journal_whose_end_was_cut_off_is_found() {
    check(
        "DELETE FROM journal_chain WHERE action_id = 3; DELETE FROM action_steps WHERE action_id = 3;
         DELETE FROM actions WHERE id = 3",
        expect!["the chain ends before the head that is kept beside the database, link 9: its end was cut off"],
    );
    let dir = journal();
    std::fs::remove_file(dir.path().join("journal.head")).unwrap();
    expect!["journal.head is missing: whether the end was cut off cannot be told"]
        .assert_eq(&audit(dir.path()).faults.join("\n"));
}

#[test]
fn what_was_put_in_or_played_again_is_found() {
    let columns =
        "incident, author, approved_by, rule, action_type, command, target, intent, lease_until_ms, made_at_ms,
        state, note, changed_at_ms";
    check(
        &format!(
            "INSERT INTO actions ({columns}) SELECT {columns} FROM actions WHERE id = 1;
             INSERT INTO action_steps SELECT 4, step, state, note, at_ms FROM action_steps WHERE action_id = 1"
        ),
        expect![[r#"
            action 4, step 1 has no link: it was put in
            action 4, step 2 has no link: it was put in
            action 4, step 3 has no link: it was put in"#]],
    );
}

#[test]
fn a_journal_that_was_written_anew_does_not_pass_through_the_head_that_somebody_kept() {
    let (before, anew) = (audit(journal().path()).head, journal());
    order(anew.path(), "DELETE FROM journal_chain; DELETE FROM action_steps; DELETE FROM actions");
    std::fs::remove_file(anew.path().join("journal.head")).unwrap();
    let (store, _) = Store::open(anew.path(), Limits::default()).unwrap();
    let id = store.intend(&intent(NOW_MS + 77)).unwrap();
    for n in 0..8 {
        store.advance(id, JournalState::Done, "another story", NOW_MS + n).unwrap();
    }
    store.close().unwrap();
    assert!(audit(anew.path()).sound, "by itself it looks sound");
    expect!["link 9 is not the head that was written down: all was written anew"]
        .assert_eq(&chain::verify(anew.path(), before).unwrap().faults.join("\n"));
}

#[test]
fn what_went_by_age_is_no_fault_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { traces_days: 1, ..Limits::default() };
    let day_ms = 24 * 60 * 60 * 1000;
    let (store, _) = Store::open(dir.path(), limits.clone()).unwrap();
    let mut first_head = None;
    for day in 0..5 {
        let id = store.intend(&intent(NOW_MS + day * day_ms)).unwrap();
        first_head.get_or_insert_with(|| std::fs::read(dir.path().join("journal.head")).unwrap());
        store.advance(id, JournalState::Undone, "nice 10 -> 0", NOW_MS + day * day_ms).unwrap();
    }
    // Age is counted from the newest row.
    store.keep_signal(&crate::store_rows::signal(1));
    store.flush().unwrap();
    store.close().unwrap();
    order(dir.path(), &format!("UPDATE signal_metadata SET last_seen_ms = {}", NOW_MS + 4 * day_ms));
    chain_is_sound_after_a_trim(dir.path(), limits, NOW_MS + 4 * day_ms);
    // A head that could not be kept anew since is none of which something is lacking.
    std::fs::write(dir.path().join("journal.head"), first_head.unwrap()).unwrap();
    let (_, opening) = Store::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(opening.notes, Vec::<String>::new());
}

fn chain_is_sound_after_a_trim(dir: &Path, limits: Limits, newest_ms: i64) {
    let (store, _) = Store::open(dir, limits).unwrap();
    let mut signal = crate::store_rows::signal(2);
    signal.last_seen_ms = newest_ms;
    let begun = std::time::Instant::now();
    loop {
        store.keep_signal(&signal);
        store.flush().unwrap();
        let audit = audit(dir);
        assert!(audit.sound, "{:?}", audit.faults);
        if audit.first_action > 1 {
            assert_eq!((audit.actions, audit.links), (2, 4), "those of the last day are left");
            return;
        }
        assert!(begun.elapsed().as_secs() < 30, "nothing went by age: {audit:?}");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}
