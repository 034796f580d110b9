#!/usr/bin/env bash
# Builds the programs of the cluster from pinned Go modules into the cache.
#
#   programs.sh [SET…]    default: all; a set is a folder under pins/
#
# A set's place in the cache is named by its pins and the way it is built, so what
# a changed pin names is built, and everything else is found ready.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

program_sets=(etcd runc cni containerd kube coredns helm)

# How a set is built beyond `go build tool`: environment and flags, one a line.
build_flags() {
  case $1 in
    kube)
      # Without a version the components refuse to talk to each other.
      local version package flags="-s -w"
      version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' "$here/pins/kube/go.mod")
      local minor=${version#v1.}
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
      done
      printf '%s\n' CGO_ENABLED=0 "-ldflags=$flags"
      ;;
    # Without seccomp every pod with a seccomp profile fails.
    runc) printf '%s\n' CGO_ENABLED=1 -tags=seccomp '-ldflags=-s -w' ;;
    *) printf '%s\n' CGO_ENABLED=0 '-ldflags=-s -w' ;;
  esac
}

# program_folder SET: where the set's programs are, or will be.
program_folder() {
  local key
  key=$({
    cat "$here/pins/$1/go.mod" "$here/pins/$1/go.sum"
    build_flags "$1"
    go env GOVERSION
  } | sha256sum | cut -c1-12)
  printf '%s/programs/%s-%s\n' "$cache" "$1" "$key"
}

# usual_seconds SET: on two idle cores, with nothing in Go's caches.
usual_seconds() {
  case $1 in
    kube) echo 215 ;;
    coredns | helm) echo 65 ;;
    containerd | versitygw | s5cmd) echo 35 ;;
    *) echo 10 ;;
  esac
}

go_build() (cd "$here/pins/$1" && shift && exec env "$@")

build_set() {
  local set=$1 folder=$2 building environment flags
  [[ -d $folder ]] && return # another run built it while we waited for the lock
  building=$(mktemp -d "$cache/programs/.$set.XXXXXX")
  mapfile -t flags < <(build_flags "$set")
  environment=${flags[0]}
  # Each line of its output is a package that it fetched or compiled.
  quietly "$set" "$(usual_seconds "$set")" \
    go_build "$set" "$environment" go build -v -trimpath "${flags[@]:1}" -o "$building/" tool
  # go names the program after its folder
  if [[ $set == etcd ]]; then mv "$building/server" "$building/etcd"; fi
  chmod 755 "$building"
  mv -T "$building" "$folder" # whole or not at all
}

# ensure_set SET [COUNT]: COUNT, such as "2 of 7", goes into what a person reads.
ensure_set() {
  local folder
  folder=$(program_folder "$1")
  [[ -d $folder ]] && return
  mkdir -p "$cache/programs"
  step "building $1 from its pinned modules${2:+ ($2)}" exclusively "programs-$1" build_set "$1" "$folder"
}

# ensure_sets SET…: says before the first one how many are to be built, and how long that takes.
ensure_sets() {
  local set seconds=0 missing=() number=0
  for set in "$@"; do
    [[ -d $(program_folder "$set") ]] && continue
    missing+=("$set")
    ((seconds += $(usual_seconds "$set")))
  done
  ((${#missing[@]} > 0)) || return 0
  say "programs to build, once: ${missing[*]} ($(about "$seconds"))"
  for set in "${missing[@]}"; do
    ensure_set "$set" "$((++number)) of ${#missing[@]}"
  done
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  if (($# == 0)); then set -- "${program_sets[@]}"; fi
  ensure_sets "$@"
fi
