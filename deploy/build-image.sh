#!/usr/bin/env bash
# Builds the image from the checkout. IMAGE names it; RUST_IMAGE and BASE_IMAGE are other bases than the Dockerfile's.
# Where the Dockerfile's cannot be had, look-alikes are made of Debian's packages, and this says so.
set -euo pipefail
cd "$(dirname "$0")/.."
image="${IMAGE:-ghcr.io/tidemark/tidemark:0.1.0}"
docker=docker
docker buildx version > /dev/null 2>&1 || docker=/usr/bin/docker
arguments=()
if [[ -z "${RUST_IMAGE:-}${BASE_IMAGE:-}" ]]; then
    while read -r base; do
        if ! "$docker" pull --quiet "$base" > /dev/null 2>&1; then
            echo "$base cannot be had: building on what deploy/stand-ins makes" >&2
            deploy/stand-ins/make.sh distroless toolchain
            RUST_IMAGE=rust:1.95.0-slim-bookworm BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot
            # Its certificates and its way out are the machine's.
            arguments+=(--network host)
            break
        fi
    done < <(sed -n 's/^ARG \(RUST\|BASE\)_IMAGE=//p' Dockerfile)
fi
if [[ -n "${RUST_IMAGE:-}" ]]; then arguments+=(--build-arg "RUST_IMAGE=$RUST_IMAGE"); fi
if [[ -n "${BASE_IMAGE:-}" ]]; then arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi
time="$(git log -1 --format=%ct)"
revision="$(git rev-parse HEAD)"
# A commit that does not have what is built here is not its source.
if ! deploy/is-built-from.sh "$revision"; then revision="$revision-changed"; fi
DOCKER_BUILDKIT=1 "$docker" build "${arguments[@]}" --tag "$image" \
    --build-arg "SOURCE_DATE_EPOCH=$time" \
    --build-arg "CREATED=$(date --utc --date "@$time" +%Y-%m-%dT%H:%M:%SZ)" \
    --build-arg "REVISION=$revision" \
    --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)" .
