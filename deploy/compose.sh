#!/usr/bin/env bash
# The containers of docker-compose.yml, for `make dev-up MODE=docker` and its companions.
#
#   compose.sh can-run            whether an engine answers and can have the images; says why not
#   compose.sh up                 first-time settings, the image, everything up and healthy, demo data
#   compose.sh down | reset       stop; reset removes all data, too
#   compose.sh status | logs [SERVICE…] | restart [SERVICE…]
#
# COMPOSE_PROFILES adds profiles: observability, elk, tools.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${TIDEMARK_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}/tools"
version=$(sed -n 's/^COMPOSE_MODULE := .*@v//p' deploy/deploy.mk)
jobs='topics|schemas|seed|load|elk-setup'
roles=(accounts tasks history notifications gateway)

if docker compose version > /dev/null 2>&1; then
    program=(docker compose)
elif [[ -x "$tools/docker-compose-$version" ]]; then
    program=("$tools/docker-compose-$version")
else
    program=()
fi
compose() { "${program[@]}" --env-file .env.local "$@"; }
image() { compose config --images tasks | grep --max-count=1 tidemark; }
has() { docker image inspect "$1" > /dev/null 2>&1; }

# From the Dockerfile, unless the environment says otherwise.
base_images() { sed -n 's/^ARG \(RUST\|BASE\)_IMAGE=//p' Dockerfile; }

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
    if ! compose pull --quiet --ignore-buildable --policy missing > /dev/null 2>&1; then
        echo "the images cannot be had" >&2
        return 1
    fi
    if ! has "$(image)"; then
        local base
        for base in "${RUST_IMAGE:-}" "${BASE_IMAGE:-}"; do
            if [[ -n "$base" ]] && ! has "$base"; then docker pull --quiet "$base" > /dev/null || return 1; fi
        done
        if [[ -z "${RUST_IMAGE:-}${BASE_IMAGE:-}" ]]; then
            base_images | while read -r base; do
                docker pull --quiet "$base" > /dev/null 2>&1 || { echo "$base cannot be had" >&2; exit 1; }
            done
        fi
    fi
}

up() {
    deploy/first-start.sh
    if ! has "$(image)"; then make image; fi
    local services
    mapfile -t services < <(compose config --services | grep --extended-regexp --invert-match --line-regexp "$jobs")
    compose up --detach --wait --no-build "${services[@]}"
    mapfile -t services < <(compose config --services | grep --extended-regexp --line-regexp 'schemas|seed|elk-setup')
    compose up --no-build --no-deps --no-log-prefix "${services[@]}"
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
            make image
            compose up --detach --wait --no-build --force-recreate "${roles[@]}" "${roles[@]/%/-sidecar}" nginx
        else
            compose restart "$@"
        fi
        ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
