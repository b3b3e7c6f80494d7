#!/bin/sh
# Registers the schema of the ledger, so that tools can read it. The program has its id built in: events say 1.
set -eu
file=/schemas/todo-history-events.v1.avsc
text="$(tr -d '\n' < "$file" | sed 's/\\/\\\\/g; s/"/\\"/g')"

# Names are not always known at once, and the image's curl may be too old to try again by itself.
ask() {
    attempt=1
    until curl --fail --silent --show-error --header 'Content-Type: application/vnd.schemaregistry.v1+json' "$@"; do
        if [ "$attempt" -ge 10 ]; then return 1; fi
        attempt=$((attempt + 1))
        sleep 1
    done
}

answer="$(ask --data "{\"schema\":\"$text\"}" "$REGISTRY/subjects/todo-history-events-value/versions")"
echo "todo-history-events-value: $answer"
case "$answer" in
    '{"id":1}') ;;
    *) echo "the schema of the ledger must have the id 1; give the registry an empty volume" >&2; exit 1 ;;
esac
# What can read the new must be able to read the old.
ask --request PUT --data '{"compatibility":"BACKWARD_TRANSITIVE"}' "$REGISTRY/config/todo-history-events-value"
