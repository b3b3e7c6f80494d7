#!/usr/bin/env bash
# Judges the units: every directive is known and well formed, and little of the machine is open to them.
# Needs systemd 250 or newer on the machine, running or not.
set -euo pipefail

cd "$(dirname "$0")"
if ! command -v systemd-analyze > /dev/null; then
    echo "systemd units: not checked, for this machine has no systemd-analyze"
    exit 0
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# The programs are not installed here: stand-ins in a root of their own, so that only the units are judged.
mkdir -p "$root/etc/systemd/system" "$root/usr/local/bin"
for program in tidemark daprd; do
    install --mode=0755 /dev/null "$root/usr/local/bin/$program"
done
cp ./*.service "$root/etc/systemd/system/"
for target in network-online multi-user sysinit basic shutdown; do
    printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$target" > "$root/etc/systemd/system/$target.target"
done

judged=0
for unit in *.service; do
    # It complains on standard error and, in some versions, still succeeds.
    said=$(systemd-analyze verify --man=no --recursive-errors=yes --root="$root" "$unit" 2>&1) || said="$said (refused)"
    if [[ -n $said ]]; then
        echo "$unit: $said" >&2
        exit 1
    fi
    # Tenths, from 0 (closed) to 100 (open). Network access that a service exists for is counted too.
    systemd-analyze security --offline=true --threshold=20 --no-pager "$root/etc/systemd/system/$unit" > "$root/report" || {
        cat "$root/report" >&2
        exit 1
    }
    exposure=$(sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p' "$root/report")
    echo "$unit: well formed, exposure ${exposure:?no level in the report} of 10"
    judged=$((judged + 1))
done
((judged == 2))
