#!/usr/bin/env bash
# Everything that is generated and committed: CRDs, API reference, tables, the protocol, Jobs.
#
#   generate.sh          writes it
#   generate.sh check    fails if what is committed is something else
set -euo pipefail

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"
cd "$checkout"
"$here/prepare.sh" rust

# The golden tests compare what is committed with what is generated, or write it.
if [[ ${1:-} != check ]]; then export EXPECTORATE=overwrite; fi
cargo test --quiet -p db-operator-api --test crds --test reference --test lifecycle
# The operator's model reads the protocol, so it comes first.
cargo test --quiet -p db-operator-runtime --lib tests::protocol
cargo test --quiet -p db-operator --test table --test job
