#!/usr/bin/env bash
# Runs a command once the images that it needs are there: the application's, and those of the named stand-ins, which
# are pulled where a registry can be reached and made where none can.
#
#   with-images.sh STAND-IN… -- COMMAND [ARGUMENT…]
set -euo pipefail
here="$(dirname "$0")"
wanted=()
while [[ "$1" != -- ]]; do
    wanted+=("$1")
    shift
done
shift
export PYTHONDONTWRITEBYTECODE=1
if ! docker image inspect "${IMAGE:-ghcr.io/tidemark/tidemark:0.1.0}" > /dev/null 2>&1; then
    "$here/../build-image.sh"
fi
for name in "${wanted[@]}"; do
    image="$("$here/../stand-ins/make.sh" name "$name")"
    docker image inspect "$image" > /dev/null 2>&1 || docker pull --quiet "$image" > /dev/null 2>&1 ||
        "$here/../stand-ins/make.sh" "$name"
done
exec "$@"
