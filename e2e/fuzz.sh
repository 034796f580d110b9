#!/usr/bin/env bash
# The operator against an API server that fails in every way, with new seeds for FUZZ_SECONDS; SEED repeats one.
set -euo pipefail

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"
cd "$checkout"
"$here/prepare.sh" rust
cargo test --quiet -p db-operator --test operate -- --ignored --nocapture new_seeds
