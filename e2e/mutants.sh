#!/usr/bin/env bash
# Changes what decides, one mutant at a time, in a copy of the checkout, and shows which test catches each. A mutant is a
# patch in `mutants/`: its first line says what goes wrong, its second which tests are to notice, cheapest first.
# Fails if one survives. A mutant that does not apply or compile is an error, and not caught.
# Names as arguments run only those. About 10 minutes where the dependencies are built.
set -uo pipefail

checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
"$checkout/e2e/cluster/prepare.sh" rust || exit 1
# Below the target folder, so that what is built of the dependencies is used again, and always in the same place, so that
# what is built of the copy replaces what was.
copy="$checkout/target/mutants"
log="$(mktemp)"
export CARGO_TARGET_DIR="$checkout/target" CARGO_INCREMENTAL=0
# The copy is no part of the checkout for `git apply`.
export GIT_CEILING_DIRECTORIES="$checkout/target"
trap 'rm -rf "$copy" "$log"' EXIT

rm -rf "$copy"
mkdir -p "$copy"
# Every file is new there: what an earlier run has built of a mutant must not pass for this one's.
(cd "$checkout" && git ls-files -z | tar --null --files-from - --create) | tar --extract --touch --directory "$copy" || exit 1
cd "$copy" || exit 1

# run_tests ARGUMENTS: 0 if they pass, 1 if one fails, 2 if they do not compile or do not end.
run_tests() {
  local arguments
  read -ra arguments <<<"$1"
  if ! cargo test --quiet --no-run "${arguments[@]}" >"$log" 2>&1; then return 2; fi
  timeout 180 cargo test "${arguments[@]}" >"$log" 2>&1 && return 0
  grep -q '^test .* FAILED$' "$log" && return 1
  return 2
}

rows=()
survivors=0
errors=0
row() { rows+=("$(printf '%-36s %-72s %4s s' "$1" "$2" "$3")") && printf '%s\n' "${rows[-1]}"; }

patches=()
if (($# > 0)); then
  for name in "$@"; do patches+=("$checkout/e2e/mutants/$name.patch"); done
else
  patches=("$checkout"/e2e/mutants/*.patch)
fi

# A test that fails anyway catches nothing.
begin=$SECONDS
while read -r tests; do
  if ! run_tests "$tests"; then
    cat "$log"
    echo "unchanged, this does not pass: cargo test $tests"
    exit 1
  fi
done < <(sed -n '2s/^tests: //p' -s "${patches[@]}" | tr ';' '\n' | sort -u)
row "(nothing changed)" "all pass" $((SECONDS - begin))

for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch)
  begin=$SECONDS
  caught=
  if ! git apply "$patch" 2>"$log"; then
    cat "$log"
    row "$name" "ERROR: the patch does not apply" $((SECONDS - begin))
    ((++errors))
    continue
  fi
  while read -r tests; do
    run_tests "$tests"
    case $? in
      0) ;;
      1)
        caught=$(grep -m 1 '^test .* FAILED$' "$log" | cut -d ' ' -f 2)
        break
        ;;
      *)
        tail -n 40 "$log"
        caught="ERROR: it does not compile, or its tests do not end"
        ((++errors))
        break
        ;;
    esac
  done < <(sed -n '2s/^tests: //p' "$patch" | tr ';' '\n')
  if [[ -z $caught ]]; then
    caught="SURVIVES"
    ((++survivors))
  fi
  row "$name" "$caught" $((SECONDS - begin))
  git apply --reverse "$patch" || exit 1
done

printf '\n%-36s %-72s\n' "mutant" "caught by"
printf '%s\n' "${rows[@]}"
printf '\n%d mutants, %d survive, %d errors\n' "${#patches[@]}" "$survivors" "$errors"
((survivors == 0 && errors == 0))
