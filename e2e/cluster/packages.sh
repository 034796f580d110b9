#!/usr/bin/env bash
# Installs the Debian packages that the proving ground needs, only the missing.
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

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

install_packages() {
  local log
  log=$(mktemp)
  {
    # The lists may be missing or stale on a fresh machine: ask once, on demand.
    apt-get install --yes --no-install-recommends "$@" ||
      { apt-get update && apt-get install --yes --no-install-recommends "$@"; }
  } >"$log" 2>&1 || { tail -n 30 "$log" >&2; fail "apt-get could not install: $*"; return 1; }
  rm -f "$log"
}

if ! command -v go >/dev/null; then
  fail "go is not installed; the versions in pins/*/go.mod say which is needed"
  exit 1
fi
mapfile -t missing < <(missing_packages)
if ((${#missing[@]} > 0)); then
  export DEBIAN_FRONTEND=noninteractive
  step "installing packages: ${missing[*]}" exclusively packages install_packages "${missing[@]}"
fi
