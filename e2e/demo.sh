#!/usr/bin/env bash
# The story of one database, told on a real cluster. Exits 0 only if all of it happened.
set -euo pipefail

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"

namespace=demo
name=mydb

# One row a line, without the noise of a terminal client.
query_server() { # SQL
  kubectl -n servers exec deploy/postgresql-17 -- \
    env PGPASSWORD="$admin_password" psql -h localhost -U postgres -d postgres -qtAX -c "$1"
}

# is_gone KIND: the object of that name; an answer that does not come is no answer.
is_gone() {
  local found
  found=$(kubectl -n "$namespace" get "$1" "$name" --ignore-not-found -o name) && [[ -z $found ]]
}

# Prints each phase once, as the watch on its input sees it.
narrate_phases() {
  local phase last=
  while read -r phase; do
    [[ -z $phase || $phase == "$last" ]] || note "phase: $phase"
    last=$phase
  done
}

# The watch is no job of this shell, which would report its end; the narrator ends when its input does.
begin_narration() {
  local phases
  exec {phases}< <(exec kubectl -n "$namespace" get databases --field-selector "metadata.name=$name" --watch \
    -o 'jsonpath={.status.phase}{"\n"}')
  watch=$!
  narrate_phases <&"$phases" &
  narrator=$!
  exec {phases}<&-
}

end_narration() {
  [[ -n ${watch:-} ]] || return 0
  kill "$watch" || true
  wait "$narrator" || true
  watch=
}

clean_up() {
  local status=$?
  end_narration
  if ((status != 0)); then
    say "the demo failed; what the cluster says:"
    kubectl -n "$namespace" get databases,jobs,pods -o wide >&2 || true
    kubectl -n "$namespace" get events --sort-by=.lastTimestamp | tail -15 >&2 || true
    kubectl -n "$namespace" describe database "$name" >&2 || true
  fi
}
trap clean_up EXIT

say "a Kubernetes cluster with a PostgreSQL 17 that runs somewhere already"
SERVERS=postgresql-17 "$here/up.sh"
"$here/release.sh"
source "$checkout/.cluster/env.sh"
admin_password=$(kubectl -n servers get secret postgresql-17-admin -o jsonpath='{.data.password}' | base64 -d)

say "the developer has a Secret with the server's password, and applies docs/examples/original.yaml as it stands"
kubectl -n "$namespace" create secret generic dbpassword --from-literal=password="$admin_password" \
  --dry-run=client -o yaml | kubectl apply -f - >/dev/null
begin_narration
kubectl -n "$namespace" apply -f "$checkout/docs/examples/original.yaml"
kubectl -n "$namespace" wait --for=condition=Ready database/"$name" --timeout=60s
kubectl -n "$namespace" get databases

say "the Secret of the same name has the login"
kubectl -n "$namespace" get secret "$name" -o go-template='{{range $key, $value := .data}}    {{$key}}{{"\n"}}{{end}}'

say "an application in the cluster logs in with it and writes a row"
image=$(kubectl -n servers get deploy postgresql-17 -o jsonpath='{.spec.template.spec.containers[0].image}')
kubectl -n "$namespace" delete job application --ignore-not-found >/dev/null
kubectl -n "$namespace" apply -f - >/dev/null <<YAML
apiVersion: batch/v1
kind: Job
metadata: {name: application}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      containers:
        - name: application
          image: $image
          command:
            - psql
            - \$(URI)
            - -qtAX
            - -v
            - ON_ERROR_STOP=1
            - -c
            - "CREATE TABLE greetings (text text); INSERT INTO greetings VALUES ('hello from ' || session_user) RETURNING text"
          env:
            - {name: URI, valueFrom: {secretKeyRef: {name: $name, key: uri}}}
YAML
kubectl -n "$namespace" wait --for=condition=Complete job/application --timeout=60s
note "the application says: $(kubectl -n "$namespace" logs job/application)"
database=$(kubectl -n "$namespace" get database "$name" -o jsonpath='{.status.database}')
uid=$(kubectl -n "$namespace" get database "$name" -o jsonpath='{.metadata.uid}')
[[ $(query_server "SELECT count(*) FROM pg_database WHERE datname = '$database'") == 1 ]]

say "the developer deletes it; backupTo is set, so it must not go without a final backup, which this version cannot write"
kubectl -n "$namespace" delete database "$name" --wait=false
kubectl -n "$namespace" wait --for=condition=Stalled database/"$name" --timeout=60s
note "$(kubectl -n "$namespace" get database "$name" -o jsonpath='{.status.conditions[?(@.type=="Stalled")].message}')"
[[ $(query_server "SELECT count(*) FROM pg_database WHERE datname = '$database'") == 1 ]]

say "the developer says: drop it all the same"
kubectl -n "$namespace" patch database "$name" --type=merge -p '{"spec":{"deletionPolicy":"Delete"}}'
wait_until 60 "the Database is gone" is_gone database
wait_until 60 "its Secret is gone" is_gone secret
left=$(query_server "SELECT count(*) FROM pg_database WHERE datname = '$database'")$(query_server \
  "SELECT count(*) FROM pg_roles WHERE rolname LIKE '$database%'")
[[ $left == 00 ]] || fail "the server still has something of $database"
end_narration
say "the object, its Secret, the database and its logins are gone"

# The driver's Jobs would stay for an hour, for whoever wants to read their logs.
kubectl -n "$namespace" delete job/application secret/dbpassword --cascade=foreground >/dev/null
kubectl -n "$namespace" delete jobs --selector "db.isotoma.com/uid=$uid" --cascade=foreground >/dev/null
note "and so is what the demo had put beside them: the application, the password, the finished Jobs of the driver"
[[ ${CLUSTER:-} == current ]] ||
  say "the cluster still runs, with the release in it: source .cluster/env.sh to use it, make cluster-down to end it"
