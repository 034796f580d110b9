#!/usr/bin/env bash
# The figures, beside bare Jobs in the same cluster and the same run.
set -euo pipefail

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"
cd "$checkout"

SERVERS=postgresql-17 "$here/up.sh"
"$here/release.sh"
source "$checkout/.cluster/env.sh"
step "building the benchmark" cargo build --quiet -p db-operator-e2e --bin bench
"$CARGO_TARGET_DIR/debug/bench"
