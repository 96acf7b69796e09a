//! The journal's chain of hashes: each step is a link, made with it in one transaction. What is edited, taken out, put in
//! or played again does not fit any more; that the end was cut off is told by the head, which is kept beside the database.
//!
//! content = SHA-256 of the step's columns, and of the action's for its first step;
//! hash = SHA-256 of the hash before, seq, action_id, step and content. Each field goes in behind its length.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use rusqlite::{Connection, OptionalExtension, params, types::ValueRef};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{FILE, StoreError};

/// The head's file, beside the database.
const HEAD: &str = "journal.head";
/// The columns of an action that do not change.
const ACTION: &str =
    "incident, author, approved_by, rule, action_type, command, target, intent, lease_until_ms, made_at_ms";

type Hash = [u8; 32];

/// A link by its place and its hash: what an auditor writes down, and compares later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Head {
    pub seq: u64,
    hash: Hash,
}

/// `41:9f86d0…`
impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.seq)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no head such as 41:9f86d081…, a number and 64 hexadecimal digits")]
pub struct NoHead;

impl FromStr for Head {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (seq, hex) = text.trim_end().split_once(':').ok_or(NoHead)?;
        let plain = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16);
        let mut hash = Hash::default();
        for (n, place) in hash.iter_mut().enumerate().take(if plain { 32 } else { 0 }) {
            *place = byte(n).map_err(|_| NoHead)?;
        }
        if plain { Ok(Self { seq: seq.parse().map_err(|_| NoHead)?, hash }) } else { Err(NoHead) }
    }
}

impl TryFrom<String> for Head {
    type Error = NoHead;

    fn try_from(text: String) -> Result<Self, NoHead> {
        text.parse()
    }
}

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Nothing is wrong.
    pub sound: bool,
    pub links: u64,
    pub actions: u64,
    /// Actions below this number were removed by age.
    pub first_action: i64,
    /// The last link: write it down elsewhere, for whoever can write here can write all of it anew.
    pub head: Option<Head>,
    /// What is wrong, in words; the first hundred.
    pub faults: Vec<String>,
}

/// Makes the link of a step that was just written.
pub(super) fn append(connection: &Connection, action_id: i64, step: i64) -> rusqlite::Result<()> {
    let content = content_of(connection, action_id, step)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let (seq, before) = last(connection)?;
    let hash = link(&before, seq + 1, action_id, step, &content);
    connection
        .prepare_cached("INSERT INTO journal_chain (seq, action_id, step, content, hash) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![seq + 1, action_id, step, content, hash])
        .map(drop)
}

/// Links what was written before there was a chain.
pub(super) fn adopt(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let steps: Vec<(i64, i64)> = transaction
        .prepare("SELECT action_id, step FROM action_steps ORDER BY at_ms, action_id, step")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (action_id, step) in steps {
        append(&transaction, action_id, step)?;
    }
    transaction.commit()
}

/// Whether there is no link yet.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM journal_chain)", [], |row| row.get(0))
}

/// Removes links whose actions were removed by age, from the beginning on; the last link stays.
pub(super) fn prune(connection: &Connection) -> rusqlite::Result<()> {
    let first_action: Option<i64> = connection.query_row("SELECT min(id) FROM actions", [], |row| row.get(0))?;
    let Some(first_action) = first_action else { return Ok(()) };
    connection.execute(
        "UPDATE journal_chain_base SET first_action = ?1
         WHERE first_action < ?1 AND NOT EXISTS (SELECT 1 FROM action_steps WHERE action_id < ?1)",
        [first_action],
    )?;
    let base: Option<(i64, Vec<u8>)> = connection
        .query_row(
            "SELECT seq, hash FROM journal_chain
             WHERE seq < (SELECT min(seq) FROM journal_chain WHERE action_id >= ?1) ORDER BY seq DESC LIMIT 1",
            [first_action],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((seq, hash)) = base else { return Ok(()) };
    connection.execute("UPDATE journal_chain_base SET seq = ?1, hash = ?2", params![seq, hash])?;
    connection.execute("DELETE FROM journal_chain WHERE seq <= ?1", [seq]).map(drop)
}

/// The last link, for the file beside the database.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    let (seq, hash) = last(connection)?;
    Ok(Head { seq: seq.unsigned_abs(), hash })
}

/// What the chain lacks of what the head beside the database of `dir` tells of, in words. A head that is behind lacks
/// nothing.
pub(super) fn lacks(connection: &Connection, dir: &Path) -> rusqlite::Result<Option<String>> {
    let kept = match kept_head(dir).map_err(|error| error.to_string()) {
        Ok(None) => return Ok(None),
        Ok(Some(text)) => text.parse::<Head>().map_err(|error| error.to_string()),
        Err(why) => Err(why),
    };
    let kept = match kept {
        Ok(kept) => kept,
        Err(why) => return Ok(Some(format!("{HEAD}: {why}"))),
    };
    let sql =
        "SELECT hash FROM journal_chain WHERE seq = ?1 UNION ALL SELECT hash FROM journal_chain_base WHERE seq = ?1";
    let there: Option<Hash> = connection.query_row(sql, [kept.seq as i64], |row| row.get(0)).optional()?;
    let end = head(connection)?;
    Ok(match there {
        Some(hash) if hash == kept.hash => None,
        Some(_) => Some(format!("link {} of its journal is not {kept}, the head that is kept beside it", kept.seq)),
        // Removed by age.
        None if kept.seq < end.seq => None,
        None => Some(format!("its journal ends with link {}, before {kept}, the head that is kept beside it", end.seq)),
    })
}

/// Keeps the head beside the database of `dir`: whole or not at all.
pub(super) fn keep_head(dir: &Path, head: Head) -> io::Result<()> {
    let (path, next) = (head_path(dir), dir.join(format!("{HEAD}.next")));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(format!("{head}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, &path)
}

/// The head that was kept; none where there is no file.
pub(super) fn kept_head(dir: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(head_path(dir)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn head_path(dir: &Path) -> PathBuf {
    dir.join(HEAD)
}

/// Reads the whole journal of the database in `dir` and says what does not fit. `through` is a head that somebody wrote
/// down: the chain must pass through it. Needs no daemon, and disturbs none.
///
/// # Errors
/// When the database cannot be read at all.
pub fn verify(dir: &Path, through: Option<Head>) -> Result<Audit, StoreError> {
    let what = "read the journal";
    let failed = StoreError::sqlite;
    let connection = super::reader::connect(&dir.join(FILE))?;
    // One picture of all, whatever a daemon writes meanwhile.
    connection.execute_batch("BEGIN").map_err(failed(what))?;
    let mut faults = Faults::default();
    let kept = kept_head(dir).map_err(|source| StoreError::File { what: "read", path: head_path(dir), source })?;
    let walked = walk(&connection, &mut faults).map_err(failed(what))?;
    walked.unlinked(&connection, &mut faults).map_err(failed(what))?;
    match kept.as_deref().map(str::parse::<Head>) {
        Some(Ok(head)) => walked.must_hold(head, "the head that is kept beside the database", &mut faults),
        Some(Err(error)) => faults.say(format!("{HEAD}: {error}")),
        None if walked.count > 0 => {
            faults.say(format!("{HEAD} is missing: whether the end was cut off cannot be told"))
        }
        None => {}
    }
    if let Some(head) = through {
        walked.must_hold(head, "the head that was written down", &mut faults);
    }
    let actions: i64 =
        connection.query_row("SELECT count(*) FROM actions", [], |row| row.get(0)).map_err(failed(what))?;
    Ok(Audit {
        sound: faults.0.is_empty(),
        links: walked.count,
        actions: actions.unsigned_abs(),
        first_action: walked.first_action,
        head: walked.links.last().copied(),
        faults: faults.0,
    })
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn say(&mut self, fault: String) {
        if self.0.len() < 100 {
            self.0.push(fault);
        }
    }
}

struct Walked {
    first_action: i64,
    count: u64,
    /// The base, and every link.
    links: Vec<Head>,
}

fn walk(connection: &Connection, faults: &mut Faults) -> rusqlite::Result<Walked> {
    let (mut seq, mut before, first_action): (i64, Hash, i64) =
        connection.query_row("SELECT seq, hash, first_action FROM journal_chain_base", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let mut walked = Walked { first_action, count: 0, links: vec![Head { seq: seq.unsigned_abs(), hash: before }] };
    let mut statement =
        connection.prepare("SELECT seq, action_id, step, content, hash FROM journal_chain ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (this, action_id, step): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (content, hash): (Hash, Hash) = (row.get(3)?, row.get(4)?);
        if this != seq + 1 {
            faults.say(format!("links {} to {} are missing", seq + 1, this - 1));
        }
        if link(&before, this, action_id, step, &content) != hash {
            faults.say(format!("link {this} (action {action_id}, step {step}) does not follow from the one before"));
        }
        match content_of(connection, action_id, step)? {
            Some(found) if found == content => {}
            Some(_) => faults.say(format!("action {action_id}, step {step} is not as it was written")),
            None if action_id < first_action => {}
            None => faults.say(format!("action {action_id}, step {step} is missing")),
        }
        (seq, before) = (this, hash);
        walked.count += 1;
        walked.links.push(Head { seq: this.unsigned_abs(), hash });
    }
    Ok(walked)
}

impl Walked {
    /// What stands in the journal without a link, or is not as its last step says.
    fn unlinked(&self, connection: &Connection, faults: &mut Faults) -> rusqlite::Result<()> {
        for (sql, what) in [
            (
                "SELECT s.action_id, s.step FROM action_steps s LEFT JOIN journal_chain c USING (action_id, step)
                 WHERE c.seq IS NULL AND s.action_id >= ?1",
                "has no link: it was put in",
            ),
            (
                "SELECT a.id, coalesce(s.step, 0) FROM actions a LEFT JOIN action_steps s
                     ON s.action_id = a.id AND s.step = (SELECT max(step) FROM action_steps WHERE action_id = a.id)
                 WHERE a.id >= ?1 AND NOT coalesce(
                     s.state = a.state AND s.note = a.note AND s.at_ms = a.changed_at_ms, 0)",
                "is not what the action says of itself",
            ),
        ] {
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([self.first_action])?;
            while let Some(row) = rows.next()? {
                let (action_id, step): (i64, i64) = (row.get(0)?, row.get(1)?);
                faults.say(format!("action {action_id}, step {step} {what}"));
            }
        }
        Ok(())
    }

    fn must_hold(&self, head: Head, which: &str, faults: &mut Faults) {
        let first = self.links[0].seq;
        match self.links.iter().find(|link| link.seq == head.seq) {
            Some(link) if *link == head => {}
            Some(_) => faults.say(format!("link {} is not {which}: all was written anew", head.seq)),
            None if head.seq < first => {
                faults.say(format!("{which}, {}, is older than the first link, {first}", head.seq));
            }
            None => faults.say(format!("the chain ends before {which}, link {}: its end was cut off", head.seq)),
        }
    }
}

/// The last link's place and hash; the base where there is none.
fn last(connection: &Connection) -> rusqlite::Result<(i64, Hash)> {
    let sql =
        "SELECT seq, hash FROM (SELECT seq, hash FROM journal_chain UNION ALL SELECT seq, hash FROM journal_chain_base)
        ORDER BY seq DESC LIMIT 1";
    connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn link(before: &Hash, seq: i64, action_id: i64, step: i64, content: &Hash) -> Hash {
    let mut sum = Sum::default();
    sum.add(before);
    for number in [seq, action_id, step] {
        sum.add(&number.to_le_bytes());
    }
    sum.add(content);
    sum.end()
}

/// The sum of what is written of a step; none where it is not there.
fn content_of(connection: &Connection, action_id: i64, step: i64) -> rusqlite::Result<Option<Hash>> {
    let mut sum = Sum::default();
    let found = connection
        .prepare_cached(
            "SELECT action_id, step, state, note, at_ms FROM action_steps WHERE action_id = ?1 AND step = ?2",
        )?
        .query_row([action_id, step], |row| sum.add_columns(row, 5))
        .optional()?;
    if found.is_none() {
        return Ok(None);
    }
    if step == 1 {
        let found = connection
            .prepare_cached(&format!("SELECT {ACTION} FROM actions WHERE id = ?1"))?
            .query_row([action_id], |row| sum.add_columns(row, 10))
            .optional()?;
        if found.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(sum.end()))
}

#[derive(Default)]
struct Sum(Sha256);

impl Sum {
    fn add(&mut self, field: &[u8]) {
        self.0.update((field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    /// Each column behind its type, so that no text passes for a number.
    fn add_columns(&mut self, row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<()> {
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => self.add(b"n"),
                ValueRef::Integer(number) => {
                    self.add(b"i");
                    self.add(&number.to_le_bytes());
                }
                ValueRef::Real(number) => {
                    self.add(b"r");
                    self.add(&number.to_bits().to_le_bytes());
                }
                ValueRef::Text(bytes) => {
                    self.add(b"t");
                    self.add(bytes);
                }
                ValueRef::Blob(bytes) => {
                    self.add(b"b");
                    self.add(bytes);
                }
            }
        }
        Ok(())
    }

    fn end(self) -> Hash {
        self.0.finalize().into()
    }
}
