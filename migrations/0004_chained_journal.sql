-- Each step of the journal is a link of a chain of hashes, so that what is edited, taken out, put in or played again is
-- found by whoever looks: `kernelsight audit verify`.
CREATE TABLE journal_chain (
    seq       INTEGER PRIMARY KEY,
    action_id INTEGER NOT NULL,
    step      INTEGER NOT NULL,
    content   BLOB NOT NULL,    -- SHA-256 of the step, and of the action for its first
    hash      BLOB NOT NULL,    -- SHA-256 of the link before, seq, action_id, step and content
    UNIQUE (action_id, step)
) STRICT;
-- Where the chain begins: links before it, and actions below `first_action`, were removed by age.
CREATE TABLE journal_chain_base (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    seq          INTEGER NOT NULL,
    hash         BLOB NOT NULL,
    first_action INTEGER NOT NULL
) STRICT;
INSERT INTO journal_chain_base (one, seq, hash, first_action) VALUES (1, 0, zeroblob(32), 1);
