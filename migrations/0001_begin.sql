-- Version 1. A released file here is never edited: the next change is the next number.
-- Times are Unix time in ms. Units are the ends of names. Text is escaped and bounded before it comes here.

-- What rows share, said once.
CREATE TABLE measures (
    id          INTEGER PRIMARY KEY,
    signal_type TEXT NOT NULL,
    measure     TEXT NOT NULL,
    UNIQUE (signal_type, measure)
) STRICT;

CREATE TABLE entities (
    id     INTEGER PRIMARY KEY,
    key    TEXT NOT NULL UNIQUE,
    entity TEXT NOT NULL            -- JSON
) STRICT;

-- The class '' stands for all entities of a measure.
CREATE TABLE classes (
    id    INTEGER PRIMARY KEY,
    class TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE number_names (
    id    INTEGER PRIMARY KEY,
    names TEXT NOT NULL UNIQUE      -- JSON array
) STRICT;

-- Signals: one row from the first sight to the end. Severities are 0 none to 4 critical.
CREATE TABLE signal_metadata (
    id              INTEGER PRIMARY KEY,
    measure_id      INTEGER NOT NULL,
    entity_id       INTEGER NOT NULL,
    severity        INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 4),
    peak_severity   INTEGER NOT NULL CHECK (peak_severity BETWEEN 0 AND 4),
    pressure        REAL,
    value           REAL,
    names_id        INTEGER NOT NULL,
    numbers         TEXT NOT NULL,      -- JSON array, in the order of number_names.names
    sentence        TEXT NOT NULL,
    last_seen_ms    INTEGER NOT NULL,
    lasted_ms       INTEGER NOT NULL,   -- from first seen to last seen
    closed_after_ms INTEGER,            -- from last seen to closed; null while it is open
    count           INTEGER NOT NULL,
    lost_events     INTEGER NOT NULL
) STRICT;
CREATE INDEX signals_by_time ON signal_metadata (last_seen_ms, measure_id);
CREATE INDEX signals_by_entity ON signal_metadata (entity_id);
CREATE INDEX signals_open ON signal_metadata (last_seen_ms) WHERE closed_after_ms IS NULL;

-- For an auditor with the sqlite3 shell.
CREATE VIEW signals AS
SELECT s.id, m.signal_type, m.measure, e.key AS entity,
       CASE s.severity WHEN 0 THEN 'none' WHEN 1 THEN 'low' WHEN 2 THEN 'medium' WHEN 3 THEN 'high' ELSE 'critical' END AS severity,
       s.pressure, s.value, s.sentence, s.last_seen_ms - s.lasted_ms AS first_seen_ms, s.last_seen_ms, s.count,
       s.last_seen_ms + s.closed_after_ms AS closed_ms, s.lost_events
FROM signal_metadata s JOIN measures m ON m.id = s.measure_id JOIN entities e ON e.id = s.entity_id;

-- The ten metric families: what each tick said. Counters are as the kernel counts them; null where the source is off.
CREATE TABLE memory_metrics (
    at_ms INTEGER PRIMARY KEY,
    total_bytes REAL, free_bytes REAL, available_bytes REAL, buffers_bytes REAL, cached_bytes REAL,
    anonymous_bytes REAL, slab_reclaimable_bytes REAL, dirty_bytes REAL, writeback_bytes REAL,
    pressure_some_percent REAL, pressure_full_percent REAL,
    reclaim_stalls REAL, reclaim_stall_ns REAL, oom_kills REAL
) STRICT;
CREATE TABLE load_metrics (
    at_ms INTEGER PRIMARY KEY,
    one REAL, five REAL, fifteen REAL, runnable REAL, tasks REAL, online_cpus REAL,
    user_ns REAL, nice_ns REAL, system_ns REAL, idle_ns REAL, iowait_ns REAL, irq_ns REAL, steal_ns REAL,
    pressure_some_percent REAL
) STRICT;
CREATE TABLE io_stats (
    at_ms INTEGER NOT NULL, name TEXT NOT NULL,
    reads REAL, read_bytes REAL, read_time_ms REAL, writes REAL, written_bytes REAL, write_time_ms REAL,
    in_flight REAL, busy_ms REAL, queue_time_ms REAL,
    PRIMARY KEY (at_ms, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE network_metrics (
    at_ms INTEGER NOT NULL, name TEXT NOT NULL,
    up REAL, received_bytes REAL, received_packets REAL, received_errors REAL, received_dropped REAL,
    sent_bytes REAL, sent_packets REAL, sent_errors REAL, sent_dropped REAL,
    PRIMARY KEY (at_ms, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE tcp_metrics (
    at_ms INTEGER PRIMARY KEY,
    sent_segments REAL, retransmitted_segments REAL, received_errors REAL, active_opens REAL, attempt_fails REAL,
    resets_sent REAL, listen_overflows REAL, listen_drops REAL, established REAL, syn_sent REAL, syn_recv REAL,
    fin_wait REAL, time_wait REAL, close_wait REAL, listen REAL,
    sockets_used REAL, orphans REAL, memory_pages REAL
) STRICT;
CREATE TABLE swap_metrics (
    at_ms INTEGER PRIMARY KEY,
    total_bytes REAL, free_bytes REAL, swap_in_pages REAL, swap_out_pages REAL,
    refault_anon_pages REAL, refault_file_pages REAL
) STRICT;
-- Per device and operation ("sda read"), what was counted since the tick before.
CREATE TABLE block_metrics (
    at_ms INTEGER NOT NULL, name TEXT NOT NULL,
    requests REAL, bytes REAL, errors REAL, in_flight REAL, latency_p50_ns REAL, latency_p99_ns REAL,
    PRIMARY KEY (at_ms, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE scheduler_metrics (
    at_ms INTEGER PRIMARY KEY,
    context_switches REAL, forks REAL, running REAL, blocked REAL,
    run_queue_waits REAL, run_queue_p50_ns REAL, run_queue_p99_ns REAL, execs REAL, exits REAL
) STRICT;
CREATE TABLE syscall_metrics (
    at_ms INTEGER PRIMARY KEY,
    calls REAL, errors REAL, errors_untold REAL, timed REAL, latency_p50_ns REAL, latency_p99_ns REAL,
    files_allocated REAL, files_maximum REAL, io_pressure_some_percent REAL, io_pressure_full_percent REAL
) STRICT;
CREATE TABLE page_fault_metrics (
    at_ms INTEGER PRIMARY KEY,
    faults REAL, major_faults REAL, user_faults REAL, kernel_faults REAL,
    direct_scan_pages REAL, direct_steal_pages REAL, kswapd_scan_pages REAL, allocation_stalls REAL
) STRICT;

-- What readings were like: a log-linear histogram a minute and an hour, for percentiles and baselines.
CREATE TABLE minute_histograms (
    measure_id INTEGER NOT NULL,
    class_id   INTEGER NOT NULL,
    minute     INTEGER NOT NULL,    -- Unix time / 60 s
    histogram  BLOB NOT NULL,       -- format of store/histogram.rs
    PRIMARY KEY (measure_id, class_id, minute)
) STRICT, WITHOUT ROWID;
CREATE INDEX minute_histograms_by_time ON minute_histograms (minute);
CREATE TABLE hour_histograms (
    measure_id INTEGER NOT NULL,
    class_id   INTEGER NOT NULL,
    hour       INTEGER NOT NULL,    -- Unix time / 3600 s
    histogram  BLOB NOT NULL,
    PRIMARY KEY (measure_id, class_id, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX hour_histograms_by_time ON hour_histograms (hour);
CREATE TABLE baselines (
    measure_id INTEGER NOT NULL,
    class_id   INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    baseline   TEXT NOT NULL,       -- JSON: samples, p50, p75, p95, p99, volatility
    PRIMARY KEY (measure_id, class_id)
) STRICT, WITHOUT ROWID;

-- The mean of one measure of one entity over a minute, for trends longer than memory holds.
CREATE TABLE points (
    entity_id  INTEGER NOT NULL,
    measure_id INTEGER NOT NULL,
    minute     INTEGER NOT NULL,
    mean       REAL NOT NULL,
    samples    INTEGER NOT NULL,
    PRIMARY KEY (entity_id, measure_id, minute)
) STRICT, WITHOUT ROWID;
CREATE INDEX points_by_time ON points (minute);

CREATE TABLE incidents (
    uid            TEXT NOT NULL PRIMARY KEY,
    opened_ms      INTEGER NOT NULL,
    closed_ms      INTEGER,
    status         TEXT NOT NULL,
    severity       INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 4),
    title          TEXT NOT NULL,
    fingerprint    TEXT NOT NULL,
    primary_signal INTEGER NOT NULL,
    incident       TEXT NOT NULL    -- JSON, the whole
) STRICT;
CREATE INDEX incidents_by_time ON incidents (opened_ms);
CREATE INDEX incidents_open ON incidents (opened_ms) WHERE closed_ms IS NULL;
CREATE INDEX incidents_by_fingerprint ON incidents (fingerprint, opened_ms);

-- One pass of the loop over one incident, as an auditor reads it.
CREATE TABLE reasoning_traces (
    trace_id            INTEGER PRIMARY KEY AUTOINCREMENT,
    incident            TEXT NOT NULL,
    timestamp           INTEGER NOT NULL,
    observation         TEXT NOT NULL,
    hypothesis          TEXT NOT NULL,
    evidence            TEXT NOT NULL,
    predicted_outcome   TEXT NOT NULL,
    recommended_action  TEXT NOT NULL,
    confidence          REAL,
    actual_outcome      TEXT,
    prediction_accurate INTEGER CHECK (prediction_accurate IN (0, 1)),
    accuracy            REAL,
    lessons_learned     TEXT,
    autonomy            TEXT NOT NULL,
    closed_ms           INTEGER,
    -- What beliefs are made of; null where nothing was tried and verified.
    action_type         TEXT,
    failure_mode        TEXT,
    verdict             TEXT,
    relative_effect     REAL,       -- (after - before) / |before|
    effect_factor       REAL,       -- actual change / predicted change
    -- The parts in full, JSON.
    steps               TEXT NOT NULL,
    explanation         TEXT,
    forecast            TEXT,
    proposal            TEXT,
    denial              TEXT,
    outcome             TEXT,
    verification        TEXT,
    undo                TEXT
) STRICT;
CREATE INDEX traces_by_time ON reasoning_traces (timestamp);
CREATE INDEX traces_by_incident ON reasoning_traces (incident, trace_id);
CREATE INDEX traces_by_action ON reasoning_traces (action_type, failure_mode, trace_id);

-- What the past says of one action on one kind of incident.
CREATE VIEW beliefs AS
SELECT action_type, failure_mode, count(*) AS attempts,
       sum(verdict IN ('resolved', 'improved')) AS successes,
       coalesce(avg(relative_effect), 0.0) AS mean_effect,
       coalesce(avg(effect_factor), 1.0) AS effect_factor
FROM reasoning_traces
WHERE action_type IS NOT NULL AND failure_mode IS NOT NULL AND verdict IS NOT NULL
GROUP BY action_type, failure_mode;

CREATE TABLE proposals (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    incident    TEXT NOT NULL,
    trace_id    INTEGER,
    action_type TEXT,
    proposal    TEXT NOT NULL,      -- JSON
    status      TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'expired', 'executed')),
    made_at_ms  INTEGER NOT NULL,
    expires_ms  INTEGER NOT NULL,
    settled_ms  INTEGER,
    settled_by  TEXT,
    reason      TEXT
) STRICT;
CREATE INDEX proposals_pending ON proposals (made_at_ms) WHERE status = 'pending';
CREATE INDEX proposals_by_time ON proposals (made_at_ms);

-- Who was allowed or refused what, by which rule.
CREATE TABLE permits (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms    INTEGER NOT NULL,
    incident TEXT,
    trace_id INTEGER,
    who      TEXT NOT NULL,
    action   TEXT NOT NULL,         -- JSON
    command  TEXT NOT NULL,
    rule     TEXT NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
CREATE INDEX permits_by_time ON permits (at_ms);
CREATE TABLE denials (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms    INTEGER NOT NULL,
    incident TEXT,
    trace_id INTEGER,
    who      TEXT NOT NULL,
    action   TEXT NOT NULL,         -- JSON
    rule     TEXT NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
CREATE INDEX denials_by_time ON denials (at_ms);

-- What was done, with all that takes it back: the row is on disk before the deed.
CREATE TABLE actions (
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
        CHECK (state IN ('intended', 'done', 'failed', 'kept', 'undone', 'left_alone', 'void')),
    note           TEXT NOT NULL,
    changed_at_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX actions_unsettled ON actions (id)
    WHERE state IN ('intended', 'done') OR (state = 'kept' AND lease_until_ms IS NOT NULL);
CREATE INDEX actions_by_time ON actions (made_at_ms);
CREATE INDEX actions_by_incident ON actions (incident, id);
CREATE TABLE action_steps (
    action_id INTEGER NOT NULL,
    step      INTEGER NOT NULL,
    state     TEXT NOT NULL,
    note      TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    PRIMARY KEY (action_id, step)
) STRICT, WITHOUT ROWID;

-- What is set for longer than the daemon runs, such as the autonomy level.
CREATE TABLE settings (
    key        TEXT NOT NULL PRIMARY KEY,
    value      TEXT NOT NULL,
    changed_ms INTEGER NOT NULL,
    changed_by TEXT NOT NULL
) STRICT;
CREATE TABLE notes (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    note  TEXT NOT NULL
) STRICT;
CREATE INDEX notes_by_time ON notes (at_ms);
