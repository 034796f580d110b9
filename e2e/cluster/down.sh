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
  # The kubelet links each container's log here, whatever its own log folder is.
  find /var/log/containers -maxdepth 1 -lname "$logs/*" -delete 2>/dev/null || true
  rm -rf "$checkout/.cluster"
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
