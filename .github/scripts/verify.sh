#!/usr/bin/env bash
# Says whether an image was built, signed and described by this repository's pipeline of main. Needs cosign.
#
#   verify.sh IMAGE@DIGEST
#
# REPOSITORY is owner/name on GitHub.
set -euo pipefail

image=$1
if ! [[ $image =~ @sha256:[0-9a-f]{64}$ ]]; then
    echo "verify: '$image' is not an image by its digest" >&2
    exit 2
fi
# The identity is the workflow and its branch, not just anybody in the repository.
cosign verify "$image" \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com \
    --certificate-identity "https://github.com/${REPOSITORY:?owner/name}/.github/workflows/main.yml@refs/heads/main" \
    > /dev/null
echo "verified $image"
