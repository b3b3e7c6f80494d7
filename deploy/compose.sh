#!/usr/bin/env bash
# The containers of docker-compose.yml, for `make dev-up MODE=docker` and its companions.
#
#   compose.sh can-run            whether an engine answers and can have the images; says why not
#   compose.sh up                 first-time settings, the image, everything up and healthy, schema, demo data
#   compose.sh down | reset       stop; reset removes all data, too
#   compose.sh status | logs [SERVICE…] | restart [SERVICE…]
#
# COMPOSE_PROFILES adds profiles: observability, elk, tools.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${TIDEMARK_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}/tools"
version=$(sed -n 's/^COMPOSE_MODULE := .*@v//p' deploy/deploy.mk)
roles=(accounts tasks history notifications gateway)

if docker compose version > /dev/null 2>&1; then
    program=(docker compose)
elif [[ -x "$tools/docker-compose-$version" ]]; then
    program=("$tools/docker-compose-$version")
else
    program=()
fi
compose() { "${program[@]}" --env-file .env.local "$@"; }
# The environment's word, then that of .env.local.
setting() { echo "${!1:-$(sed -n "s/^$1=//p" .env.local | tail -n 1)}"; }
image() { compose config | sed -n '/^  tasks:$/,/^  [a-z]/ s/^    image: //p'; }
has() { docker image inspect "$1" > /dev/null 2>&1; }

# From the Dockerfile, unless settings say otherwise.
base_images() {
    local name own
    for name in RUST_IMAGE BASE_IMAGE; do
        own="$(setting "$name")"
        echo "${own:-$(sed -n "s/^ARG $name=//p" Dockerfile)}"
    done
}

build() { IMAGE="$(image)" RUST_IMAGE="$(setting RUST_IMAGE)" BASE_IMAGE="$(setting BASE_IMAGE)" make image; }

can_run() {
    if ! docker version --format '{{.Server.Version}}' > /dev/null 2>&1; then
        echo "no Docker Engine answers" >&2
        return 1
    fi
    if [[ ${#program[@]} -eq 0 ]]; then
        echo "docker compose is missing" >&2
        return 1
    fi
    deploy/first-start.sh
    # Gigabytes the first time: it says how far it is, and why it fails.
    if ! compose pull --ignore-buildable --policy missing >&2; then
        echo "the images cannot be had" >&2
        return 1
    fi
    if ! has "$(image)"; then
        base_images | while read -r base; do
            has "$base" || docker pull "$base" >&2 || { echo "$base cannot be had" >&2; exit 1; }
        done
    fi
}

up() {
    deploy/first-start.sh
    if ! has "$(image)"; then build; fi
    compose up --detach --wait --no-build
    # One by one: an attached `up` ends well whatever becomes of its containers.
    local job
    for job in schemas seed; do compose run --rm --no-deps "$job"; done
    echo
    echo "Tidemark is running in containers: $(address)/api. docker-compose.yml has the other addresses;"
    echo "make dev-status, dev-logs, dev-restart and dev-down work as they do natively."
}

address() { echo "http://localhost:$(compose port nginx 3001 | sed 's/.*://')"; }

command="${1:-}"
[[ $# -gt 0 ]] && shift
case "$command" in
    can-run) can_run ;;
    up) up ;;
    down) compose --profile '*' down ;;
    reset) compose --profile '*' down --volumes ;;
    status) compose ps --all ;;
    logs) compose logs --follow --tail 20 "$@" ;;
    restart)
        if [[ $# -eq 0 ]]; then
            build
            compose up --detach --wait --no-build --force-recreate "${roles[@]}" "${roles[@]/%/-sidecar}" nginx
        else
            compose restart "$@"
        fi
        ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
