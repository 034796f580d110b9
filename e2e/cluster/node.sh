# shellcheck shell=bash
# containerd, kubelet, kube-proxy and CoreDNS: this machine as the one node.
# To be sourced.

# shellcheck source=e2e/cluster/control_plane.sh
source "$(dirname "${BASH_SOURCE[0]}")/control_plane.sh"
# shellcheck source=e2e/cluster/images.sh
source "$here/images.sh"

# shellcheck disable=SC2034 # render reads the variables
start_containerd() {
  local containerd_programs=$1 containerd_root pause_image
  # Kept between clusters: images imported and unpacked once stay so. A folder
  # for each build of containerd, for an older one may not read a newer one's.
  containerd_root="$cache/containerd/$(basename "$containerd_programs")"
  pause_image=$(image_reference pause)
  mkdir -p "$containerd_root" "$state/cni"
  render "$here/config/containerd.toml" >"$state/containerd.toml"
  render "$here/config/cni.conflist" >"$state/cni/10-proving-ground.conflist"
  # containerd starts its shim by name
  PATH="$containerd_programs:$PATH" start_daemon containerd \
    "$containerd_programs/containerd" --config "$state/containerd.toml"
  wait_for_daemon containerd 30 ctr_here version
  forget_old_containers
}

# Containers of a cluster that is gone, still known to the containerd whose
# images we keep: without this the kubelet would take them for its own.
forget_old_containers() {
  local containers
  mapfile -t containers < <(ctr_here containers list --quiet)
  if ((${#containers[@]} > 0)); then ctr_here containers remove "${containers[@]}"; fi
}

start_kubelet() {
  make_kubeconfig "$state/kubelet.kubeconfig" "system:node:$node_name"
  printf 'nameserver %s\n' "$node_address" >"$state/resolv.conf"
  render "$here/config/kubelet.yaml" >"$state/kubelet.yaml"
  start_daemon kubelet "$1/kubelet" --config="$state/kubelet.yaml" \
    --kubeconfig="$state/kubelet.kubeconfig" --root-dir="$state/kubelet" --cert-dir="$state/kubelet/pki" \
    --hostname-override="$node_name" --node-ip="$node_address"
}

start_kube_proxy() {
  make_kubeconfig "$state/kube-proxy.kubeconfig" system:kube-proxy
  # The machine's connection tracking limits are not ours to change: 0 leaves them.
  start_daemon kube-proxy "$1/kube-proxy" --kubeconfig="$state/kube-proxy.kubeconfig" \
    --proxy-mode=iptables --hostname-override="$node_name" --cluster-cidr="$pod_range" \
    --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
}

start_coredns() {
  make_kubeconfig "$state/coredns.kubeconfig" coredns
  render "$here/config/Corefile" >"$state/Corefile"
  start_daemon coredns "$1/coredns" -conf "$state/Corefile"
}

node_ready() {
  kubectl_as_admin wait --for=condition=Ready "node/$node_name" --timeout=1s
}

start_node() {
  local kube_programs=$1 coredns_programs=$2
  start_kubelet "$kube_programs"
  start_kube_proxy "$kube_programs"
  start_coredns "$coredns_programs"
  wait_for_daemon kubelet 60 node_ready
  wait_for_daemon kube-proxy 30 curl -fsS http://127.0.0.1:10256/healthz
  wait_for_daemon coredns 30 curl -fsS http://127.0.0.1:18181/ready
}
