#!/usr/bin/env bash
# What the Databases of an older chart see when the chart of this checkout takes over.
#
# Installs the chart of a commit of before with the images built from it, makes Databases and a Backup, upgrades, and
# looks at everything that their owners see. Leaves the new release installed, also when it fails half-way. Ends with
# `N passed, N failed`.
set -euo pipefail

# shellcheck source=e2e/cluster/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/programs.sh"
# shellcheck source=e2e/before.sh
source "$checkout/e2e/before.sh"
# shellcheck source=e2e/bucket.sh
source "$checkout/e2e/bucket.sh"
[[ -f $checkout/.cluster/env.sh ]] || { fail "no cluster: run make cluster"; exit 1; }
# shellcheck disable=SC1091 # made by up.sh
source "$checkout/.cluster/env.sh"

namespace=e2e-upgrade
passed=0 failed=0
ours_is_away= # yes while our release is not what is installed

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
  before_program db-operator db-operator-driver-postgresql
  before_source
  mkdir -p "$before_tree/source/.cluster"
  cp "$checkout/.cluster/env.sh" "$before_tree/source/.cluster/env.sh"
}

install_before() {
  helm uninstall db-operator --namespace db-operator --ignore-not-found --wait >/dev/null
  as_before build_release_images
  as_before install_chart
}

in_namespace() { kubectl --namespace "$namespace" "$@"; }

# make_databases: in a namespace of their own. Errexit is off here.
make_databases() {
  local name
  kubectl delete namespace "$namespace" --ignore-not-found --timeout=120s &&
    drop_what_is_left &&
    kubectl create namespace "$namespace" &&
    helm install db-operator-tenant "$before_tree/source/charts/db-operator-tenant" --namespace "$namespace" &&
    kubectl --namespace servers get secret postgresql-17-admin --output json |
    jq '.metadata = {name: .metadata.name}' | in_namespace apply --filename - &&
    make_bucket e2e-upgrade &&
    put_access_key "$namespace" &&
    for name in silent said leaving saved; do database "$name"; done | in_namespace apply --filename - &&
    in_namespace wait --for=condition=Ready database --all --timeout=120s
}

# drop_what_is_left: of this namespace's databases and roles, on the server. What is retained keeps its name, and would
# be somebody else's for the next run. Errexit may be off here.
drop_what_is_left() {
  local name names
  names=$(as_postgresql postgres postgres "SELECT datname FROM pg_database WHERE starts_with(datname, 'e2e_upgrade_')") || return
  for name in $names; do
    as_postgresql postgres postgres "DROP DATABASE \"$name\" WITH (FORCE)" || return
  done
  names=$(as_postgresql postgres postgres "SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'e2e_upgrade_')") || return
  for name in $names; do
    as_postgresql postgres postgres "DROP OWNED BY \"$name\"; DROP ROLE \"$name\"" || return
  done
}

# The rows of saved, written by its own login, and a Backup of them.
make_backup() {
  as_postgresql "$(secret_of saved database)" "$(secret_of saved username)" \
    "CREATE TABLE greetings AS SELECT n, 'hello ' || n AS text FROM generate_series(1, 1000) AS n" &&
    in_namespace apply --filename - <<<'{apiVersion: db.isotoma.com/v1alpha1, kind: Backup, metadata: {name: before}, spec: {database: saved}}' &&
    in_namespace wait --for=jsonpath='{.status.phase}'=Completed backup/before --timeout=120s
}

# database NAME: said has spoken about its deletion, and saved has a place for backups; the others have neither.
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
  case $1 in
    said) printf '  deletionPolicy: Delete\n' ;;
    saved) printf '  backupTo: {s3: %s}\n' "$(s3_target e2e-upgrade)" ;;
    # Made from the Backup of before.
    again) printf '  deletionPolicy: Delete\n  restoreFrom: {backup: before}\n' ;;
  esac
}

# Its deletion was asked for, and a run had claimed it, which then found no login.
begin_to_leave() {
  in_namespace get secret postgresql-17-admin --output json | jq '.metadata = {name: .metadata.name}' >"$work/admin.json"
  in_namespace delete secret postgresql-17-admin
  in_namespace delete database leaving --wait=false
  # Else that run may still come to its end when the login is back.
  in_namespace wait --for='jsonpath={.status.conditions[?(@.type=="Ready")].reason}=CredentialsMissing' database/leaving --timeout=90s
  in_namespace patch database leaving --subresource=status --type=merge --patch '{"status": {"phase": "DeletionRequested"}}'
}

field() { in_namespace get database "$1" --output "jsonpath={$2}"; }
has_field() { [[ $(field "$1" "$2") == "$3" ]] || { field "$1" "$2"; return 1; }; }
until_field() { wait_until 180 "$1 $2 is $3" has_field "$@" || { in_namespace get database "$1" --output yaml; return 1; }; }
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
# secret_of NAME KEY: of the login that its owner was given.
secret_of() { in_namespace get secret "$1" --output "go-template={{.data.$2 | base64decode}}"; }
# as_postgresql DATABASE LOGIN SQL: within the server's pod, where no password is asked for.
as_postgresql() {
  kubectl --namespace servers exec "$(kubectl --namespace servers get pods --selector server=postgresql-17 --output name | head -n1)" -- \
    psql --username "$2" --dbname "$1" --set ON_ERROR_STOP=1 --quiet --tuples-only --no-align --command "$3"
}
is_on_server() {
  [[ $(as_postgresql postgres postgres "SELECT count(*) FROM pg_database WHERE datname = '$1'") == "$2" ]]
}
# rows_of DATABASE: how many rows there are, and a hash over all of them.
rows_of() {
  as_postgresql "$1" postgres "SELECT count(*) || ' ' || md5(string_agg(n || text, ',' ORDER BY n)) FROM greetings"
}
# has_rows NAME ROWS
has_rows() { [[ $(rows_of "$(field "$1" .status.database)") == "$2" ]]; }
# is_as_before BACKUP STATUS: nobody has written a Backup that is complete.
is_as_before() { [[ $(status_of_backup "$1") == "$2" ]]; }
status_of_backup() { in_namespace get backup "$1" --output 'jsonpath={.status}'; }
# begin_again: a Database from the Backup of before.
begin_again() { database again | in_namespace apply --filename - && in_namespace wait --for=condition=Ready database/again --timeout=120s; }
# has_final_backup UID: one that is complete, and is not the one of before.
has_final_backup() {
  [[ $(in_namespace get backups --selector "db.isotoma.com/uid=$1" --output 'jsonpath={.items[*].status.phase}') == Completed ]]
}
is_gone() {
  in_namespace wait --for=delete "database/$1" --timeout=180s && return
  in_namespace get database "$1" --output yaml
  in_namespace get jobs,events --output wide
  in_namespace logs --selector "db.isotoma.com/database=$1" --tail=20 --prefix
  return 1
}

# leave: what comes after this script, as the suite `cluster`, is about our release, whatever became of the upgrade.
leave() {
  local status=$?
  rm -rf "$work"
  if [[ -n $ours_is_away ]]; then
    say "our release again, in place of what the upgrade left"
    "$here/release.sh" || status=1
    # Said last, too: what failed is not to be looked for above all that.
    printf 'error: the upgrade failed%s\n' "${last_error:+: $last_error}" >&2
  fi
  exit "$status"
}

main() {
  local silent_login said_login silent_name said_name leaving_name saved_login saved_name saved_uid saved_rows backup
  work=$(mktemp -d)
  trap leave EXIT
  step "building the programs of $before ($(about 600) the first time)" prepare_before
  ours_is_away=yes
  step "installing the chart of $before" exclusively upgrade install_before
  step "making Databases with it" make_databases >"$work/log" 2>&1 || { cat "$work/log"; fail "the chart of $before makes no Databases"; }
  step "making a Backup with it" make_backup >"$work/log" 2>&1 || { cat "$work/log"; fail "the chart of $before makes no Backup"; }
  saved_login=$(login_of saved) saved_name=$(field saved .status.database) saved_uid=$(field saved .metadata.uid)
  saved_rows=$(rows_of "$saved_name") backup=$(status_of_backup before)
  [[ $saved_rows == "1000 "* ]] || fail "saved has no rows: $saved_rows"
  silent_login=$(login_of silent) said_login=$(login_of said)
  silent_name=$(field silent .status.database) said_name=$(field said .status.database)
  leaving_name=$(field leaving .status.database)
  begin_to_leave >/dev/null

  KEEP_RELEASES=yes "$here/release.sh"
  ours_is_away=
  check "a Database of before is Ready after the upgrade" is_ready silent
  check "and so is one that has backups" is_ready saved
  in_namespace apply --filename "$work/admin.json" >/dev/null
  in_namespace annotate database silent saved db.isotoma.com/reconcile=now >/dev/null
  # What the run of before found wrong is mended: as anybody does who does not want to wait.
  in_namespace annotate database leaving db.isotoma.com/retry=now >/dev/null
  check "the namespace's tenant chart is too old, and a Warning has the command" \
    is_told silent NamespaceNotServed "helm upgrade --install db-operator-tenant charts/db-operator-tenant -n $namespace"
  check "nothing is lost meanwhile" is_ready silent
  check "not even what was leaving" is_on_server "$leaving_name" 1
  check "that command runs" helm upgrade --install db-operator-tenant "$checkout/charts/db-operator-tenant" --namespace "$namespace"
  check "who said nothing about a deletion has Retain" until_field silent .status.deletionPolicy Retain
  check "one Job was enough for that" has_jobs silent 1
  check "who said nothing and has backupTo has BackupThenDelete" until_field saved .status.deletionPolicy BackupThenDelete
  check "one Job was enough for that, too, and the Backup of before needs none" has_jobs saved 1
  check "nothing has changed about that Backup" is_as_before before "$backup"
  check "a new Database is made from it" begin_again
  check "with the rows that it had" has_rows again "$saved_rows"
  check "nobody asked for a Job of the other, and there is none" has_jobs said 0
  check "the login that was handed out is the same" same_login silent "$silent_login"
  check "and so is the other's" same_login said "$said_login"
  check "and that of who has backups" same_login saved "$saved_login"
  check "what was leaving goes, as it would have before" is_gone leaving
  check "and its database was dropped" is_on_server "$leaving_name" 0
  in_namespace delete database silent said saved again --wait=false >/dev/null
  check "who said Delete goes" is_gone said
  check "and the database with it" is_on_server "$said_name" 0
  check "who said nothing goes" is_gone silent
  check "and the database stays" is_on_server "$silent_name" 1
  check "and an Event says where" is_told silent DatabaseRetained "$silent_name"
  check "who has backupTo goes" is_gone saved
  check "after a final backup" has_final_backup "$saved_uid"
  check "and its database was dropped" is_on_server "$saved_name" 0
  check "what was made from the Backup goes" is_gone again
  check "the Backup of before stays" is_as_before before "$backup"
  kubectl delete namespace "$namespace" --wait=false >/dev/null
  check "and nothing of it is left on the server" drop_what_is_left
  printf '%s passed, %s failed\n' "$passed" "$failed"
  ((failed == 0))
}

main
