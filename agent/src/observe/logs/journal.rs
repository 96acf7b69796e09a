//! The journal's files, newest entries first.

use sdjournal::{Journal, JournalConfig, SdJournalError};

use super::{From, Line, Look, Wanted};
use crate::text::Text;

/// A damaged or a hostile file costs no more than this.
const OBJECT_BYTES: u64 = 1 << 20;
const TEXT_BYTES: usize = 64 << 10;

pub(super) fn read(wanted: &Wanted, look: &mut Look, lines: &mut Vec<Line>) -> Result<(), SdJournalError> {
    let config = JournalConfig {
        max_object_size_bytes: OBJECT_BYTES,
        max_decompressed_bytes: TEXT_BYTES,
        ..JournalConfig::default()
    };
    let journal = Journal::open_default_with_config(config)?;
    let mut query = journal.query();
    match (&wanted.unit, wanted.from) {
        (Some(unit), _) => drop(query.match_unit(unit)),
        (None, Some(From::Kernel)) => drop(query.match_exact("_TRANSPORT", b"kernel")),
        (None, _) => {}
    }
    let micros = |ms: i64| ms.max(0).unsigned_abs() * 1000;
    query.since_realtime(micros(wanted.from_ms)).until_realtime(micros(wanted.to_ms)).seek_tail();
    let mut kept = 0;
    for entry in query.iter()? {
        // One that cannot be read says nothing of the others.
        let Ok(entry) = entry else { continue };
        let get = |field: &str| entry.get(field).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let from = if get("_TRANSPORT").as_deref() == Some("kernel") { From::Kernel } else { From::Services };
        let line = Line {
            at_ms: i64::try_from(entry.realtime_usec() / 1000).unwrap_or(i64::MAX),
            from,
            unit: get("_SYSTEMD_UNIT").map(|unit| Text::from(unit.as_str())),
            priority: get("PRIORITY").and_then(|priority| priority.parse().ok()).unwrap_or(6),
            text: Text::from(get("MESSAGE").unwrap_or_default().as_str()),
        };
        if wanted.from.is_none_or(|of| of == from) && wanted.has(&line) {
            lines.push(line);
            kept += 1;
        }
        if kept == wanted.most || !look.one() {
            break;
        }
    }
    Ok(())
}
