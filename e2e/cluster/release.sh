#!/usr/bin/env bash
# Builds our images, loads them into the running cluster and installs the chart.
# To be repeated after every change: what did not change is not rolled out again.
set -euo pipefail
# shellcheck source=e2e/cluster/images.sh
source "$(dirname "${BASH_SOURCE[0]}")/images.sh"
# shellcheck source=e2e/cluster/backup_root.sh
source "$here/backup_root.sh"

target=x86_64-unknown-linux-musl
binaries="$CARGO_TARGET_DIR/$target/release"

# Our images: name, Containerfile, binaries in it with a comma between.
our_images=(
  "db-operator operator/Containerfile db-operator,db-operator-release"
  "db-operator-driver-postgresql drivers/postgresql/Containerfile db-operator-driver-postgresql"
  "db-operator-driver-postgresql-backup drivers/postgresql/Containerfile.backup db-operator-driver-postgresql"
)

# Each on its own, for in one build cargo gives both what either asks of a dependency, and a driver would
# carry the operator's controller runtime.
build_binaries() {
  local binary
  for binary in db-operator db-operator-release db-operator-driver-postgresql; do
    # The C in our dependencies is freestanding enough for glibc's compiler.
    (cd "$checkout" && CC_x86_64_unknown_linux_musl=gcc \
      cargo build --locked --release --target "$target" --package "$binary")
  done
}

# binaries_of LIST: their paths, a line each.
binaries_of() { tr , '\n' <<<"$1" | sed "s|^|$binaries/|"; }

# release_tag CONTAINERFILE BINARIES: from the content, so that only a changed binary rolls out.
release_tag() {
  printf 'dev-%s\n' "$({
    { binaries_of "$2"; printf '%s\n' "$checkout/$1"; } | xargs -d '\n' sha256sum | cut -d' ' -f1
    [[ $1 != *.backup ]] || backup_root_key
  } | sha256sum | cut -c1-12)"
}

release_archive() { printf '%s/images/%s-%s.tar\n' "$cache" "$1" "$2"; }

build_release_image() {
  local name=$1 containerfile=$2 binary=$3 tag archive context paths
  mapfile -t paths < <(binaries_of "$binary")
  tag=$(release_tag "$containerfile" "$binary")
  archive=$(release_archive "$name" "$tag")
  if [[ ! -f $archive ]]; then
    mkdir -p "$cache/images"
    context=$(mktemp -d "$cache/images/.context.XXXXXX")
    cp "${paths[@]}" /etc/ssl/certs/ca-certificates.crt "$context"
    if [[ $containerfile == *.backup ]]; then
      ensure_backup_root
      cp "$(backup_root_archive)" "$context/root.tar"
    fi
    build_archive "$checkout/$containerfile" "$context" "localhost/$name:$tag" "$archive"
    rm -rf "$context"
  fi
  load_image "localhost/$name:$tag" "$archive"
  note "$name:$tag: binary $(megabytes "${paths[0]}"), image $(megabytes "$archive") compressed"
}

megabytes() { awk -v bytes="$(stat -c %s "$1")" 'BEGIN {printf "%.1f MB", bytes / 1e6}'; }

build_release_images() {
  local image name containerfile binary
  for image in "${our_images[@]}"; do
    read -r name containerfile binary <<<"$image"
    build_release_image "$name" "$containerfile" "$binary"
  done
}

# image_values NAME: the chart's values for one of our images.
image_values() {
  local image name containerfile binary reference
  for image in "${our_images[@]}"; do
    read -r name containerfile binary <<<"$image"
    if [[ $name == "$1" ]]; then break; fi
  done
  reference=$(cluster_reference "localhost/$name:$(release_tag "$containerfile" "$binary")")
  printf '{repository: "%s", tag: "%s"}' "${reference%:*}" "${reference##*:}"
}

chart_values() {
  cat <<END
image: $(image_values db-operator)
drivers:
  postgresql:
    image: $(image_values db-operator-driver-postgresql)
    backupImage: $(image_values db-operator-driver-postgresql-backup)
# What tests register as drivers of their own.
allowedDrivers:
  - image: $(cluster_reference localhost/db-operator-driver-postgresql)
    env: [AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]
  - image: localhost/no-such-image
  # One that has all that an entry can have, and a folder. No such image is ever pulled.
  - image: localhost/allowed:1
    env: [RUST_LOG=debug, TZ]
    labels: [team]
    annotations: [example.com/team]
    priorityClassName: drivers
  - image: localhost/allowed-folder/
  # What load.sh loads: somebody else's drivers.
  - image: $(cluster_reference localhost/drivers/)
tenantNamespaces: [demo]
END
}

install_chart() {
  local namespace
  for namespace in db-operator demo; do
    kubectl create namespace "$namespace" --dry-run=client --output yaml | kubectl apply --server-side --filename - >/dev/null
  done
  helm upgrade --install db-operator "$checkout/charts/db-operator" --namespace db-operator \
    --values <(chart_values) "$@" >/dev/null
  kubectl rollout status deployment --namespace db-operator --timeout=90s || explain_release
}

explain_release() {
  {
    kubectl get events --namespace db-operator --sort-by=.lastTimestamp | tail -n 20
    kubectl logs --namespace db-operator --all-containers --tail=30 --selector app.kubernetes.io/name=db-operator || true
  } >&2
  fail "the release does not become ready"
}

# Every build has a tag of its own; without this the cache would fill with them. KEEP_RELEASES=yes leaves them, as a
# registry does: pods of Jobs of before may be yet to come.
forget_old_releases() {
  local image name containerfile binary tag archive reference
  [[ ${KEEP_RELEASES:-} != yes ]] || return 0
  for image in "${our_images[@]}"; do
    read -r name containerfile binary <<<"$image"
    tag=$(release_tag "$containerfile" "$binary")
    archive=$(release_archive "$name" "$tag")
    find "$cache/images" -name "$name-dev-*.tar" ! -path "$archive" -mmin +60 -delete
    [[ ${CLUSTER:-} == current ]] && continue
    while read -r reference; do
      [[ $reference == *:$tag ]] || ctr_here images remove "$reference" >/dev/null
    done < <(ctr_here images list --quiet "name~=^localhost/$name:dev-")
  done
}

main() {
  # shellcheck disable=SC1091 # made by up.sh
  source "$checkout/.cluster/env.sh"
  local to_compile=15 # what a change needs
  [[ -x $binaries/db-operator-driver-postgresql ]] || to_compile=480
  steps=3
  # cargo itself says how far it is.
  numbered "building our binaries" "$to_compile" build_binaries
  numbered "building and loading our images" 20 exclusively release build_release_images
  numbered "installing the chart" 15 exclusively release install_chart "$@"
  forget_old_releases
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  [[ -f $checkout/.cluster/env.sh ]] || { fail "no cluster: run make cluster"; exit 1; }
  main "$@"
fi
