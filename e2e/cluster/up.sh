#!/usr/bin/env bash
# Brings up a real Kubernetes on this machine, with database servers in it.
#
#   SERVERS="postgresql-17 s3" up.sh    default: all servers
#   CLUSTER=current up.sh               no cluster of ours: the one that kubectl uses
#
# A healthy cluster of this version that runs already is used as it is; any other,
# and what a crashed one left, is removed first. A failed start leaves nothing behind.
set -euo pipefail
# shellcheck source=e2e/cluster/node.sh
source "$(dirname "${BASH_SOURCE[0]}")/node.sh"
# shellcheck source=e2e/cluster/network.sh
source "$here/network.sh"
# shellcheck source=e2e/cluster/certificates.sh
source "$here/certificates.sh"

daemons=(etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy coredns)

# What a running cluster was made from; one made from something else is not the
# one that this checkout asks for.
cluster_recipe() {
  short_hash "$here"/config/* "$here"/pins/{etcd,runc,cni,containerd,kube,coredns}/go.{mod,sum} \
    "$here"/{control_plane,node,network}.sh
}

cluster_healthy() {
  [[ -f $state/recipe && $(<"$state/recipe") == "$(cluster_recipe)" ]] || return 1
  local daemon
  for daemon in "${daemons[@]}"; do
    daemon_alive "$daemon" || return 1
  done
  kube_programs=$(program_folder kube)
  kubectl_as_admin get --raw /readyz >/dev/null 2>&1 && node_ready >/dev/null 2>&1
}

# Someone else's node on this machine would lose its rules when ours stops.
refuse_a_foreign_node() {
  if has_kubernetes_rules; then
    fail "this machine is already a node of another Kubernetes (iptables has KUBE- chains): use CLUSTER=current"
  fi
}

# shellcheck disable=SC2034 # render reads the variables
start_cluster() {
  trap report_failure EXIT
  local containerd kube coredns etcd
  containerd=$(program_folder containerd)
  kube=$(program_folder kube)
  coredns=$(program_folder coredns)
  etcd=$(program_folder etcd)
  cni_programs=$(program_folder cni)
  runc_programs=$(program_folder runc)

  mkdir -p "$state" "$logs" "$run"
  make_control_groups
  make_cluster_certificates
  make_network
  make_tokens
  start_containerd "$containerd"
  load_image "$(image_reference pause)" "$(image_archive pause)"
  start_control_plane "$etcd" "$kube"
  start_node "$kube" "$coredns"
  cluster_recipe >"$state/recipe"
  trap - EXIT
}

# report_failure: a clean machine, then the end of the log, and the reason last.
report_failure() {
  trap - EXIT
  local log_end=
  if [[ -s $logs/$component.log ]]; then log_end=$(tail -n 30 "$logs/$component.log" | cut -c1-400); fi
  "$here/down.sh" --locked
  if [[ -n $log_end ]]; then
    note "the last lines of the log of $component:"
    printf '%s\n' "$log_end" >&2
  fi
  fail "the cluster did not start, for $component failed${last_error:+: $last_error}" || exit 1
}

# write_environment KUBECONFIG PROGRAMS AUDIT_LOG: what a person or a test sources.
# shellcheck disable=SC2016 # whoever sources the file has a PATH of their own
write_environment() {
  mkdir -p "$checkout/.cluster"
  {
    printf 'export KUBECONFIG=%q\n' "$1"
    printf 'export PATH=%q"$PATH"\n' "$2"
    printf 'export AUDIT_LOG=%q\n' "$3"
    printf 'export CLUSTER=%q\n' "${CLUSTER:-}"
    printf 'export CLIENT_IMAGE=%q\n' "$(cluster_reference "$(image_reference postgresql-17)")"
  } >"$checkout/.cluster/env.sh.new"
  mv "$checkout/.cluster/env.sh.new" "$checkout/.cluster/env.sh"
}

bring_up() {
  if cluster_healthy; then
    say "the cluster is up and healthy"
    return
  fi
  if [[ -d $state ]] || bridge_exists; then
    say "a cluster is here that is unhealthy or of another version: cleaning up first"
    "$here/down.sh" --locked
  fi
  refuse_a_foreign_node
  step "starting the cluster" start_cluster
}

use_current_cluster() {
  local program
  # Images are made here all the same, and so are our binaries.
  "$here/prepare.sh"
  for program in kubectl helm; do
    command -v "$program" >/dev/null || { fail "CLUSTER=current needs $program"; return 1; }
  done
  kubectl get --raw /readyz >/dev/null
  write_environment "${KUBECONFIG:-$HOME/.kube/config}" "" ""
}

use_own_cluster() {
  "$here/prepare.sh"
  "$here/programs.sh"
  ensure_image pause
  exclusively cluster bring_up
  write_environment "$admin_kubeconfig" "$(program_folder kube):$(program_folder helm):" "$audit_log"
}

main() {
  local servers
  read -ra servers <<<"${SERVERS-$("$here/servers.sh" list | xargs)}"
  if [[ ${CLUSTER:-} == current ]]; then use_current_cluster; else use_own_cluster; fi
  if ((${#servers[@]} > 0)); then "$here/servers.sh" start "${servers[@]}"; fi
  print_summary
}

print_summary() {
  # shellcheck disable=SC1091 # made above
  source "$checkout/.cluster/env.sh"
  say "what is there"
  kubectl get nodes
  kubectl get services,pods --namespace servers --ignore-not-found
  cat <<END

To use it:      source .cluster/env.sh
Admin login:    kubectl get secret NAME-admin -n servers -o yaml
END
  [[ ${CLUSTER:-} == current ]] || cat <<END
Logs:           $logs (requests: $audit_log)
To end it:      make cluster-down
END
}

main "$@"
