#!/usr/bin/env bash
# Runs a command once the images that it needs are there: the application's, built anew when it is not of this
# checkout, unless IMAGE names another one; and those of the named stand-ins, which are pulled where a registry can be
# reached and made where none can.
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
built_from() {
    docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$1" 2> /dev/null
}
if ! revision="$(built_from "${IMAGE:-ghcr.io/tidemark/tidemark:0.1.0}")" ||
    { [[ -z "${IMAGE:-}" ]] && ! "$here/../is-built-from.sh" "$revision"; }; then
    "$here/../build-image.sh"
fi
for name in "${wanted[@]}"; do
    image="$("$here/../stand-ins/make.sh" name "$name")"
    docker image inspect "$image" > /dev/null 2>&1 || docker pull --quiet "$image" > /dev/null 2>&1 ||
        "$here/../stand-ins/make.sh" "$name"
done
exec "$@"
