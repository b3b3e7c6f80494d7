#!/usr/bin/env bash
# Throws random and damaged bytes at everything that reads what strangers send, until the time is over.
#
#   fuzz.sh SECONDS PACKAGE...
#
# These are the property tests whose names hold `read_or_refused`. `cargo test` tries 256 cases of each; here the
# same tests run with PROPTEST_CASES new ones, round after round. A coverage-guided fuzzer would find more, but needs
# a nightly compiler. A failure prints the smallest input that still fails, which belongs into an ordinary test.
set -euo pipefail

seconds=$1
shift
packages=("${@/#/--package=}")
export PROPTEST_CASES=${PROPTEST_CASES:-20000}

for package in "${packages[@]}"; do
    found=$(cargo test --quiet "$package" --tests -- --list read_or_refused | grep --count ': test$' || true)
    if ((found == 0)); then
        echo "fuzz: ${package#--package=} has no test whose name holds read_or_refused" >&2
        exit 1
    fi
    echo "fuzz: ${package#--package=}, $found tests"
done

end=$((SECONDS + seconds)) rounds=0
while ((SECONDS < end)); do
    cargo test --quiet "${packages[@]}" --tests -- read_or_refused
    ((++rounds))
done
echo "fuzz: $rounds rounds of $PROPTEST_CASES cases a test in $seconds s, nothing found"
