#!/bin/sh
# Registers the schemas of the ledger, so that tools can read it. The program has their ids built in: an event
# says which one it was written with.
set -eu
subject=todo-history-events-value

# Names are not always known at once, and the image's curl may be too old to try again by itself.
ask() {
    attempt=1
    until curl --fail --silent --show-error --header 'Content-Type: application/vnd.schemaregistry.v1+json' "$@"; do
        if [ "$attempt" -ge 10 ]; then return 1; fi
        attempt=$((attempt + 1))
        sleep 1
    done
}

for id in 1 2; do
    text="$(tr -d '\n' < "/schemas/todo-history-events.v$id.avsc" | sed 's/\\/\\\\/g; s/"/\\"/g')"
    answer="$(ask --data "{\"schema\":\"$text\"}" "$REGISTRY/subjects/$subject/versions")"
    echo "$subject: $answer"
    if [ "$answer" != "{\"id\":$id}" ]; then
        echo "version $id of the ledger's schema must have the id $id; give the registry an empty volume" >&2
        exit 1
    fi
    # Every reader must be able to read every writer: also the next version, and a reader that stayed behind.
    ask --request PUT --data '{"compatibility":"FULL_TRANSITIVE"}' "$REGISTRY/config/$subject"
done
