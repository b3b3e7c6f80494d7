#!/usr/bin/env bash
# Runs commands and writes down what they said: date, commit, versions, each command, its output, its result and
# its time. Paths of this machine are left out.
#
#   evidence.sh FILE TITLE COMMAND...
#
# Fails when a command fails, after having written it down.
set -uo pipefail

file=$1 title=$2
shift 2
mkdir -p "$(dirname "$file")"
failed=0
{
    echo "$title"
    echo
    echo "date     $(date --utc +%Y-%m-%dT%H:%MZ)"
    echo "commit   $(git rev-parse --short HEAD)"
    echo "system   $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), $(uname -m), $(nproc) processors"
    for command in "$@"; do
        echo
        echo "\$ $command"
        began=$SECONDS
        bash -c "$command" 2>&1
        result=$?
        echo "[exit $result after $((SECONDS - began)) s]"
        if ((result != 0)); then failed=1; fi
    done
} | sed --unbuffered -e "s#$PWD#.#g" -e "s#$HOME#~#g" -e 's/\x1b\[[0-9;]*m//g' | tee "$file.new"
if grep -q '^\[exit [1-9]' "$file.new"; then failed=1; fi
mv "$file.new" "$file"
exit "$failed"
