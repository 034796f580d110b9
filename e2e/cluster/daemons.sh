# shellcheck shell=bash
# Starting daemons inside our control group, and ending everything in it.
# To be sourced. Sets `component`, whom up.sh blames when the start fails.
# shellcheck disable=SC2034

# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# control_group_roots: one line for each control group hierarchy of the machine
# that can hold a group of ours (version 1, version 2 or both side by side).
control_group_roots() {
  awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/self/mounts
}

make_control_groups() {
  local root
  while read -r root; do
    mkdir -p "$root/$cgroup_name" || true
  done < <(control_group_roots)
  # A version 1 cpuset starts empty, and then takes no process.
  local cpuset=/sys/fs/cgroup/cpuset
  if [[ -w $cpuset/$cgroup_name/cpuset.cpus ]]; then
    cat "$cpuset/cpuset.cpus" >"$cpuset/$cgroup_name/cpuset.cpus"
    cat "$cpuset/cpuset.mems" >"$cpuset/$cgroup_name/cpuset.mems"
  fi
}

# The hierarchy that tells us which processes are ours: the pids controller of
# version 1 where it exists, for runc puts every container there; else version 2.
tracking_root() {
  if [[ -d /sys/fs/cgroup/pids ]]; then echo /sys/fs/cgroup/pids; else echo /sys/fs/cgroup; fi
}

our_processes() {
  local group
  group="$(tracking_root)/$cgroup_name"
  [[ -d $group ]] || return 0
  # A pod's group may go while we look.
  { find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null || true; } | sort -un
}

# start_daemon NAME COMMAND…: its log is $logs/NAME.log, its pid in $run/NAME.pid.
start_daemon() {
  local name=$1 group
  shift
  component=$name
  group="$(tracking_root)/$cgroup_name/daemons"
  mkdir -p "$group" "$logs" "$run"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec 9>&- # the lock of the script that starts us must not live as long as we do
    exec setsid "$@" >"$logs/$name.log" 2>&1 </dev/null
  ) &
  echo $! >"$run/$name.pid"
  disown $! # its end is ours to report, not the shell's
}

daemon_alive() {
  local pid
  pid=$(cat "$run/$1.pid" 2>/dev/null) && [[ -d /proc/$pid ]] && our_processes | grep -x "$pid" >/dev/null
}

# wait_for_daemon NAME SECONDS COMMAND…: until the command succeeds; fails as
# soon as the daemon is dead, with the end of its log.
wait_for_daemon() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  component=$name
  until "$@" >/dev/null 2>&1; do
    if ! daemon_alive "$name"; then
      fail "$name died"
      return 1
    fi
    if ((SECONDS >= deadline)); then
      fail "$name is not ready"
      return 1
    fi
    pause_briefly
  done
}

# stop_processes: ends all that is in our control group: daemons, shims, pods.
stop_processes() {
  # The API server first: it hangs in its own shutdown once etcd is gone. And
  # containerd in peace, for its folder is kept for the next start.
  stop_daemon kube-apiserver KILL
  stop_daemon containerd TERM
  wait_until 20 "the cluster's processes end" kill_what_is_left
  remove_control_groups
}

# kill_what_is_left: true once nothing is.
kill_what_is_left() {
  local pids
  mapfile -t pids < <(our_processes)
  ((${#pids[@]} == 0)) && return
  kill -KILL "${pids[@]}" || true
  return 1
}

stop_daemon() {
  local pid
  daemon_alive "$1" || return 0
  pid=$(cat "$run/$1.pid")
  kill "-$2" "$pid" 2>/dev/null || true
  wait_until 10 "$1 ends" process_gone "$pid" || true
}

process_gone() { [[ ! -d /proc/$1 ]] || grep -q '^State:.*zombie' "/proc/$1/status"; }

remove_control_groups() {
  local root
  while read -r root; do
    if [[ -d $root/$cgroup_name ]]; then
      find "$root/$cgroup_name" -depth -type d -exec rmdir {} + 2>/dev/null || true
    fi
  done < <(control_group_roots)
}

# unmount_everything: below the state and containerd's folder, deepest first.
unmount_everything() {
  local mount_point
  while read -r mount_point; do
    umount --lazy "$mount_point" 2>/dev/null || true
  done < <(awk -v state="$state/" -v kept="$cache/containerd" \
    'index($5, state) == 1 || index($5, kept) == 1 {print $5}' /proc/self/mountinfo | sort -r)
}
