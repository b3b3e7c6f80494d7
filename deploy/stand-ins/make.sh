#!/usr/bin/env bash
# Makes the images that a machine without a container registry lacks, from Debian's packages, Maven's jars and
# the local stack's own parts, under the names that the compose file and the Dockerfile use. What already is
# there under a name is left alone. They are for checks on this machine and never shipped.
#
#   make.sh [NAME…]     distroless toolchain daprd redis kafka registry database rabbitmq edge prometheus
#                       alertmanager; all but the toolchain when none is named
#   make.sh name NAME   the name of the image that it stands in for
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${TIDEMARK_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}"
daprd=1.18.1
kafka=4.1.0
registry=2.6.13.Final

# The programs that Debian's own client of Docker has in it; newer clients want a plugin for the same.
docker=docker
docker buildx version > /dev/null 2>&1 || docker=/usr/bin/docker
export DOCKER_BUILDKIT=1

has() { "$docker" image inspect "$1" > /dev/null 2>&1; }

# What a compose file's service or a build argument is called there.
name_of() {
    case "$1" in
        base) echo debian:bookworm-slim ;;
        distroless) echo gcr.io/distroless/cc-debian12:nonroot ;;
        toolchain) echo rust:1.95.0-slim-bookworm ;;
        daprd) echo "daprio/daprd:$daprd" ;;
        redis) image redis ;;
        kafka) image kafka-1 ;;
        registry) image schema-registry ;;
        database) image timescaledb ;;
        rabbitmq) image rabbitmq ;;
        edge) image nginx ;;
        prometheus) image prometheus ;;
        alertmanager) image alertmanager ;;
        *) echo "unknown stand-in: $1" >&2; exit 2 ;;
    esac
}

# The image of a service, as the compose file has it: one place for each version.
image() {
    python3 - "$here/../../docker-compose.yml" "$1" <<'PYTHON'
import re, sys
service = None
for line in open(sys.argv[1], encoding="utf-8"):
    if match := re.match(r"  ([a-z0-9-]+):\s*$", line):
        service = match[1]
    if service == sys.argv[2] and (match := re.match(r"    image: (\S+)", line)):
        sys.exit(print(match[1]))
    # A service that continues another one's settings has its image there.
    if match := re.match(r"x-([a-z0-9-]+): ", line):
        service = match[1]
    if sys.argv[2].startswith("kafka") and service == "broker" and (match := re.match(r"  image: (\S+)", line)):
        sys.exit(print(match[1]))
sys.exit(f"no image of {sys.argv[2]}")
PYTHON
}

build() { "$docker" build --quiet --network host --label local.stand-in=true --tag "$(name_of "$1")" "$2" > /dev/null; }

base() {
    local folder
    folder="$(mktemp -d)"
    debootstrap --variant=minbase --include=ca-certificates bookworm "$folder" > "$folder.log" || { cat "$folder.log" >&2; exit 1; }
    rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/* "$folder.log"
    tar --create --directory "$folder" . | "$docker" import - debian:bookworm-slim > /dev/null
    rm -rf "$folder"
}

# Builds in a folder beside which the files of `$2…` were linked.
build_with() {
    local name="$1" folder
    shift
    folder="$(mktemp -d "$cache/.stand-in-XXXXXX")"
    cp -a "$here/$name/." "$folder/"
    "$@" "$folder"
    build "$name" "$folder"
    rm -rf "$folder"
}

add_toolchain() {
    local root
    root="$(rustc +1.95.0 --print sysroot)"
    mkdir "$1/toolchain"
    cp -aL "$root/bin" "$root/lib" "$1/toolchain/"
    cp /etc/ssl/certs/ca-certificates.crt "$1/"
}
add_daprd() { ln "$cache/parts/daprd-$daprd/daprd" "$1/daprd" 2> /dev/null || cp "$cache/parts/daprd-$daprd/daprd" "$1/"; }
add_kafka() { cp -a "$cache/parts/kafka-$kafka/libs" "$1/libs"; }
add_registry() {
    local archive="$cache/parts/apicurio-registry-$registry.tar.gz"
    if [[ ! -f "$archive" ]]; then
        mvn --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
            "-Dartifact=io.apicurio:apicurio-registry-app:$registry:tar.gz:all" "-DoutputDirectory=$1/download"
        mv "$1"/download/*.tar.gz "$archive"
        rmdir "$1/download"
    fi
    mkdir "$1/registry"
    tar --extract --gzip --file "$archive" --directory "$1/registry"
}

make_one() {
    if has "$(name_of "$1")"; then return; fi
    local started=$SECONDS
    case "$1" in
        base) base ;;
        toolchain | daprd | kafka | registry) build_with "$1" "add_$1" ;;
        *) build "$1" "$here/$1" ;;
    esac
    echo "made $(name_of "$1") in $((SECONDS - started)) s"
}

if [[ "${1:-}" == name ]]; then
    name_of "$2"
    exit
fi
make_one base
if [[ $# -eq 0 ]]; then
    set -- distroless daprd redis kafka registry database rabbitmq edge prometheus alertmanager
fi
for name in "$@"; do
    if [[ "$name" == daprd ]]; then make_one distroless; fi
    make_one "$name"
done
