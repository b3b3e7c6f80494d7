#!/usr/bin/env bash
# Measures which lines of the product the tests reach: coverage.sh FOLDER
#
# Twice, apart: what unit and property tests reach inside the test processes, and what the acceptance suite reaches
# from outside, in the program that it runs on real parts in both topologies. A program writes its counts when it ends
# in order, so trials that kill it are left out, and what one that was killed had done is not counted.
#
# FOLDER gets units.lcov, acceptance.lcov, together.lcov, and a page of the latter in html/. COVERAGE_TOOL, LLVM_COV
# and LLVM_PROFDATA name the tools.
set -euo pipefail

folder=$1
mkdir -p "$folder"
product=(tidemark-domain tidemark-protocol tidemark)
# Packages that not every checkout has.
for package in pages api; do
    if [[ -f app/$package/Cargo.toml ]]; then product+=("tidemark-$package"); fi
done

# The words that make cargo build programs that count; one of them is CARGO_LLVM_COV.
eval "$("$COVERAGE_TOOL" llvm-cov show-env --sh)"
counts=$CARGO_TARGET_DIR
apart=$(mktemp -d "$CARGO_TARGET_DIR/.units-XXXXXX")
trap 'rm -rf "$apart"' EXIT
find "$counts" -maxdepth 1 -name '*.profraw' -delete

report() {
    "$COVERAGE_TOOL" llvm-cov report --ignore-filename-regex 'app/(acceptance|bench|stack)/' "$@"
}

cargo test "${product[@]/#/--package=}" --lib --bins --tests
report --lcov --output-path "$folder/units.lcov"
find "$counts" -maxdepth 1 -name '*.profraw' -exec mv --target-directory="$apart" {} +

cargo test --package tidemark-acceptance --test acceptance -- --skip kills:: "${@:2}"
report --lcov --output-path "$folder/acceptance.lcov"

mv "$apart"/*.profraw "$counts"
report --lcov --output-path "$folder/together.lcov"
report --html --output-dir "$folder"
