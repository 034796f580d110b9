# shellcheck shell=bash
# etcd, API server, controller manager and scheduler.
# To be sourced.

# shellcheck source=e2e/cluster/daemons.sh
source "$(dirname "${BASH_SOURCE[0]}")/daemons.sh"
# shellcheck source=e2e/cluster/config.sh
source "$here/config.sh"

start_etcd() {
  # The data lives as long as the cluster, so nothing waits for the disk.
  start_daemon etcd "$1/etcd" --name default --data-dir "$state/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:23790 --advertise-client-urls http://127.0.0.1:23790 \
    --listen-peer-urls http://127.0.0.1:23800 --initial-advertise-peer-urls http://127.0.0.1:23800 \
    --initial-cluster default=http://127.0.0.1:23800 --log-level warn
  wait_for_daemon etcd 30 curl -fsS http://127.0.0.1:23790/health
}

start_api_server() {
  start_daemon kube-apiserver "$1/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:23790 \
    --bind-address=0.0.0.0 --secure-port="$api_port" --advertise-address="$node_address" \
    --tls-cert-file="$certificates/apiserver.crt" --tls-private-key-file="$certificates/apiserver.key" \
    --client-ca-file="$certificates/ca.crt" --token-auth-file="$state/tokens.csv" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged \
    --service-cluster-ip-range="$service_range" \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$certificates/service-accounts.pub" \
    --service-account-signing-key-file="$certificates/service-accounts.key" \
    --kubelet-client-certificate="$certificates/apiserver-to-kubelet.crt" \
    --kubelet-client-key="$certificates/apiserver-to-kubelet.key" \
    --kubelet-preferred-address-types=InternalIP \
    --audit-policy-file="$here/config/audit-policy.yaml" --audit-log-path="$audit_log" \
    --audit-log-maxsize=1000 --audit-log-mode=batch --audit-log-batch-max-wait=1s
  wait_for_daemon kube-apiserver 60 kubectl_as_admin get --raw /readyz
}

kubectl_as_admin() {
  "$kube_programs/kubectl" --kubeconfig "$admin_kubeconfig" --request-timeout=30s "$@"
}

start_controller_manager() {
  start_daemon kube-controller-manager "$1/kube-controller-manager" \
    --kubeconfig="$state/kube-controller-manager.kubeconfig" --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file="$certificates/service-accounts.key" \
    --root-ca-file="$certificates/ca.crt"
}

start_scheduler() {
  start_daemon kube-scheduler "$1/kube-scheduler" \
    --kubeconfig="$state/kube-scheduler.kubeconfig" --leader-elect=false
}

# start_control_plane ETCD_PROGRAMS KUBE_PROGRAMS: returns when pods can be made,
# that is when the controller manager has made the default service account.
start_control_plane() {
  local etcd_programs=$1
  kube_programs=$2
  make_kubeconfig "$admin_kubeconfig" admin
  make_kubeconfig "$state/kube-controller-manager.kubeconfig" system:kube-controller-manager
  make_kubeconfig "$state/kube-scheduler.kubeconfig" system:kube-scheduler
  start_etcd "$etcd_programs"
  start_api_server "$kube_programs"
  start_controller_manager "$kube_programs"
  start_scheduler "$kube_programs"
  wait_for_daemon kube-controller-manager 60 kubectl_as_admin get serviceaccount default
}
