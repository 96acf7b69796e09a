-- What could not be taken back is owed; what was approved and not carried out is refused. A list of values in a CHECK
-- cannot be changed, so both tables are made anew. Ids go on where they were: none ever names two rows.
CREATE TABLE proposals_next (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    incident    TEXT NOT NULL,
    trace_id    INTEGER,
    action_type TEXT,
    proposal    TEXT NOT NULL,      -- JSON
    status      TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'expired', 'executed', 'refused')),
    made_at_ms  INTEGER NOT NULL,
    expires_ms  INTEGER NOT NULL,
    settled_ms  INTEGER,
    settled_by  TEXT,
    reason      TEXT
) STRICT;
INSERT INTO proposals_next SELECT * FROM proposals;

CREATE TABLE actions_next (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    incident       TEXT,
    author         TEXT NOT NULL,
    approved_by    TEXT,
    rule           TEXT NOT NULL,
    action_type    TEXT NOT NULL,
    command        TEXT NOT NULL,
    target         TEXT NOT NULL,
    intent         TEXT NOT NULL,   -- JSON, the whole, with the undo
    lease_until_ms INTEGER,
    made_at_ms     INTEGER NOT NULL,
    state          TEXT NOT NULL
        CHECK (state IN ('intended', 'done', 'failed', 'kept', 'owed', 'undone', 'left_alone', 'void')),
    note           TEXT NOT NULL,
    changed_at_ms  INTEGER NOT NULL
) STRICT;
INSERT INTO actions_next SELECT * FROM actions;

DELETE FROM sqlite_sequence WHERE name IN ('proposals_next', 'actions_next');
INSERT INTO sqlite_sequence (name, seq)
SELECT name || '_next', seq FROM sqlite_sequence WHERE name IN ('proposals', 'actions');

DROP TABLE proposals;
ALTER TABLE proposals_next RENAME TO proposals;
CREATE INDEX proposals_pending ON proposals (made_at_ms) WHERE status = 'pending';
CREATE INDEX proposals_by_time ON proposals (made_at_ms);

DROP TABLE actions;
ALTER TABLE actions_next RENAME TO actions;
CREATE INDEX actions_unsettled ON actions (id)
    WHERE state IN ('intended', 'done', 'owed') OR (state = 'kept' AND lease_until_ms IS NOT NULL);
CREATE INDEX actions_by_time ON actions (made_at_ms);
CREATE INDEX actions_by_incident ON actions (incident, id);
