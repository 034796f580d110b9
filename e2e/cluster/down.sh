#!/usr/bin/env bash
# Ends the cluster and removes all that it left on the machine: processes,
# mounts, control groups, bridge, route, packet filter rules. Safe to repeat,
# also after a crash of the machine, of a daemon or of up.sh.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=e2e/cluster/daemons.sh
source "$here/daemons.sh"
# shellcheck source=e2e/cluster/network.sh
source "$here/network.sh"
# shellcheck source=e2e/cluster/programs.sh
source "$here/programs.sh"

remove_state() {
  # Only what is not a mount any more: never follow a mount into something else.
  rm -rf --one-file-system "$state"
  remove_fixed_places
  rm -rf "$checkout/.cluster"
}

# What kubelet, containerd and the CNI library put in places of their own,
# whatever their configuration says; the folders only if nothing else is in them.
remove_fixed_places() {
  find /var/log/containers -maxdepth 1 -lname "$logs/*" -delete 2>/dev/null || true
  local result container socket
  for result in /var/lib/cni/results/proving-ground-*-eth0; do
    container=${result##*/proving-ground-}
    rm -f "$result" "/var/lib/cni/results/cni-loopback-${container%-eth0}-lo"
  done
  for socket in /run/containerd/s/* /var/lib/kubelet/device-plugins/kubelet.sock; do
    # Another containerd of this machine, such as Docker's, keeps its sockets here.
    if [[ -S $socket ]] && ! grep -qF "$socket" /proc/net/unix; then rm -f "$socket"; fi
  done
  rmdir /var/log/containers /var/lib/cni/results /var/lib/cni /run/containerd/s /run/containerd \
    /var/lib/kubelet/device-plugins /var/lib/kubelet 2>/dev/null || true
}

take_down() {
  stop_processes
  unmount_everything
  remove_network "$(program_folder kube)"
  remove_state
}

if [[ ${CLUSTER:-} == current ]]; then
  say "CLUSTER=current: the cluster is yours, nothing is stopped"
  exit 0
fi
if [[ ! -d $state ]] && ! bridge_exists && [[ -z $(our_processes) ]]; then
  say "no cluster here"
  exit 0
fi
# up.sh calls this while it holds the lock.
if [[ ${1:-} == --locked ]]; then
  step "taking the cluster down" take_down
else
  step "taking the cluster down" exclusively cluster take_down
fi
