#!/usr/bin/env bash
# All tests, cheapest first. Goes on after a failure, and ends with `N passed, N failed`.
set -uo pipefail

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"
# shellcheck source=e2e/cluster/programs.sh
source "$here/programs.sh"
# shellcheck source=e2e/before.sh
source "$checkout/e2e/before.sh"
set +e
cd "$checkout" || exit 1

passed=0
failed=0
report="$(mktemp -d)"
times=() # a line for each suite
begin_all=$SECONDS
suites=$(grep -cE '^ *suite "' "${BASH_SOURCE[0]}")

# suite NAME SECONDS COMMAND…: runs it, shows its output, and adds what it counted.
# SECONDS is what it usually takes, warm, on two idle cores.
suite() {
  local name=$1 log="$report/${1//[^a-z]/-}.log" begin=$SECONDS status ok bad
  say "tests, suite $((${#times[@]} + 1)) of $suites: $name ($(about "$2") warm)"
  shift 2
  "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  # cargo's `test result: ok. N passed; M failed; …`, and our scripts' `N passed, M failed`.
  read -r ok bad < <(awk '
    /^test result: / || /^[0-9]+ passed, [0-9]+ failed/ {
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) ok += $(i - 1)
        if ($i ~ /^failed/) bad += $(i - 1)
      }
    }
    END {print ok + 0, bad + 0}' "$log")
  # A suite that could not run, or that ran nothing, has failed.
  if ((bad == 0 && (status != 0 || ok == 0))); then bad=1; fi
  ((passed += ok, failed += bad))
  times+=("$(printf '%5.1f min  %4d passed  %2d failed  %s' "$(minutes_since "$begin")" "$ok" "$bad" "$name")")
  note "${times[-1]}"
}

with_store() { DB_OPERATOR_TEST_S3=$store_address "$@"; }

minutes_since() { awk -v seconds=$((SECONDS - $1)) 'BEGIN {print seconds / 60}'; }

# The conformance suite reads its servers from one variable: version=host:port:user:password[:ca-file].
conformance_servers() {
  local name host password ca="$report/servers-ca.crt" servers=()
  kubectl -n servers get configmap servers-ca -o go-template='{{index .data "ca.crt"}}' >"$ca"
  for name in postgresql-15 postgresql-17 postgresql-18; do
    host=$(kubectl -n servers get service "$name" -o jsonpath='{.spec.clusterIP}')
    password=$(kubectl -n servers get secret "$name-admin" -o jsonpath='{.data.password}' | base64 -d)
    servers+=("${name#postgresql-}=$host:5432:postgres:$password:$ca")
  done
  echo "${servers[*]}"
}

# store_server: an S3 server on loopback, for as long as this script runs.
store_server() {
  local port=7071 address try
  # The first port that nobody answers on.
  while (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do ((port += 1)); done
  address=127.0.0.1:$port
  mkdir -p "$report/s3/buckets" "$report/s3/accounts"
  ROOT_ACCESS_KEY=test ROOT_SECRET_KEY=testsecret "$(program_folder versitygw)/versitygw" --port "$address" --quiet \
    --region eu-west-1 --iam-dir "$report/s3/accounts" posix "$report/s3/buckets" >"$report/s3/log" 2>&1 &
  store_pid=$!
  for ((try = 0; try < 100; try++)); do
    kill -0 "$store_pid" 2>/dev/null || break
    if curl --silent --output /dev/null --max-time 1 "http://$address/"; then
      store_address=http://$address
      return 0
    fi
    sleep 0.1
  done
  note "the S3 server does not answer on $address"
  cat "$report/s3/log"
  return 1
}

# Before the first test, and not after minutes of them.
before_is_had || exit 1
"$here/prepare.sh" || exit 1
if [[ ${CLUSTER:-} == current ]]; then
  ensure_sets versitygw || exit 1
else
  ensure_sets "${program_sets[@]}" versitygw || exit 1
fi

store_pid=
trap '[[ -z $store_pid ]] || kill "$store_pid" 2>/dev/null' EXIT
store_server || ((failed += 1))

suite "unit, model and contract" 120 cargo test --no-fail-fast --lib --bins --tests --workspace \
  --exclude db-operator-e2e --exclude db-operator-driver-postgresql
suite "documentation" 10 cargo test --no-fail-fast --doc -p db-operator-driver-api
suite "store and runtime, with a real S3 server" 120 with_store cargo test --no-fail-fast -p db-operator-store -p db-operator-runtime --lib
suite "postgresql, without a server" 10 cargo test --no-fail-fast -p db-operator-driver-postgresql

if SERVERS="postgresql-15 postgresql-17 postgresql-18 s3" "$here/up.sh" && "$here/release.sh"; then
  source "$checkout/.cluster/env.sh"
  DB_OPERATOR_TEST_POSTGRESQL=$(conformance_servers)
  # This machine may have pg_dump in no version, or in too old a one.
  DB_OPERATOR_POSTGRESQL_PROGRAMS=$("$here/backup_root.sh" programs)
  export DB_OPERATOR_TEST_POSTGRESQL DB_OPERATOR_POSTGRESQL_PROGRAMS
  suite "upgrade" 80 e2e/upgrade.sh
  suite "postgresql, conformance" 120 cargo test --no-fail-fast -p db-operator-driver-postgresql --features conformance --test conformance
  suite "charts" 60 charts/test.sh --cluster
  on_any_cluster=(--test-threads 6)
  if [[ ${CLUSTER:-} == current ]]; then
    note "not shown on this cluster, for its audit log is out of reach: what a create costs the API server"
    on_any_cluster+=(--skip a_create_costs_the_api_server)
  fi
  suite "cluster" 300 cargo test --no-fail-fast -p db-operator-e2e -- "${on_any_cluster[@]}"
else
  ((failed += 1))
  say "the cluster did not come up: its tests have not run"
fi
[[ -n ${KEEP_CLUSTER:-} || ${CLUSTER:-} == current ]] || "$here/down.sh"
rm -rf "$report"

printf '\n'
printf '%s\n' "${times[@]}"
printf '%5.1f min in all, set-up included\n' "$(minutes_since "$begin_all")"
printf '\n%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
