#!/usr/bin/env bash
# Creates the topics that are missing. BROKERS says where, REPLICATION how often each is kept.
set -euo pipefail
tool=/opt/kafka/bin/kafka-topics.sh
here="$(dirname "$0")"

# The brokers listen before they have agreed on a leader.
for attempt in $(seq 1 30); do
    if known="$("$tool" --bootstrap-server "$BROKERS" --list)"; then break; fi
    if [[ "$attempt" == 30 ]]; then exit 1; fi
    sleep 2
done

# Each is a Java program of its own; two at a time.
grep --invert-match '^#' "$here/topics" | while read -r name partitions days; do
    if ! grep --quiet --line-regexp --fixed-strings -- "$name" <<< "$known"; then
        echo "$name $partitions $((days * 24 * 60 * 60 * 1000))"
    fi
done | xargs --no-run-if-empty --max-lines=1 --max-procs=2 bash -c '
    exec "$0" --bootstrap-server "$BROKERS" --create --if-not-exists --topic "$1" --partitions "$2" \
        --replication-factor "$REPLICATION" --config "retention.ms=$3"' "$tool"
echo "all topics are there"
