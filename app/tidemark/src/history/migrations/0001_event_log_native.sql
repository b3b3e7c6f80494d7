-- The event log on plain PostgreSQL: one partition a month, made when the first event of it arrives.
CREATE TABLE todo_event_logs (
    id bigint NOT NULL,
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
) PARTITION BY RANGE ("timestamp");

-- Before PostgreSQL 17 a partitioned table cannot have an identity column.
CREATE SEQUENCE todo_event_logs_id_seq OWNED BY todo_event_logs.id;
ALTER TABLE todo_event_logs ALTER COLUMN id SET DEFAULT nextval('todo_event_logs_id_seq');

-- The same event again has the same id and the same time.
CREATE UNIQUE INDEX idx_event_id ON todo_event_logs (event_id, "timestamp");
CREATE INDEX idx_event_type ON todo_event_logs (event_type, "timestamp" DESC);
CREATE INDEX idx_group_id ON todo_event_logs (group_id, "timestamp" DESC);
CREATE INDEX idx_task_id ON todo_event_logs (task_id, "timestamp" DESC);
CREATE INDEX idx_entity ON todo_event_logs (entity, entity_id, "timestamp" DESC);

CREATE FUNCTION ensure_event_log_partition(month timestamptz) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    first_day timestamp := date_trunc('month', month AT TIME ZONE 'UTC');
    name text := 'todo_event_logs_' || to_char(first_day, 'YYYYMM');
BEGIN
    IF to_regclass(name) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF todo_event_logs FOR VALUES FROM (%L) TO (%L)',
            name,
            first_day AT TIME ZONE 'UTC',
            (first_day + INTERVAL '1 month') AT TIME ZONE 'UTC'
        );
    END IF;
END
$function$;

-- Drops the months that ended before the retention began. The name of a partition tells its month.
CREATE FUNCTION drop_expired_event_logs(retention interval) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT child.relname
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'todo_event_logs'::regclass
          AND to_date(right(child.relname, 6), 'YYYYMM') + INTERVAL '1 month' < now() - retention
    LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END
$function$;
