-- A decision may hold several actions that are carried out together: what was one is a list from here on.
ALTER TABLE reasoning_traces RENAME COLUMN outcome TO outcomes;
ALTER TABLE reasoning_traces RENAME COLUMN undo TO undone;

UPDATE reasoning_traces SET outcomes = json_array(json(outcomes)) WHERE outcomes IS NOT NULL;
UPDATE reasoning_traces SET undone = json_array(json(undone)) WHERE undone IS NOT NULL;

UPDATE reasoning_traces
SET proposal = json_remove(
        json_set(proposal, '$.decision.actions', json_array(json_extract(proposal, '$.decision.action'))),
        '$.decision.action')
WHERE json_extract(proposal, '$.decision.kind') = 'act';

UPDATE proposals
SET proposal = json_remove(
        json_set(proposal, '$.decision.actions', json_array(json_extract(proposal, '$.decision.action'))),
        '$.decision.action')
WHERE json_extract(proposal, '$.decision.kind') = 'act';

UPDATE reasoning_traces
SET forecast = json_set(forecast, '$.effects', (
        SELECT json_group_array(
            json_remove(json_set(value, '$.actions', json_array(json_extract(value, '$.action'))), '$.action'))
        FROM json_each(forecast, '$.effects')))
WHERE forecast IS NOT NULL;
