#!/usr/bin/env bash
# Runs once, on an empty data folder: the application's role, which owns the history's database, and one that
# only looks at the server's statistics.
set -euo pipefail
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=application="$(cat /run/secrets/postgres-password)" \
    --set=monitor="$(cat /run/secrets/postgres-monitor-password)" <<'SQL'
CREATE ROLE tidemark LOGIN PASSWORD :'application';
ALTER DATABASE todo_history OWNER TO tidemark;
GRANT ALL ON SCHEMA public TO tidemark;
CREATE ROLE monitor LOGIN PASSWORD :'monitor';
GRANT pg_monitor TO monitor;
SQL
