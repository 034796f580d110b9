#!/usr/bin/env bash
# Database servers and the object store in the running cluster.
#
#   servers.sh start NAME…    starts those that do not run yet, waits until ready
#   servers.sh list           names of all that there could be
set -euo pipefail
# shellcheck source=e2e/cluster/images.sh
source "$(dirname "${BASH_SOURCE[0]}")/images.sh"
# shellcheck source=e2e/cluster/certificates.sh
source "$here/certificates.sh"
# shellcheck source=e2e/cluster/config.sh
source "$here/config.sh"

all_servers=(postgresql-15 postgresql-17 postgresql-18 mariadb-10 mariadb-11 mysql-9 s3)

# What the manifest templates need to know of a server.
server_template() { printf '%s/servers/%s.yaml\n' "$here" "${1%-[0-9]*}"; }
server_admin() {
  case $1 in
    postgresql-*) echo postgres ;;
    s3) echo proving-ground-key ;;
    *) echo root ;;
  esac
}
# PostgreSQL 15 refuses TLS, for the test of "TLS required but refused".
server_tls() { if [[ $1 == postgresql-15 ]]; then echo off; else echo on; fi; }
server_names() {
  printf 'DNS:%s,DNS:%s.servers,DNS:%s.servers.svc,DNS:%s.servers.svc.cluster.local' "$1" "$1" "$1" "$1"
  if [[ $1 == postgresql-17 ]]; then printf ',DNS:db.example.com'; fi
}

kubectl_apply() { kubectl apply --server-side --force-conflicts --filename - >/dev/null; }

make_namespace() {
  make_authority
  kubectl create namespace servers --dry-run=client --output yaml | kubectl_apply
  kubectl create configmap servers-ca --namespace servers --from-file="$certificates/ca.crt" \
    --dry-run=client --output yaml | kubectl_apply
}

# make_secrets NAME: the password once, for the server keeps its first one.
make_secrets() {
  if ! kubectl get secret "$1-admin" --namespace servers >/dev/null 2>&1; then
    kubectl create secret generic "$1-admin" --namespace servers \
      --from-literal=username="$(server_admin "$1")" --from-file=password=<(random_password | tr -d '\n')
  fi >/dev/null
  make_certificate "$1" "/CN=$1" "$(server_names "$1")"
  kubectl create secret tls "$1-tls" --namespace servers --cert="$certificates/$1.crt" \
    --key="$certificates/$1.key" --dry-run=client --output yaml | kubectl_apply
}

# shellcheck disable=SC2034 # name, image and tls are read by render
apply_server() {
  local name=$1 image tls
  image=$(cluster_reference "$(image_reference "$name")")
  tls=$(server_tls "$name")
  make_secrets "$name"
  render "$(server_template "$name")" | kubectl_apply
}

start_servers() {
  local name
  make_namespace
  load_client_image
  for name in "$@"; do
    load_image "$(image_reference "$name")" "$(image_archive "$name")"
    apply_server "$name"
  done
  for name in "$@"; do
    kubectl rollout status "deployment/$name" --namespace servers --timeout=180s >/dev/null || explain_server "$name"
  done
}

explain_server() {
  {
    kubectl describe pods --namespace servers --selector "server=$1" | tail -n 20
    kubectl logs --namespace servers --tail=30 "deployment/$1" || true
  } >&2
  fail "server $1 does not become ready"
}

# An application for tests and the demo: the image of postgresql-17 has psql. On
# our own cluster it also has a name that a manifest can spell out.
load_client_image() {
  local reference
  reference=$(image_reference postgresql-17)
  load_image "$reference" "$(image_archive postgresql-17)"
  [[ ${CLUSTER:-} == current ]] || ctr_here images tag --force "$reference" localhost/postgresql-client:17 >/dev/null
}

known_server() { [[ " ${all_servers[*]} " == *" $1 "* ]] || fail "no server is named $1; there are: ${all_servers[*]}"; }

build_missing_images() {
  local name missing=()
  while read -r name; do
    [[ -f $(image_archive "$name") ]] || missing+=("$name")
  done < <(printf '%s\n' "$@" | sort -u)
  ((${#missing[@]} > 0)) || return 0
  # Two at a time: building one is mostly unpacking, which takes one core.
  say "${#missing[@]} images to build, once, two at a time: ${missing[*]} ($(about $((15 + 20 * ${#missing[@]}))))"
  printf '%s\n' "${missing[@]}" | xargs -n 1 -P 2 "$here/images.sh"
}

main() {
  local command=${1:-} name
  case $command in
    list) printf '%s\n' "${all_servers[@]}" ;;
    start)
      shift
      for name in "$@"; do known_server "$name"; done
      build_missing_images postgresql-17 "$@"
      step "starting $*" exclusively servers start_servers "$@"
      ;;
    *) fail "usage: servers.sh start NAME… | list" ;;
  esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  if [[ -f $checkout/.cluster/env.sh ]]; then
    # shellcheck disable=SC1091 # made by up.sh
    source "$checkout/.cluster/env.sh"
  fi
  main "$@"
fi
