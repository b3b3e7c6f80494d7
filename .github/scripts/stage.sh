#!/usr/bin/env bash
# Commits an image's digest into a chart's values and pushes it. Works in a tree of its own, so that nothing in
# the checkout is touched. With GH_TOKEN, `gh` signs Git in.
#
#   stage.sh VALUES IMAGE DIGEST COMMIT
#
# COMMIT is what the image was built from. Where somebody pushed in between, the change is made again on top of
# theirs: it is one line that nobody else writes, so there is nothing to merge. PUSH_ATTEMPTS bounds that.
set -euo pipefail

values=$1 image=$2 digest=$3 commit=$4
here=$(cd "$(dirname "$0")" && pwd)
branch=$(git symbolic-ref --short HEAD)
attempts=${PUSH_ATTEMPTS:-5}

if ! [[ $commit =~ ^[0-9a-f]{40}$ ]]; then
    echo "stage: '$commit' is not the id of a commit" >&2
    exit 2
fi
if [[ -n ${GH_TOKEN:-} ]]; then gh auth setup-git; fi

tree=$(mktemp -d)
trap 'git worktree remove --force "$tree"; rm -rf "$tree"' EXIT
git worktree add --quiet --detach "$tree" HEAD
cd "$tree"

for ((attempt = 1; attempt <= attempts; attempt++)); do
    git fetch --quiet origin "$branch"
    git reset --quiet --hard FETCH_HEAD

    # A later run may have been faster: an older image must not replace a newer one.
    staged=$(git log -1 --format='%(trailers:key=Built-from,valueonly)' --grep='^Built-from: ' -- "$values" | head -n 1)
    if [[ -n $staged && $staged != "$commit" ]] && git merge-base --is-ancestor "$commit" "$staged" 2> /dev/null; then
        echo "stage: a newer image, built from $staged, is there already"
        exit 0
    fi

    "${PYTHON:-python3}" "$here/image_digest.py" "$values" "$digest"
    if git diff --quiet -- "$values"; then
        echo "stage: $values has $digest already"
        exit 0
    fi
    git commit --quiet --message "Stage $image@${digest:0:19}" \
        --message "What the pipeline built, scanned and signed." \
        --message "Built-from: $commit" -- "$values"
    if git push --quiet origin "HEAD:refs/heads/$branch"; then
        pushed=$(git rev-parse HEAD)
        echo "stage: pushed $pushed"
        if [[ -n ${GITHUB_OUTPUT:-} ]]; then echo "commit=$pushed" >> "$GITHUB_OUTPUT"; fi
        exit 0
    fi
    echo "stage: not pushed (attempt $attempt of $attempts)" >&2
done
exit 1
