-- The event log as a TimescaleDB hypertable: one chunk a day, compressed after a week, kept two years.
CREATE TABLE todo_event_logs (
    id bigint GENERATED ALWAYS AS IDENTITY,
    "timestamp" timestamptz NOT NULL DEFAULT now(),
    event_type varchar(50) NOT NULL,
    entity varchar(50) NOT NULL,
    entity_id varchar(100) NOT NULL,
    group_id varchar(100),
    group_name varchar(255),
    task_id varchar(100),
    task_name varchar(255),
    changes text,
    user_name varchar(100),
    workspace varchar(100),
    event_data jsonb,
    event_id uuid NOT NULL,
    PRIMARY KEY ("timestamp", id)
);

PERFORM create_hypertable('todo_event_logs', by_range('timestamp', INTERVAL '1 day'));

-- The same event again has the same id and the same time.
CREATE UNIQUE INDEX idx_event_id ON todo_event_logs (event_id, "timestamp");
CREATE INDEX idx_event_type ON todo_event_logs (event_type, "timestamp" DESC);
CREATE INDEX idx_group_id ON todo_event_logs (group_id, "timestamp" DESC);
CREATE INDEX idx_task_id ON todo_event_logs (task_id, "timestamp" DESC);
CREATE INDEX idx_entity ON todo_event_logs (entity, entity_id, "timestamp" DESC);

ALTER TABLE todo_event_logs SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'group_id',
    timescaledb.compress_orderby = '"timestamp" DESC, id DESC'
);
PERFORM add_compression_policy('todo_event_logs', INTERVAL '7 days');
PERFORM add_retention_policy(
    'todo_event_logs',
    INTERVAL '2 years',
    initial_start => date_trunc('day', now()) + INTERVAL '1 day 2 hours'
);
