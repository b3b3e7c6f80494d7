#!/usr/bin/env bash
# Creates the topics that are missing. BROKERS says where, REPLICATION how often each is kept. The image's other
# programs may be BusyBox's: short options only.
set -euo pipefail
tool=/opt/kafka/bin/kafka-topics.sh
here="$(dirname "$0")"

# The brokers listen before they have agreed on a leader.
for attempt in $(seq 1 30); do
    if known="$("$tool" --bootstrap-server "$BROKERS" --list)"; then break; fi
    if [[ "$attempt" == 30 ]]; then exit 1; fi
    sleep 2
done

create() {
    "$tool" --bootstrap-server "$BROKERS" --create --if-not-exists --topic "$1" --partitions "$2" \
        --replication-factor "$REPLICATION" --config "retention.ms=$(($3 * 24 * 60 * 60 * 1000))"
}

# Each is a Java program of its own: two at a time.
running=()
finish() {
    local process
    for process in "${running[@]}"; do wait "$process"; done
    running=()
}
while read -r name partitions days; do
    if [[ "$name" == '#'* ]] || grep -qxF -- "$name" <<< "$known"; then continue; fi
    create "$name" "$partitions" "$days" &
    running+=("$!")
    if [[ ${#running[@]} -eq 2 ]]; then finish; fi
done < "$here/topics"
finish
echo "all topics are there"
