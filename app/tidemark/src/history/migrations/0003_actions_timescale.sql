-- The request that led to an event, and the key that the client gave it. Rows of before do not know them.
ALTER TABLE todo_event_logs ADD COLUMN action_id uuid;
ALTER TABLE todo_event_logs ADD COLUMN command_id varchar(255);

-- All that one action did is undone together.
CREATE INDEX idx_action_id ON todo_event_logs (action_id, "timestamp" DESC);

-- Writes a batch of events, as the ledger's JSON has them; those that are known already add nothing.
--
-- Batches take turns: a row's number is drawn and made visible before the next batch draws one. So whoever has
-- read up to a number has missed none below it, and may go on from there.
CREATE OR REPLACE FUNCTION record_events(batch jsonb) RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
    PERFORM pg_advisory_xact_lock(7241002);
    INSERT INTO todo_event_logs (
        "timestamp", event_type, entity, entity_id, group_id, group_name, task_id, task_name, changes, user_name,
        workspace, event_data, event_id, action_id, command_id
    )
    SELECT
        'epoch'::timestamptz + (event ->> 'timestamp')::bigint * INTERVAL '1 millisecond', event ->> 'eventType',
        entity, "entityId", "groupId", "groupName", "taskId", "taskName", changes, "user", workspace, event,
        (event ->> 'eventId')::uuid, (event ->> 'actionId')::uuid, event ->> 'commandId'
    FROM
        jsonb_array_elements(batch) AS event,
        jsonb_to_record(event -> 'payload') AS payload (
            entity text, "entityId" text, "groupId" text, "groupName" text, "taskId" text, "taskName" text,
            changes text, "user" text, workspace text
        )
    ON CONFLICT DO NOTHING;
END
$function$;
