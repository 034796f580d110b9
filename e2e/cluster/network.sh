# shellcheck shell=bash
# The cluster's network on the host: one bridge, one route, kube-proxy's rules.
# To be sourced.

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_network() {
  ip link add "$bridge" type bridge 2>/dev/null || true
  ip address replace "$node_address/20" dev "$bridge"
  ip link set "$bridge" up
  # No packet to a Service address that nothing serves may leave the machine.
  ip route replace blackhole "$service_range"
  sysctl -q -w net.ipv4.ip_forward=1
  # A Service's answer between two pods on the bridge must pass the host's NAT.
  modprobe br_netfilter 2>/dev/null || true
  sysctl -q -w net.bridge.bridge-nf-call-iptables=1
}

# bridge_exists: what down.sh asks to know whether there is something to remove.
bridge_exists() { ip link show "$bridge" >/dev/null 2>&1; }

remove_network() {
  local kube_programs=$1
  ip link delete "$bridge" 2>/dev/null || true
  ip route delete blackhole "$service_range" 2>/dev/null || true
  command -v iptables-save >/dev/null || return 0
  if iptables-save 2>/dev/null | grep -q -- KUBE- && [[ -x $kube_programs/kube-proxy ]]; then
    "$kube_programs/kube-proxy" --cleanup >/dev/null 2>&1 || true
  fi
  remove_kubernetes_rules iptables
  remove_kubernetes_rules ip6tables
}

# kube-proxy --cleanup leaves the chains that the kubelet made (KUBE-FIREWALL,
# KUBE-KUBELET-CANARY …). Nothing else on a machine names chains KUBE-.
remove_kubernetes_rules() {
  local program=$1 table
  for table in mangle nat filter; do
    "$program-save" -t "$table" 2>/dev/null | grep -q -- KUBE- || continue
    "$program-save" -t "$table" | grep -v -- KUBE- | "$program-restore" -T "$table"
  done
}
