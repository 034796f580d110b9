# shellcheck shell=bash
# The programs of the commit that upgrades start from and that benchmarks measure beside ours: from its sources, once.
# To be sourced after e2e/cluster/lib.sh, never run.

# Its chart let the operator create Jobs everywhere, and dropped what nobody had spoken about.
before=84e8f87
# shellcheck disable=SC2154 # lib.sh sets these
before_tree="$cache/before-$before"
before_programs="$before_tree/target/x86_64-unknown-linux-musl/release"

# as_before COMMAND…: with the functions of that commit's own scripts.
as_before() {
  # shellcheck disable=SC2016 # the inner shell's
  CARGO_TARGET_DIR="$before_tree/target" bash -euo pipefail -c '
    source "$1/e2e/cluster/release.sh"; source "$checkout/.cluster/env.sh"; shift; "$@"' as_before "$before_tree/source" "$@"
}

# before_is_had: its sources are here, or in this clone. To be asked before anything that takes minutes.
before_is_had() {
  # A file in it, for the folder alone says nothing: it may have been made for something else.
  [[ ! -f $before_tree/source/Cargo.toml ]] || return 0
  # shellcheck disable=SC2154 # lib.sh sets it
  git -C "$checkout" cat-file -e "$before^{commit}" 2>/dev/null ||
    fail "commit $before is not here, and the upgrade starts from it: in a shallow clone git fetch --unshallow brings it, and without git a clone does"
}

# before_source: its sources, in $before_tree/source: all of them or none. Errexit may be off here.
before_source() {
  [[ ! -f $before_tree/source/Cargo.toml ]] || return 0
  before_is_had &&
    rm -rf "$before_tree/source" "$before_tree/source.new" &&
    mkdir -p "$before_tree/source.new" &&
    git -C "$checkout" archive "$before" | tar -x -C "$before_tree/source.new" &&
    mv "$before_tree/source.new" "$before_tree/source"
}

# before_program PACKAGE…: its programs, in $before_programs. What they were built from is not kept.
before_program() {
  local package missing=0
  for package in "$@"; do [[ -x $before_programs/$package ]] || missing=1; done
  ((missing)) || return 0
  before_source || return
  for package in "$@"; do
    (cd "$before_tree/source" && CC_x86_64_unknown_linux_musl=gcc CARGO_TARGET_DIR="$before_tree/target" \
      cargo build --quiet --locked --release --target x86_64-unknown-linux-musl --package "$package") || return
  done
  find "$before_tree/target" -type f ! -path "$before_programs/db-operator" \
    ! -path "$before_programs/db-operator-driver-postgresql" -delete
}
