#!/usr/bin/env bash
# Everything that reads the code without running it.
set -euo pipefail

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"
# shellcheck source=e2e/cluster/programs.sh
source "$here/programs.sh"
cd "$checkout"

cargo_deny_version=0.20.2

# Built once, from the registry, at its pinned version.
cargo_deny() {
  local root="$cache/programs/cargo-deny-$cargo_deny_version"
  if [[ ! -x $root/bin/cargo-deny ]]; then
    CARGO_TARGET_DIR="$cache/cargo-deny-target" \
      cargo install --locked --root "$root" --version "$cargo_deny_version" cargo-deny
    rm -rf "$cache/cargo-deny-target"
  fi
  "$root/bin/cargo-deny" --log-level error check bans licenses sources
}

# A mutant that does not apply any more shows nothing, and make mutants takes minutes to say so.
mutants_apply() {
  local patch
  for patch in e2e/mutants/*.patch; do git apply --check "$patch" || return; done
}

shell_scripts() { git ls-files '*.sh' '.ci/run' | xargs shellcheck --external-sources --severity=warning; }

"$here/prepare.sh"
ensure_set helm
PATH="$(program_folder helm):$PATH"
step "format" cargo fmt --all --check
# Not quiet: these two compile for minutes where nothing is built yet.
step "clippy" cargo clippy --workspace --all-targets --all-features -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps
step "generated files" e2e/generate.sh check
step "dependencies: bans, licences, sources" cargo_deny
step "no circles of imports" cargo test --quiet -p db-operator --test circles
step "mutants apply" mutants_apply
step "shell scripts" shell_scripts
step "charts" charts/test.sh
say "all checks passed"
