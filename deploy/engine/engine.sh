#!/usr/bin/env bash
# A Docker Engine of our own for the checks, where the machine has the program but nothing runs it.
#
#   engine.sh start    use the engine that answers, else start one; prints what to export
#   engine.sh stop     stop the one that `start` started, and take away its bridges and rules
#   engine.sh status   usual, own or none: which one answers
#
# Only root can start one. Its images stay in the cache folder; its containers and networks are the caller's
# to remove before `stop`.
set -euo pipefail

cache="${TIDEMARK_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}"
home="$cache/engine"
socket="$home/docker.sock"
# Chosen so that they meet neither Docker's usual networks nor those of most offices.
bridge_address=10.88.1.1/24
pool=10.90.0.0/16

answers() { docker --host "$1" version --format '{{.Server.Version}}' > /dev/null 2>&1; }

status() {
    if answers "${DOCKER_HOST:-unix:///var/run/docker.sock}"; then
        echo usual
    elif answers "unix://$socket"; then
        echo own
    else
        echo none
    fi
}

start() {
    local usual="${DOCKER_HOST:-unix:///var/run/docker.sock}"
    if answers "$usual"; then
        echo "export DOCKER_HOST=$usual"
        return
    fi
    if ! answers "unix://$socket"; then
        command -v dockerd > /dev/null || {
            echo "no Docker Engine answers, and dockerd is missing (Debian: apt-get install docker.io)" >&2
            exit 1
        }
        mkdir -p "$home"
        ip -o link show type bridge > "$home/bridges-before"
        iptables-save > "$home/rules-before" 2> /dev/null || true
        cat /proc/sys/net/ipv4/ip_forward > "$home/forward-before"
        rm -f "$home/docker.pid"
        # In the background for good: it outlives this script and is ended by `stop`.
        nohup nice -n 10 dockerd --data-root "$home/data" --exec-root "$home/run" --host "unix://$socket" \
            --pidfile "$home/docker.pid" --oom-score-adjust 0 --bip "$bridge_address" \
            --default-address-pool "base=$pool,size=24" > "$home/log" 2>&1 < /dev/null &
        for _ in $(seq 1 100); do
            if answers "unix://$socket"; then break; fi
            sleep 0.2
        done
        answers "unix://$socket" || { tail -n 20 "$home/log" >&2; exit 1; }
    fi
    echo "export DOCKER_HOST=unix://$socket"
}

stop() {
    [[ -f "$home/docker.pid" ]] || return 0
    local pid
    pid="$(cat "$home/docker.pid")"
    kill "$pid" 2> /dev/null || true
    # A process that we did not start cannot be waited for.
    for _ in $(seq 1 150); do
        if ! kill -0 "$pid" 2> /dev/null; then break; fi
        sleep 0.2
    done
    umount "$home/run/netns/default" 2> /dev/null || true
    ip -o link show type bridge | while read -r _ name _; do
        name="${name%%[:@]*}"
        if ! grep -q " ${name}[:@]" "$home/bridges-before"; then ip link delete "$name" || true; fi
    done
    # A table that was not there before has nothing in its place: restoring alone would leave it.
    for table in nat filter; do
        if ! grep -q "^[*]$table" "$home/rules-before"; then
            iptables --table "$table" --policy "$([[ "$table" == nat ]] && echo PREROUTING || echo FORWARD)" ACCEPT
            iptables --table "$table" --flush
            iptables --table "$table" --delete-chain
        fi
    done
    iptables-restore < "$home/rules-before" 2> /dev/null || true
    cat "$home/forward-before" > /proc/sys/net/ipv4/ip_forward
    rm -f "$home/docker.pid" "$socket"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    status) status ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
