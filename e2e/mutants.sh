#!/usr/bin/env bash
# Changes what decides, one mutant at a time, in a copy of the checkout, and shows what catches each: the model of the
# protocol, and the cheapest test beside it. A mutant is a patch in `mutants/` with three lines above it:
#
#   what goes wrong
#   tests: which tests beside the model are to notice, cheapest first, between semicolons; may be empty
#   model: which test of the model is to notice; or `no, WHY`. Then all of the model is asked, in case it does
#
# Fails if one survives, if one is caught by less than its lines say, or if the model catches too few of all. A mutant that
# does not apply or compile is an error, and not caught.
# Names as arguments run only those. About 30 minutes where the dependencies are built.
set -uo pipefail

# How many mutants of what decides and of what permits the model is to catch at least.
least=12

checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
"$checkout/e2e/cluster/prepare.sh" rust || exit 1
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$checkout/target}" CARGO_INCREMENTAL=0
# Below the target folder, so that what is built of the dependencies is used again, and always in the same place, so that
# what is built of the copy replaces what was.
copy="$CARGO_TARGET_DIR/mutants"
log="$(mktemp)"
# The copy is no part of the checkout for `git apply`.
export GIT_CEILING_DIRECTORIES="$CARGO_TARGET_DIR"
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
  timeout 300 cargo test "${arguments[@]}" >"$log" 2>&1 && return 0
  grep -q '^test .* FAILED$' "$log" && return 1
  return 2
}

# catch TESTS...: sets `caught` to the first test of the first of them that fails, to nothing if none does, or to ERROR.
catch() {
  local tests
  caught=
  for tests in "$@"; do
    run_tests "$tests"
    case $? in
      0) ;;
      1)
        caught=$(grep -m 1 '^test .* FAILED$' "$log" | cut -d ' ' -f 2)
        return
        ;;
      *)
        tail -n 40 "$log"
        caught="ERROR: it does not compile, or its tests do not end"
        return
        ;;
    esac
  done
}

# field NAME PATCH: what the patch says there.
field() { sed -n "2,3s/^$1: *//p" "$2"; }

# model FIELD: the arguments for the model.
model() {
  local only=
  [[ $1 == no,* ]] || only=" $1"
  echo "-p db-operator --test model$only"
}

rows=()
row() { rows+=("$(printf '%-36s %-72s %-72s %4s s' "$@")") && printf '%s\n' "${rows[-1]}"; }

patches=()
if (($# > 0)); then
  for name in "$@"; do patches+=("$checkout/e2e/mutants/$name.patch"); done
  least=0
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
done < <(
  if (($# == 0)); then model "no, all of it"; fi
  for patch in "${patches[@]}"; do
    if (($# > 0)); then model "$(field model "$patch")"; fi
    field tests "$patch" | tr ';' '\n' | grep .
  done | sort -u
)
row "(nothing changed)" "all pass" "all pass" $((SECONDS - begin))

by_model=0 survivors=0 missed=0 errors=0
for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch)
  begin=$SECONDS
  if ! git apply "$patch" 2>"$log"; then
    cat "$log"
    row "$name" "ERROR: the patch does not apply" "" $((SECONDS - begin))
    ((++errors))
    continue
  fi
  expected=$(field model "$patch")
  IFS=';' read -ra others < <(field tests "$patch")
  catch "$(model "$expected")"
  in_model=$caught
  catch "${others[@]}"
  beside=$caught
  case "$in_model $beside" in
    *ERROR*) ((++errors)) ;;
    " ") ((++survivors)) ;;
    *)
      if [[ -n $in_model ]]; then
        ((++by_model))
      elif [[ $expected != no,* ]]; then
        ((++missed))
        in_model="MISSES IT"
      fi
      if [[ -z $beside && ${#others[@]} -gt 0 ]]; then
        ((++missed))
        beside="MISSES IT"
      fi
      ;;
  esac
  [[ -n $in_model$beside ]] || in_model="SURVIVES"
  row "$name" "${in_model:-$expected}" "${beside:--}" $((SECONDS - begin))
  git apply --reverse "$patch" || exit 1
done

printf '\n%-36s %-72s %-72s\n' "mutant" "caught by the model" "caught by the cheapest test beside it"
printf '%s\n' "${rows[@]}"
printf '\n%d mutants: the model catches %d, %d survive, %d are missed by who is to notice, %d errors\n' \
  "${#patches[@]}" "$by_model" "$survivors" "$missed" "$errors"
((by_model >= least)) || echo "the model is to catch $least at least"
((survivors == 0 && missed == 0 && errors == 0 && by_model >= least))
