#!/usr/bin/env bash
# The figures, each beside something comparable in the same cluster and the same run.
#
#   bench.sh [PART…]    default: all; a wrong part says which there are
set -euo pipefail

# shellcheck source=e2e/cluster/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/programs.sh"
cd "$checkout"

"$here/prepare.sh"
ensure_sets "${program_sets[@]}" s5cmd # s5cmd is what others upload with
SERVERS="postgresql-15 postgresql-17 postgresql-18 s3" "$here/up.sh"
"$here/release.sh"
source "$checkout/.cluster/env.sh"
step "building the benchmark" cargo build --quiet -p db-operator-e2e --bin bench
PATH=$(program_folder s5cmd):$PATH "$CARGO_TARGET_DIR/debug/bench" "$@"
