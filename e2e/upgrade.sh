#!/usr/bin/env bash
# What the Databases of an older chart see when the chart of this checkout takes over.
#
# Installs the chart of a commit of before with the images built from it, makes Databases, upgrades, and looks at
# everything that their owners see. Leaves the new release installed. Ends with `N passed, N failed`.
set -euo pipefail

# shellcheck source=e2e/cluster/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/programs.sh"
# shellcheck source=e2e/before.sh
source "$checkout/e2e/before.sh"
[[ -f $checkout/.cluster/env.sh ]] || { fail "no cluster: run make cluster"; exit 1; }
# shellcheck disable=SC1091 # made by up.sh
source "$checkout/.cluster/env.sh"

namespace=e2e-upgrade
passed=0 failed=0

# check DESCRIPTION COMMAND…
check() {
  local description=$1 output
  shift
  if output=$("$@" 2>&1); then
    ((passed += 1))
    printf 'ok    %s\n' "$description"
  else
    ((failed += 1))
    printf 'FAIL  %s\n%s\n' "$description" "$output"
  fi
}

prepare_before() {
  before_program db-operator db-operator-driver-postgresql && before_source
  mkdir -p "$before_tree/source/.cluster"
  cp "$checkout/.cluster/env.sh" "$before_tree/source/.cluster/env.sh"
}

install_before() {
  helm uninstall db-operator --namespace db-operator --ignore-not-found --wait >/dev/null
  as_before build_release_images
  as_before install_chart
}

in_namespace() { kubectl --namespace "$namespace" "$@"; }

make_databases() {
  local name
  kubectl delete namespace "$namespace" --ignore-not-found --timeout=120s
  kubectl create namespace "$namespace"
  helm install db-operator-tenant "$before_tree/source/charts/db-operator-tenant" --namespace "$namespace"
  kubectl --namespace servers get secret postgresql-17-admin --output json |
    jq '.metadata = {name: .metadata.name}' | in_namespace apply --filename -
  for name in silent said leaving; do database "$name"; done | in_namespace apply --filename -
  in_namespace wait --for=condition=Ready database --all --timeout=120s
}

# database NAME: said has spoken about its deletion, the others have not.
database() {
  cat <<END
---
apiVersion: db.isotoma.com/v1alpha1
kind: Database
metadata: {name: $1}
spec:
  driver: postgresql
  connect: {host: postgresql-17.servers.svc.cluster.local}
  credentials:
    username: {valueFrom: {secretKeyRef: {name: postgresql-17-admin, key: username}}}
    password: {valueFrom: {secretKeyRef: {name: postgresql-17-admin, key: password}}}
END
  [[ $1 != said ]] || printf '  deletionPolicy: Delete\n'
}

# Its deletion was asked for, and a run had claimed it, which then found no login.
begin_to_leave() {
  in_namespace get secret postgresql-17-admin --output json | jq '.metadata = {name: .metadata.name}' >"$work/admin.json"
  in_namespace delete secret postgresql-17-admin
  in_namespace delete database leaving --wait=false
  in_namespace patch database leaving --subresource=status --type=merge --patch '{"status": {"phase": "DeletionRequested"}}'
}

field() { in_namespace get database "$1" --output "jsonpath={$2}"; }
has_field() { [[ $(field "$1" "$2") == "$3" ]] || { field "$1" "$2"; return 1; }; }
until_field() { wait_until 90 "$1 $2 is $3" has_field "$@" || { in_namespace get database "$1" --output yaml; return 1; }; }
login_of() { in_namespace get secret "$1" --output jsonpath='{.data.uri} {.data.password}'; }
same_login() { [[ $(login_of "$1") == "$2" ]]; }
is_ready() { has_field "$1" '.status.conditions[?(@.type=="Ready")].status' True; }
# jobs_of NAME: those that the new operator has launched for it.
jobs_of() {
  in_namespace get jobs --selector "db.isotoma.com/database=$1,db.isotoma.com/protocol=2" --output name
}
has_jobs() { [[ $(jobs_of "$1" | wc -l) == "$2" ]] || { jobs_of "$1"; return 1; }; }
event() { in_namespace get events --field-selector "involvedObject.name=$1,reason=$2" --output 'jsonpath={.items[*].message}'; }
is_told() {
  local try
  for ((try = 0; try < 300; try++)); do
    ! event "$1" "$2" | grep --fixed-strings --quiet -- "$3" || return 0
    pause_briefly
  done
  in_namespace get events
  return 1
}
on_server() {
  kubectl --namespace servers exec "$(kubectl --namespace servers get pods --selector server=postgresql-17 --output name | head -n1)" -- \
    psql --username postgres --tuples-only --no-align --command "SELECT count(*) FROM pg_database WHERE datname = '$1'"
}
is_on_server() { [[ $(on_server "$1") == "$2" ]]; }
is_gone() { in_namespace wait --for=delete "database/$1" --timeout=90s; }

main() {
  local silent_login said_login silent_name said_name leaving_name
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  step "building the programs of $before ($(about 600) the first time)" prepare_before
  step "installing the chart of $before" exclusively upgrade install_before
  step "making Databases with it" make_databases >"$work/log" 2>&1 || { cat "$work/log"; fail "the chart of $before makes no Databases"; }
  silent_login=$(login_of silent) said_login=$(login_of said)
  silent_name=$(field silent .status.database) said_name=$(field said .status.database)
  leaving_name=$(field leaving .status.database)
  begin_to_leave >/dev/null

  "$here/release.sh"
  check "a Database of before is Ready after the upgrade" is_ready silent
  in_namespace apply --filename "$work/admin.json" >/dev/null
  in_namespace annotate database silent db.isotoma.com/reconcile=now >/dev/null
  # What the run of before found wrong is mended: as anybody does who does not want to wait.
  in_namespace annotate database leaving db.isotoma.com/retry=now >/dev/null
  check "the namespace's tenant chart is too old, and a Warning has the command" \
    is_told silent NamespaceNotServed "helm upgrade --install db-operator-tenant charts/db-operator-tenant -n $namespace"
  check "nothing is lost meanwhile" is_ready silent
  check "not even what was leaving" is_on_server "$leaving_name" 1
  check "that command runs" helm upgrade --install db-operator-tenant "$checkout/charts/db-operator-tenant" --namespace "$namespace"
  check "who said nothing about a deletion has Retain" until_field silent .status.deletionPolicy Retain
  check "one Job was enough for that" has_jobs silent 1
  check "nobody asked for a Job of the other, and there is none" has_jobs said 0
  check "the login that was handed out is the same" same_login silent "$silent_login"
  check "and so is the other's" same_login said "$said_login"
  check "what was leaving goes, as it would have before" is_gone leaving
  check "and its database was dropped" is_on_server "$leaving_name" 0
  in_namespace delete database silent said --wait=false >/dev/null
  check "who said Delete goes" is_gone said
  check "and the database with it" is_on_server "$said_name" 0
  check "who said nothing goes" is_gone silent
  check "and the database stays" is_on_server "$silent_name" 1
  check "and an Event says where" is_told silent DatabaseRetained "$silent_name"
  kubectl delete namespace "$namespace" --wait=false >/dev/null
  printf '%s passed, %s failed\n' "$passed" "$failed"
  ((failed == 0))
}

main
