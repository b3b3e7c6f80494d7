#!/usr/bin/env bash
# Proposes that production runs the image that staging runs: a branch with the changed values, and a draft of a
# pull request. Works in a tree of its own. Needs `gh`, signed in by GH_TOKEN.
#
#   promote.sh IMAGE STAGING_VALUES PRODUCTION_VALUES REPOSITORY_URL
set -euo pipefail

image=$1 staging=$2 production=$3 repository=$4
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
base=$(git symbolic-ref --short HEAD)
if [[ -n ${GH_TOKEN:-} ]]; then gh auth setup-git; fi

text=$(mktemp)
tree=$(mktemp -d)
trap 'git worktree remove --force "$tree"; rm -rf "$tree" "$text"' EXIT
git fetch --quiet origin "$base"
git worktree add --quiet --detach "$tree" FETCH_HEAD
cd "$tree"

"$python" "$here/promotion.py" "$image" "$staging" "$production" --repository "$repository" > "$text"
digest=$("$python" "$here/image_digest.py" "$staging")
# One branch a digest: asking twice for the same promotion finds the first one.
branch="promote/${digest:7:12}"
if git ls-remote --exit-code --heads origin "$branch" > /dev/null; then
    echo "promote: $branch is there already"
    exit 0
fi
"$python" "$here/image_digest.py" "$production" "$digest"
git commit --quiet --message "Promote $image@${digest:0:19}" \
    --message "Production gets what staging runs; nothing is synced before a person does it." -- "$production"
git push --quiet origin "HEAD:refs/heads/$branch"
# A draft, because checks do not start for what a workflow opens: they start when a person marks it ready.
gh pr create --draft --base "$base" --head "$branch" --title "Promote $image@${digest:0:19}" --body-file "$text"
