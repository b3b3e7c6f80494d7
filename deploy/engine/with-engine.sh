#!/usr/bin/env bash
# Runs a command with a Docker Engine: the one that answers, or one of our own for as long as the command runs.
#
#   with-engine.sh COMMAND [ARGUMENT…]
set -euo pipefail
engine="$(dirname "$0")/engine.sh"
state="$("$engine" status)"
variables="$("$engine" start)"
eval "$variables"
if [[ "$state" == none ]]; then
    trap '"$engine" stop' EXIT
fi
"$@"
