#!/usr/bin/env bash
# Whether what the image is built from is, in the checkout, as it was in a commit.
#
#   is-built-from.sh COMMIT
set -euo pipefail
cd "$(dirname "$0")/.."
# What .dockerignore lets in, and the recipe itself.
sources=(Dockerfile .dockerignore Cargo.toml Cargo.lock rust-toolchain.toml app ':!app/cluster' ':!app/edge')
git diff --quiet "$1" -- "${sources[@]}" 2> /dev/null || exit 1
[[ -z "$(git ls-files --others --exclude-standard -- "${sources[@]}")" ]]
