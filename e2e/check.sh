#!/usr/bin/env bash
# Everything that reads the code without running it.
set -euo pipefail

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"
# shellcheck source=e2e/cluster/programs.sh
source "$here/programs.sh"
cd "$checkout"

cargo_deny_version=0.20.2

cargo_deny_root="$cache/programs/cargo-deny-$cargo_deny_version"

# Built once, from the registry, at its pinned version.
ensure_cargo_deny() {
  [[ -x $cargo_deny_root/bin/cargo-deny ]] && return
  step "building cargo-deny" exclusively programs-cargo-deny quietly cargo-deny 240 install_cargo_deny
}

install_cargo_deny() {
  CARGO_TARGET_DIR="$cache/cargo-deny-target" \
    cargo install --locked --root "$cargo_deny_root" --version "$cargo_deny_version" cargo-deny &&
    rm -rf "$cache/cargo-deny-target"
}

# What is missing of all that the steps after it need.
set_up() {
  "$here/prepare.sh"
  ensure_set helm
  ensure_cargo_deny
}

# A mutant that does not apply any more shows nothing, and make mutants takes minutes to say so.
mutants_apply() {
  local patch
  for patch in e2e/mutants/*.patch; do git apply --check "$patch" || return; done
}

shell_scripts() { git ls-files '*.sh' '.ci/run' | xargs shellcheck --external-sources --severity=warning; }

steps=$(grep -c '^numbered "' "${BASH_SOURCE[0]}")
seconds=5
[[ -x $cargo_deny_root/bin/cargo-deny ]] || seconds=240
numbered "set-up" "$seconds" set_up
PATH="$(program_folder helm):$PATH"
numbered "format" 5 cargo fmt --all --check
# Not quiet: these two compile for minutes where nothing is built yet.
numbered "clippy" 120 cargo clippy --workspace --all-targets --all-features -- -D warnings
numbered "documentation" 60 env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps
numbered "generated files" 60 e2e/generate.sh check
numbered "dependencies: bans, licences, sources" 5 "$cargo_deny_root/bin/cargo-deny" --log-level error check bans licenses sources
numbered "no circles of imports" 20 cargo test --quiet -p db-operator --test circles
numbered "mutants apply" 5 mutants_apply
numbered "shell scripts" 5 shell_scripts
numbered "charts" 30 charts/test.sh
say "all checks passed"
