-- Writes a batch of events; those that are known already add nothing.
--
-- Batches take turns: a row's number is drawn and made visible before the next batch draws one. So whoever has
-- read up to a number has missed none below it, and may go on from there.
CREATE FUNCTION record_events(batch jsonb) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    month timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(7241002);
    FOR month IN
        SELECT DISTINCT date_trunc('month', (event ->> 'timestamp')::timestamptz, 'UTC')
        FROM jsonb_array_elements(batch) AS event
    LOOP
        PERFORM ensure_event_log_partition(month);
    END LOOP;
    INSERT INTO todo_event_logs (
        "timestamp", event_type, entity, entity_id, group_id, group_name, task_id, task_name, changes, user_name,
        workspace, event_data, event_id
    )
    SELECT
        "timestamp", event_type, entity, entity_id, group_id, group_name, task_id, task_name, changes, user_name,
        workspace, event_data, event_id
    FROM jsonb_to_recordset(batch) AS event (
        "timestamp" timestamptz, event_type text, entity text, entity_id text, group_id text, group_name text,
        task_id text, task_name text, changes text, user_name text, workspace text, event_data jsonb, event_id uuid
    )
    ON CONFLICT DO NOTHING;
END
$function$;
