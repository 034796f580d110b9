#!/usr/bin/env bash
# Builds our images, loads them into the running cluster and installs the chart.
# To be repeated after every change: what did not change is not rolled out again.
set -euo pipefail
# shellcheck source=e2e/cluster/images.sh
source "$(dirname "${BASH_SOURCE[0]}")/images.sh"

target=x86_64-unknown-linux-musl
binaries="$CARGO_TARGET_DIR/$target/release"

# Our images: name, folder of the Containerfile. The binary has the image's name.
our_images=(
  "db-operator operator"
  "db-operator-driver-postgresql drivers/postgresql"
)

# Each on its own, for in one build cargo gives both what either asks of a dependency, and a driver would
# carry the operator's controller runtime.
build_binaries() {
  local image name
  for image in "${our_images[@]}"; do
    read -r name _ <<<"$image"
    # The C in our dependencies is freestanding enough for glibc's compiler.
    (cd "$checkout" && CC_x86_64_unknown_linux_musl=gcc \
      cargo build --locked --release --target "$target" --package "$name")
  done
}

# release_tag NAME FOLDER: from the content, so that only a changed binary rolls out.
release_tag() {
  printf 'dev-%s\n' "$(sha256sum "$binaries/$1" "$checkout/$2/Containerfile" |
    cut -d' ' -f1 | sha256sum | cut -c1-12)"
}

release_archive() { printf '%s/images/%s-%s.tar\n' "$cache" "$1" "$2"; }

build_release_image() {
  local name=$1 folder=$2 tag archive context
  tag=$(release_tag "$name" "$folder")
  archive=$(release_archive "$name" "$tag")
  if [[ ! -f $archive ]]; then
    mkdir -p "$cache/images"
    context=$(mktemp -d "$cache/images/.context.XXXXXX")
    cp "$binaries/$name" /etc/ssl/certs/ca-certificates.crt "$context"
    build_archive "$checkout/$folder/Containerfile" "$context" "localhost/$name:$tag" "$archive"
    rm -rf "$context"
  fi
  load_image "localhost/$name:$tag" "$archive"
  note "$name:$tag: binary $(megabytes "$binaries/$name"), image $(megabytes "$archive") compressed"
}

megabytes() { awk -v bytes="$(stat -c %s "$1")" 'BEGIN {printf "%.1f MB", bytes / 1e6}'; }

build_release_images() {
  local image name folder
  for image in "${our_images[@]}"; do
    read -r name folder <<<"$image"
    build_release_image "$name" "$folder"
  done
}

# image_values NAME FOLDER: the chart's values for one of our images.
image_values() {
  local reference
  reference=$(cluster_reference "localhost/$1:$(release_tag "$1" "$2")")
  printf '{repository: "%s", tag: "%s"}' "${reference%:*}" "${reference##*:}"
}

chart_values() {
  cat <<END
image: $(image_values db-operator operator)
drivers:
  postgresql:
    image: $(image_values db-operator-driver-postgresql drivers/postgresql)
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

# Every build has a tag of its own; without this the cache would fill with them.
forget_old_releases() {
  local image name folder archive reference
  for image in "${our_images[@]}"; do
    read -r name folder <<<"$image"
    archive=$(release_archive "$name" "$(release_tag "$name" "$folder")")
    find "$cache/images" -name "$name-dev-*.tar" ! -path "$archive" -mmin +60 -delete
    [[ ${CLUSTER:-} == current ]] && continue
    while read -r reference; do
      [[ $reference == *:$(release_tag "$name" "$folder") ]] || ctr_here images remove "$reference" >/dev/null
    done < <(ctr_here images list --quiet "name~=^localhost/$name:dev-")
  done
}

main() {
  # shellcheck disable=SC1091 # made by up.sh
  source "$checkout/.cluster/env.sh"
  step "building our binaries" build_binaries
  step "building and loading our images" exclusively release build_release_images
  step "installing the chart" exclusively release install_chart "$@"
  forget_old_releases
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  [[ -f $checkout/.cluster/env.sh ]] || { fail "no cluster: run make cluster"; exit 1; }
  main "$@"
fi
