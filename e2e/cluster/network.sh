# shellcheck shell=bash
# The cluster's network on the host: one bridge, its routes, packet filter rules.
# To be sourced.

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Pods reach the cluster and this machine, nothing else: whatever a test tries
# to connect to, no packet of it leaves the machine.
stay_inside=(FORWARD -i "$bridge" ! -o "$bridge" -m comment --comment "$cgroup_name" -j REJECT)

make_network() {
  ip link add "$bridge" type bridge 2>/dev/null || true
  ip address replace "$node_address/20" dev "$bridge"
  ip link set "$bridge" up
  # The host's own packets to a Service need a route before kube-proxy's rules
  # see them; those to an address that nothing serves end on the bridge.
  ip route replace "$service_range" dev "$bridge" src "$node_address"
  iptables -I "${stay_inside[@]}"
  set_kernel_parameter net.ipv4.ip_forward 1
  # A Service's answer between two pods on the bridge must pass the host's NAT.
  modprobe br_netfilter 2>/dev/null || true
  set_kernel_parameter net.bridge.bridge-nf-call-iptables 1
}

# set_kernel_parameter NAME VALUE: and remembers what it was before.
set_kernel_parameter() {
  printf '%s=%s\n' "$1" "$(sysctl -n "$1")" >>"$state/kernel-parameters"
  sysctl -q -w "$1=$2"
}

# bridge_exists: what down.sh asks to know whether there is something to remove.
bridge_exists() { ip link show "$bridge" >/dev/null 2>&1; }

remove_network() {
  local kube_programs=$1
  if [[ -s $state/kernel-parameters ]]; then sysctl -q -p "$state/kernel-parameters" || true; fi
  ip route flush "$service_range" dev "$bridge" 2>/dev/null || true
  ip link delete "$bridge" 2>/dev/null || true
  command -v iptables-save >/dev/null || return 0
  while iptables -D "${stay_inside[@]}" 2>/dev/null; do :; done
  if has_kubernetes_rules && [[ -x $kube_programs/kube-proxy ]]; then
    "$kube_programs/kube-proxy" --cleanup >/dev/null 2>&1 || true
  fi
  remove_kubernetes_rules iptables
  remove_kubernetes_rules ip6tables
}

has_kubernetes_rules() { [[ $(iptables-save 2>/dev/null) == *KUBE-* ]]; }

# kube-proxy --cleanup leaves the chains that the kubelet made, and all when it
# is not there any more. Nothing else on a machine names chains KUBE-.
remove_kubernetes_rules() {
  local program=$1 table rules
  for table in mangle nat filter; do
    rules=$("$program-save" -t "$table" 2>/dev/null) || continue
    [[ $rules == *KUBE-* ]] || continue
    grep -v KUBE- <<<"$rules" | "$program-restore" -T "$table"
  done
}
