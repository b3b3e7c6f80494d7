#!/usr/bin/env bash
# Builds the image with buildx, from the commit that is checked out.
#
#   publish.sh load IMAGE   into the local engine as IMAGE, to be looked at before anybody else can get it
#   publish.sh push IMAGE   to the registry, with its bill of materials and the builder's provenance
#
# The second build finds everything of the first in the builder's cache. It says the digest; the tag is the
# commit, a way to find the digest later, and nothing deploys it.
set -euo pipefail

way=$1 image=$2
commit=$(git rev-parse HEAD)
epoch=$(git log -1 --format=%ct)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
arguments=(
    --platform linux/amd64
    --build-arg "VERSION=$version"
    --build-arg "REVISION=$commit"
    --build-arg "CREATED=$(date --utc --date "@$epoch" +%Y-%m-%dT%H:%M:%SZ)"
    --build-arg "SOURCE_DATE_EPOCH=$epoch"
)
if [[ -n ${SOURCE:-} ]]; then arguments+=(--build-arg "SOURCE=$SOURCE"); fi

case $way in
load)
    docker buildx build "${arguments[@]}" --tag "$image" --load .
    ;;
push)
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # Folders of a layer have the time of the build, unless they are given that of the commit.
    docker buildx build "${arguments[@]}" --sbom=true --provenance=mode=max \
        --tag "$image:$commit" --output type=image,push=true,rewrite-timestamp=true --metadata-file "$folder/metadata.json" .
    digest=$(sed -n 's/.*"containerimage.digest": *"\(sha256:[0-9a-f]\{64\}\)".*/\1/p' "$folder/metadata.json")
    if [[ -z $digest ]]; then
        echo "publish: the builder told no digest" >&2
        exit 1
    fi
    echo "published $image@$digest"
    if [[ -n ${GITHUB_OUTPUT:-} ]]; then echo "digest=$digest" >> "$GITHUB_OUTPUT"; fi
    ;;
*)
    echo "publish: load or push, not '$way'" >&2
    exit 2
    ;;
esac
