#!/usr/bin/env bash
# The figures, each beside something comparable in the same cluster and the same run.
#
#   bench.sh [PART…]    default: all; a wrong part says which there are
set -euo pipefail

# shellcheck source=e2e/cluster/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/programs.sh"
cd "$checkout"

"$here/prepare.sh"
parts=" ${*:-all} "

# The operator of the commit before it had one World and one queue, to measure beside ours.
before=84e8f87
build_before() {
  local tree="$cache/before-$before"
  if [[ ! -x $tree/db-operator ]]; then
    git -C "$checkout" cat-file -e "$before^{commit}" 2>/dev/null || {
      note "commit $before is not in this clone: ours is measured alone"
      return 1
    }
    rm -rf "$tree" && mkdir -p "$tree/source"
    git -C "$checkout" archive "$before" | tar -x -C "$tree/source"
    (cd "$tree/source" && CC_x86_64_unknown_linux_musl=gcc CARGO_TARGET_DIR="$tree/target" cargo build --quiet --locked \
      --release --target x86_64-unknown-linux-musl --package db-operator) || return 1
    cp "$tree/target/x86_64-unknown-linux-musl/release/db-operator" "$tree/db-operator"
    rm -rf "$tree/source" "$tree/target"
  fi
  export OPERATOR_BEFORE=$tree/db-operator
}

if [[ $parts == *" all "* || $parts == *" scale "* ]]; then
  ensure_sets etcd kube helm
  ETCD="$(program_folder etcd)/etcd" KUBE_APISERVER="$(program_folder kube)/kube-apiserver"
  OPERATOR="$CARGO_TARGET_DIR/x86_64-unknown-linux-musl/release/db-operator"
  export ETCD KUBE_APISERVER OPERATOR
  PATH="$(program_folder kube):$(program_folder helm):$PATH"
  step "building the operator" env CC_x86_64_unknown_linux_musl=gcc cargo build --quiet --locked --release \
    --target x86_64-unknown-linux-musl --package db-operator
  step "building the operator of $before ($(about 240) the first time)" build_before || true
fi
if [[ $parts != " scale " ]]; then
  ensure_sets "${program_sets[@]}" s5cmd # s5cmd is what others upload with
  SERVERS="postgresql-15 postgresql-17 postgresql-18 s3" "$here/up.sh"
  "$here/release.sh"
  source "$checkout/.cluster/env.sh"
  PATH="$(program_folder s5cmd):$PATH"
fi
export PATH
step "building the benchmark" cargo build --quiet -p db-operator-e2e --bin bench
"$CARGO_TARGET_DIR/debug/bench" "$@"
