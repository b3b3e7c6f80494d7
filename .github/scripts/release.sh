#!/usr/bin/env bash
# Releases a version. Nothing is built again: the image that was built from the tagged commit gets its version
# as a tag, the charts are pushed, the notes are published.
#
#   release.sh IMAGE TAG REPOSITORY CHART...
#
# REPOSITORY is owner/name on GitHub. Needs docker (buildx), helm (HELM), cosign and gh, signed in.
set -euo pipefail

image=$1 tag=$2 repository=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
version=${tag#v}
commit=$(git rev-parse "refs/tags/$tag^{commit}")
charts="oci://${image%/*}/charts"
helm=${HELM:-helm}

stated=$(git show "$commit:Cargo.toml" | sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p')
if [[ $stated != "$version" ]]; then
    echo "release: the tag says $version, Cargo.toml says $stated" >&2
    exit 1
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

digest=$(docker buildx imagetools inspect "$image:$commit" --format '{{.Manifest.Digest}}')
REPOSITORY=$repository "$here/verify.sh" "$image@$digest"
docker buildx imagetools create --tag "$image:$version" "$image@$digest"

for chart in "$@"; do
    name=$(sed -n 's/^name: *//p' "$chart/Chart.yaml")
    number=$(sed -n 's/^version: *//p' "$chart/Chart.yaml")
    # A chart has a version of its own; one that is there already did not change.
    if "$helm" show chart "$charts/$name" --version "$number" > /dev/null 2>&1; then
        echo "release: chart $name $number is there already"
        continue
    fi
    "$helm" package --dependency-update --destination "$folder" "$chart"
    pushed=$("$helm" push "$folder/$name-$number.tgz" "$charts" 2>&1 | sed -n 's/^Digest: *//p')
    cosign sign --yes "${charts#oci://}/$name@$pushed"
    echo "release: chart $name $number is $pushed"
done

previous=$(git describe --tags --abbrev=0 "$commit^" 2> /dev/null || true)
{
    printf "Image: %s@%s\n\n" "$image" "$digest"
    "${PYTHON:-python3}" "$here/changelog.py" "$previous" "$commit" --repository "https://github.com/$repository"
} > "$folder/notes.md"
gh release create "$tag" --verify-tag --title "Tidemark $version" --notes-file "$folder/notes.md"
