#!/usr/bin/env bash
# The figures, each beside something comparable in the same cluster and the same run.
#
#   bench.sh [PART…]    default: all; a wrong part says which there are
set -euo pipefail

# shellcheck source=e2e/cluster/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/programs.sh"
# shellcheck source=e2e/before.sh
source "$checkout/e2e/before.sh"
cd "$checkout"

"$here/prepare.sh"
parts=" ${*:-all} "
steps=2
seconds_of_a_part=360
measured=$(($# > 0 ? $# : 5))
with_scale="" with_cluster=""
if [[ $parts == *" all "* || $parts == *" scale "* ]]; then with_scale=yes; ((steps += 2)); fi
if [[ $parts != " scale " ]]; then with_cluster=yes; ((steps += 2)); fi

if [[ -n $with_scale ]]; then
  ensure_sets etcd kube helm
  ETCD="$(program_folder etcd)/etcd" KUBE_APISERVER="$(program_folder kube)/kube-apiserver"
  OPERATOR="$CARGO_TARGET_DIR/x86_64-unknown-linux-musl/release/db-operator"
  export ETCD KUBE_APISERVER OPERATOR
  PATH="$(program_folder kube):$(program_folder helm):$PATH"
  numbered "building the operator" 240 env CC_x86_64_unknown_linux_musl=gcc cargo build --quiet --locked --release \
    --target x86_64-unknown-linux-musl --package db-operator
  # It had no World and no queue.
  if numbered "building the operator of $before, once" 240 before_program db-operator; then
    export OPERATOR_BEFORE=$before_programs/db-operator
  else
    note "ours is measured alone"
  fi
fi
if [[ -n $with_cluster ]]; then
  ensure_sets "${program_sets[@]}" s5cmd # s5cmd is what others upload with
  numbered "bringing up a cluster" 30 env SERVERS="postgresql-15 postgresql-17 postgresql-18 s3" "$here/up.sh"
  numbered "installing our release in it" 60 "$here/release.sh"
  source "$checkout/.cluster/env.sh"
  PATH="$(program_folder s5cmd):$PATH"
fi
export PATH
numbered "building the benchmark" 60 cargo build --quiet -p db-operator-e2e --bin bench
numbered "measuring ${*:-all parts}" $((measured * seconds_of_a_part)) "$CARGO_TARGET_DIR/debug/bench" "$@"
