-- The kind of a case's ending beside its JSON, and an index that counts cases without reading what was said in them.
ALTER TABLE cases ADD COLUMN came_of TEXT;
UPDATE cases SET came_of = json_extract(ending, '$.kind') WHERE json_valid(ending);
DROP INDEX cases_by_time;
CREATE INDEX cases_by_time ON cases (begun_ms, came_of, agreement, tally);
