#!/usr/bin/env bash
# What the machine itself must have, before anything that takes minutes: Go, Rust
# with the target of our images, crates, Debian packages. Installs what is missing, and
# names at once what it cannot install.
#
#   prepare.sh         all of it
#   prepare.sh rust    Rust alone, for what starts no cluster and makes no image
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(
  buildah mmdebstrap                   # images
  gcc libc6-dev libseccomp-dev pkg-config # runc, pause, the musl target's linker
  iptables iproute2 conntrack kmod     # kube-proxy, the bridge
  curl jq openssl procps util-linux uidmap ca-certificates
  zstd postgresql-client               # docs/restore-by-hand.md
  shellcheck yq                        # make check, charts/test.sh
)

# What a first run of everything fills, and what it cannot begin without, in GiB.
disk_wanted=25
disk_needed=8

# refuse PROBLEM WHAT-TO-DO: collected, so that one run names all that is missing.
problems=()
refuse() { problems+=("$1: $2"); }

check_machine() {
  [[ $(uname -sm) == "Linux x86_64" ]] ||
    refuse "this machine is $(uname -sm)" "the cluster and the images are made for Linux on x86_64 only"
  ((EUID == 0)) || refuse "not root" "run make as root: a kubelet, a bridge and mounts need it"
  command -v apt-get >/dev/null || refuse "apt-get is missing" "use Debian 12 or later"
  check_disk
}

check_disk() {
  local free
  free=$(($(df --output=avail --block-size=1M "$cache" | tail -n 1) / 1024))
  if ((free < disk_needed)); then
    refuse "$cache has $free GiB free" "make room, or set DB_OPERATOR_CACHE to a place with $disk_wanted GiB"
  elif ((free < disk_wanted)) && [[ ! -d $cache/programs ]]; then
    note "$cache has $free GiB free; a first run of everything takes up to $disk_wanted"
  fi
}

# Go fetches no newer toolchain where the machine forbids it, so its version is compared here.
check_go() {
  local needed found
  needed=$(awk '$1 == "go" {print $2}' "$here"/pins/*/go.mod | sort -V | tail -n 1)
  if ! command -v go >/dev/null; then
    refuse "go is not installed" "install Go $needed or later from https://go.dev/dl"
    return
  fi
  found=$(go env GOVERSION)
  found=${found#go}
  [[ $(printf '%s\n' "$needed" "$found" | sort -V | head -n 1) == "$needed" ]] ||
    refuse "go is $found" "install Go $needed or later from https://go.dev/dl"
}

# rust-toolchain.toml names toolchain, components and target, but installs none of
# them where RUSTUP_AUTO_INSTALL=0, nor a target into a toolchain that is there.
rust_setting() { awk -F'"' -v key="$1" '$1 ~ "^"key" *=" {for (i = 2; i < NF; i += 2) print $i}' "$checkout/rust-toolchain.toml"; }

prepare_rust() {
  local toolchain missing=()
  toolchain=$(rust_setting channel)
  if ! command -v rustup >/dev/null; then
    refuse "rustup is not installed" "install it from https://rustup.rs; it brings Rust $toolchain and the target of our images"
    return
  fi
  rust_is_complete "$toolchain" && return
  mapfile -t missing < <(rust_setting components; rust_setting targets)
  step "installing Rust $toolchain with ${missing[*]}" quietly rust 20 install_rust "$toolchain" ||
    refuse "rustup cannot install Rust $toolchain for $(rust_setting targets | xargs)" \
      "run: rustup toolchain install $toolchain && rustup target add --toolchain $toolchain $(rust_setting targets | xargs)"
}

rust_is_complete() {
  local toolchain=$1 installed wanted
  # A command of this toolchain would be refused where it is not there at all.
  rustup toolchain list 2>/dev/null | grep -q "^$toolchain" || return 1
  installed=$(rustup target list --toolchain "$toolchain" --installed; rustup component list --toolchain "$toolchain" --installed)
  while read -r wanted; do
    grep -qE "^$wanted(-|$)" <<<"$installed" || return 1
  done < <(rust_setting components; rust_setting targets)
}

install_rust() {
  local components targets
  mapfile -t components < <(rust_setting components)
  mapfile -t targets < <(rust_setting targets)
  { rustup toolchain list | grep -q "^$1" || rustup toolchain install "$1" --profile minimal --no-self-update; } &&
    rustup component add --toolchain "$1" "${components[@]}" &&
    rustup target add --toolchain "$1" "${targets[@]}"
}

# What Cargo.lock names for this machine and for our images, all of it: nothing later needs the network, and a test that
# asks for the dependencies of another package than its own finds them.
prepare_crates() {
  local fetch=(cargo fetch --quiet --locked --manifest-path "$checkout/Cargo.toml" --target x86_64-unknown-linux-gnu)
  local target
  while read -r target; do fetch+=(--target "$target"); done < <(rust_setting targets)
  "${fetch[@]}" --offline 2>/dev/null && return
  step "fetching the crates that Cargo.lock names" quietly crates 30 "${fetch[@]}" ||
    refuse "cargo cannot fetch the crates that Cargo.lock names" "see its words above; is the registry reachable?"
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

# The lists may be missing or stale on a fresh machine: ask once, on demand.
install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install --yes --no-install-recommends "$@" ||
    { apt-get update && apt-get install --yes --no-install-recommends "$@"; }
}

prepare_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]} > 0)) || return 0
  step "installing ${#missing[@]} packages: ${missing[*]}" \
    quietly packages 60 install_packages "${missing[@]}" ||
    refuse "apt-get cannot install: ${missing[*]}" "see its words above; is the machine's mirror reachable?"
}

stop_if_refused() {
  ((${#problems[@]} == 0)) && return
  local problem
  for problem in "${problems[@]}"; do printf 'error: %s\n' "$problem" >&2; done
  exit 1
}

# What is only looked at comes first, so that nobody waits for a refusal.
prepare() {
  check_machine
  check_go
  stop_if_refused
  prepare_rust
  stop_if_refused
  prepare_crates
  prepare_packages
  stop_if_refused
}

prepare_rust_alone() {
  prepare_rust
  stop_if_refused
  prepare_crates
  stop_if_refused
}

case ${1:-} in
  rust) exclusively prepare prepare_rust_alone ;;
  *) exclusively prepare prepare ;;
esac
