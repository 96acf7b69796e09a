-- What a model was asked about an incident, or about a question of an operator, what it said, and what came of it. With
-- that a case can be gone through again without a network.
CREATE TABLE cases (
    case_id     INTEGER PRIMARY KEY,
    begun_ms    INTEGER NOT NULL,
    ended_ms    INTEGER,
    incident    TEXT,
    fingerprint TEXT,
    subject     TEXT,             -- JSON: the incident as it was then
    question    TEXT,
    provider    TEXT NOT NULL,
    model       TEXT NOT NULL,
    brief       TEXT NOT NULL,    -- JSON: all that it was told first
    options     TEXT NOT NULL,    -- JSON: the proposals that it could choose among
    names       TEXT NOT NULL,    -- JSON: what each placeholder stood for
    rules       TEXT,             -- JSON: what the rules decided
    looked_up   TEXT NOT NULL,    -- JSON: the claims of the last draft, and what was found
    tally       TEXT NOT NULL,    -- JSON: calls, claims and drafts, and those of them that were wrong
    ending      TEXT,             -- JSON: what came of it; none while it is thought about
    agreement   TEXT,             -- how the model stood to the rules
    CHECK ((incident IS NULL) <> (question IS NULL))
) STRICT;
CREATE INDEX cases_by_time ON cases (begun_ms);
CREATE INDEX cases_by_incident ON cases (incident);
CREATE INDEX cases_by_fingerprint ON cases (fingerprint);
CREATE TABLE turns (
    turn_id       INTEGER PRIMARY KEY,
    case_id       INTEGER NOT NULL,
    at_ms         INTEGER NOT NULL,
    voice         TEXT NOT NULL,
    number        INTEGER NOT NULL,
    digest        TEXT NOT NULL,    -- SHA-256 of all that was sent
    cached        INTEGER NOT NULL, -- whether the reply is that of an earlier turn
    took_ms       INTEGER NOT NULL,
    failed        TEXT,             -- the kind of failure
    input_tokens  INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    usd           REAL,             -- none where no price is known
    sent          TEXT NOT NULL,    -- JSON: what was sent beyond the turn before
    reply         TEXT              -- JSON
) STRICT;
CREATE INDEX turns_by_case ON turns (case_id);
CREATE INDEX turns_by_time ON turns (at_ms);
CREATE INDEX turns_by_digest ON turns (digest) WHERE reply IS NOT NULL;
-- Hypotheses that a deed showed to be wrong, until the evidence is another.
CREATE TABLE refuted (
    fingerprint  TEXT NOT NULL,
    failure_mode TEXT NOT NULL,
    evidence     TEXT NOT NULL,
    at_ms        INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, failure_mode, evidence)
) STRICT;
