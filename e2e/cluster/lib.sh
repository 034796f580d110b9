# shellcheck shell=bash
# What every script of the proving ground shares: paths, narration, waiting.
# To be sourced, never run.

# Sourced once, however many of our scripts ask for it.
if [[ -n ${cluster_library:-} ]]; then return 0; fi
cluster_library=sourced

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# Built once and kept: programs, image archives, containerd's unpacked images.
# Outside the checkout, so that a fresh clone on the same machine starts warm.
cache="${DB_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/db-operator}"

# What the running cluster owns: certificates, etcd's data, logs, pod volumes.
# One fixed place, for there is one cluster per machine, and `down.sh` must find
# what a crashed `up.sh` left, whoever ran it. Short, for sockets live in it too.
# shellcheck disable=SC2034
{
  checkout="$(cd "$here/../.." && pwd)"
  component="the cluster" # what is being started, to name it when that fails

  state=/var/lib/db-operator-cluster
  logs="$state/logs"
  run="$state/run"
  certificates="$state/certificates"
  # On somebody's own cluster only the servers' certificates are ours.
  if [[ ${CLUSTER:-} == current ]]; then certificates="$checkout/.cluster/certificates"; fi
  admin_kubeconfig="$state/admin.kubeconfig"
  audit_log="$logs/audit.log"

  # Every daemon, shim and pod process lives below this control group, so that
  # "all that is ours" is a question the kernel answers.
  cgroup_name=db-operator-cluster

  # Addresses of the cluster. They exist on this machine only.
  bridge=dbop0
  node_name=proving-ground
  node_address=10.231.0.1
  pod_range=10.231.0.0/20
  service_range=10.231.128.0/20
  kubernetes_service_address=10.231.128.1
  api_port=6443
}

# A fresh clone finds our dependencies compiled.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"

mkdir -p "$cache/locks"

say() { printf '==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }

# fail REASON: the reason is also kept, for whoever cleans up and says it once more at the end.
fail() {
  # shellcheck disable=SC2034 # for whoever sources this
  last_error=$*
  printf 'error: %s\n' "$*" >&2
  return 1
}

# step DESCRIPTION COMMAND…: runs the command and says how long it took.
step() {
  local description=$1 begin=$EPOCHREALTIME elapsed
  shift
  say "$description"
  "$@"
  local status=$? # seen only by a caller that goes on after failures
  ((status == 0)) || return "$status"
  elapsed=$(((${EPOCHREALTIME/./} - ${begin/./}) / 100000))
  note "$description: $((elapsed / 10)).$((elapsed % 10)) s"
}

# about SECONDS: as a person says it.
about() {
  if (($1 < 90)); then printf 'about %d s' "$1"; else printf 'about %d min' $((($1 + 30) / 60)); fi
}

# numbered DESCRIPTION SECONDS COMMAND…: a step that says which of how many it is, and how long it usually takes on two
# idle cores. The script sets `steps`, how many it has.
steps=1 step_number=0
numbered() {
  local description=$1 usual=$2
  shift 2
  step "$description ($((++step_number)) of $steps, $(about "$usual"))" "$@"
}

# quietly NAME SECONDS COMMAND…: what the command prints goes to a file, whose end
# is shown if it fails. Says how long it usually takes where that is long, and
# every half minute that it goes on. SECONDS is the usual time on two idle cores.
# The command MUST say by its own status that it failed: errexit is off within.
quietly() {
  local name=$1 usual=$2 log status=0 pulse
  shift 2
  log="$(mktemp -d)/$name.log"
  ((usual < 30)) || note "$name: $(about "$usual")"
  (pulse "$name" "$log") &
  pulse=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$pulse" 2>/dev/null || true
  wait "$pulse" 2>/dev/null || true
  if ((status != 0)); then
    tail -n 30 "$log" >&2
    fail "$name failed ($(failure_of $status)); all that it printed is in $log"
    return
  fi
  rm -rf "$(dirname "$log")"
}

failure_of() { if (($1 > 128)); then echo "signal $(($1 - 128))"; else echo "exit code $1"; fi; }

# pulse NAME LOG: lives as long as the script that began it.
pulse() {
  local begin=$SECONDS tick=0
  exec 9>&- # a lock is not for longer than its command
  while kill -0 $$ 2>/dev/null; do
    pause_briefly
    ((++tick % 300)) || note "$1: $((SECONDS - begin)) s so far, $(wc -l <"$2") lines of output"
  done
}

# pause_briefly: the pause between two looks at a condition, without a process.
pause_briefly() {
  if [[ -z ${pause_descriptor:-} ]]; then
    exec {pause_descriptor}<> <(:)
  fi
  read -rt 0.1 -u "$pause_descriptor" || true
}

# wait_until SECONDS DESCRIPTION COMMAND…: polls until the command succeeds.
wait_until() {
  local deadline=$((SECONDS + $1)) description=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      fail "gave up waiting: $description"
      return 1
    fi
    pause_briefly
  done
}

# exclusively NAME COMMAND…: one such command on this machine at a time. The
# subshell keeps the lock's descriptor from outliving the command; daemons must
# close it themselves (see daemons.sh).
exclusively() {
  local lock="$cache/locks/$1"
  shift
  (
    exec 9>"$lock"
    if ! flock --nonblock 9; then
      note "waiting for another run that holds $lock"
      flock 9
    fi
    "$@"
  )
}

# short_hash FILE…: a name for a content, from file names and contents.
short_hash() { sha256sum "$@" | sed "s,$here/,," | sha256sum | cut -c1-12; }
