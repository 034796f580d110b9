#!/usr/bin/env bash
# The story of one database, told on a real cluster. Exits 0 only if all of it happened.
set -euo pipefail

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"
# shellcheck source=e2e/bucket.sh
source "$checkout/e2e/bucket.sh"

namespace=demo
name=mydb

# One row a line, without the noise of a terminal client.
query_server() { # SQL [DATABASE]
  kubectl -n servers exec deploy/postgresql-17 -- \
    env PGPASSWORD="$admin_password" psql -h localhost -U postgres -d "${2:-postgres}" -qtAX -c "$1"
}
# How many rows there are, and a hash over all of them.
hash="SELECT count(*), md5(string_agg(text, ',' ORDER BY text)) FROM greetings"

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

say "a Kubernetes cluster with a PostgreSQL 17 and an object store that run somewhere already"
SERVERS="postgresql-17 s3" "$here/up.sh"
"$here/release.sh"
source "$checkout/.cluster/env.sh"

# Not before: what fails above has said so itself, and there is no cluster to ask.
explain_failure() {
  local status=$? reason=${last_error:-$BASH_COMMAND}
  end_narration
  ((status != 0)) || return 0
  {
    printf '\n==> what the cluster says of it\n'
    kubectl -n "$namespace" get databases,jobs,pods -o wide || true
    kubectl -n "$namespace" get events --sort-by=.lastTimestamp | tail -15 || true
    kubectl -n "$namespace" describe database "$name" || true
  } >&2
  printf 'error: the demo failed at "%s": %s\n' "$chapter" "$reason" >&2
}
trap explain_failure EXIT

# tell TEXT: the story's next chapter, numbered.
chapters=$(grep -c '^tell ' "${BASH_SOURCE[0]}")
chapter_number=0
chapter="what an earlier demo left"
tell() {
  chapter=$*
  say "$((++chapter_number)) of $chapters: $chapter"
}

admin_password=$(kubectl -n servers get secret postgresql-17-admin -o jsonpath='{.data.password}' | base64 -d)

# What an earlier demo left that failed.
if kubectl -n "$namespace" get database "$name" >/dev/null 2>&1; then
  kubectl -n "$namespace" patch database "$name" --type=merge -p '{"spec":{"deletionPolicy":"Delete"}}' >/dev/null
  kubectl -n "$namespace" delete database "$name"
fi
kubectl -n "$namespace" delete backups --all >/dev/null

tell "the developer has a Secret with the server's password, and applies docs/examples/original.yaml as it stands"
kubectl -n "$namespace" create secret generic dbpassword --from-literal=password="$admin_password" \
  --dry-run=client -o yaml | kubectl apply -f - >/dev/null
begin_narration
kubectl -n "$namespace" apply -f "$checkout/docs/examples/original.yaml"
kubectl -n "$namespace" wait --for=condition=Ready database/"$name" --timeout=60s
kubectl -n "$namespace" get databases

tell "the Secret of the same name has the login"
kubectl -n "$namespace" get secret "$name" -o go-template='{{range $key, $value := .data}}    {{$key}}{{"\n"}}{{end}}'

tell "an application in the cluster logs in with it and writes a row"
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

tell "the platform's object store is another one than the example's: the developer names it, with an access key"
put_access_key "$namespace"
make_bucket my-backup-bucket
kubectl -n "$namespace" patch database "$name" --type=merge --patch-file=/dev/stdin \
  <<<"spec: {backupTo: {S3: null, s3: $(s3_target my-backup-bucket)}}"

tell "the developer asks for a backup"
kubectl -n "$namespace" apply -f - <<YAML
apiVersion: db.isotoma.com/v1alpha1
kind: Backup
metadata: {name: before-the-release}
spec: {database: $name}
YAML
kubectl -n "$namespace" wait --for=jsonpath='{.status.phase}'=Completed backup/before-the-release --timeout=60s
kubectl -n "$namespace" get backups

tell "the developer deletes it; backupTo is set, so its logins are locked out, it is backed up, read back, and only then dropped"
before=$(query_server "$hash" "$database")
kubectl -n "$namespace" delete database "$name" --wait=false
wait_until 60 "the Database is gone" is_gone database
wait_until 60 "its Secret is gone" is_gone secret
left=$(query_server "SELECT count(*) FROM pg_database WHERE datname = '$database'")$(query_server \
  "SELECT count(*) FROM pg_roles WHERE rolname LIKE '$database%'")
[[ $left == 00 ]] || fail "the server still has something of $database"
tell "the object, its Secret, the database and its logins are gone; its backups are not"
kubectl -n "$namespace" get backups
last=$(kubectl -n "$namespace" get backups -l "db.isotoma.com/uid=$uid" -o jsonpath='{.items[0].metadata.name}')

tell "the developer wants it back: the same Database, with restoreFrom"
kubectl -n "$namespace" apply -f "$checkout/docs/examples/original.yaml" --dry-run=client -o json |
  jq --arg backup "$last" '.spec.restoreFrom = {backup: $backup}' | kubectl -n "$namespace" apply -f -
kubectl -n "$namespace" wait --for=condition=Ready database/"$name" --timeout=60s
database=$(kubectl -n "$namespace" get database "$name" -o jsonpath='{.status.database}')
after=$(query_server "$hash" "$database")
note "rows and hash before: $before"
note "rows and hash after:  $after"
[[ -n $before && $before == "$after" ]] || fail "the rows that came back are others"
kubectl -n "$namespace" patch database "$name" --type=merge -p '{"spec":{"deletionPolicy":"Delete"}}' >/dev/null
restored=$(kubectl -n "$namespace" get database "$name" -o jsonpath='{.metadata.uid}')
kubectl -n "$namespace" delete database "$name"
end_narration

# The driver's Jobs would stay for an hour, for whoever wants to read their logs.
kubectl -n "$namespace" delete job/application secret/dbpassword secret/bucket --cascade=foreground >/dev/null
kubectl -n "$namespace" delete jobs --selector "db.isotoma.com/uid in ($uid, $restored)" >/dev/null
kubectl -n "$namespace" delete backups --all >/dev/null
note "removed, too, is what the demo had put beside them: the application, the passwords, the finished Jobs, the Backup objects"
[[ ${CLUSTER:-} == current ]] ||
  say "the cluster still runs, with the release in it: source .cluster/env.sh to use it, make cluster-down to end it"
