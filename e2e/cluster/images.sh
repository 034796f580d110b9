#!/usr/bin/env bash
# Builds images as OCI archives in the cache, and loads them into the cluster.
#
#   images.sh NAME…    builds what is missing of the images of pods and servers
#
# An image's tag is the hash of what it is made from, so a changed recipe gives a
# new reference and an unchanged one is found in the cache and in the node.
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=e2e/cluster/programs.sh
source "$here/programs.sh"

# image_packages NAME: the Debian suite and packages of a server's root file
# system. The "core" packages hold programs only and make no database of their own.
image_packages() {
  case $1 in
    postgresql-15) echo bookworm postgresql-15 ;;
    postgresql-17) echo trixie postgresql-17 ;;
    postgresql-18) echo forky postgresql-18 ;;
    mariadb-10) echo bookworm mariadb-server-core,mariadb-client-core ;;
    mariadb-11) echo trixie mariadb-server-core,mariadb-client-core ;;
    mysql-9) echo sid mysql-server-core,mysql-client-core ;;
    *) fail "no image is named $1" ;;
  esac
}

# image_folder NAME: postgresql-17 is built from images/postgresql.
image_folder() { printf '%s/images/%s\n' "$here" "${1%-[0-9]*}"; }

image_key() {
  local folder
  folder=$(image_folder "$1")
  {
    case $1 in
      pause) ;;
      s3) program_folder versitygw ;;
      *) image_packages "$1" && declare -f make_root_file_system ;;
    esac
    short_hash "$folder"/*
  } | sha256sum | cut -c1-12
}

image_reference() { printf 'localhost/%s:%s\n' "$1" "$(image_key "$1")"; }
image_archive() { printf '%s/images/%s-%s.tar\n' "$cache" "$1" "$(image_key "$1")"; }

# make_root_file_system NAME FILE: a small Debian with the server in it.
# shellcheck disable=SC2016 # mmdebstrap's hooks see the new root as $1
make_root_file_system() {
  local suite packages
  read -r suite packages < <(image_packages "$1")
  # Release files of moving suites may have expired on a mirror that lags; the
  # package's own scripts must not make a database in the image; the just-in-time
  # compiler, documentation and bitcode are two thirds of PostgreSQL's size.
  mmdebstrap --quiet --variant=minbase --include="$packages" \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/lib/*/libLLVM*' \
    --dpkgopt='path-exclude=/usr/lib/llvm-*' --dpkgopt='path-exclude=/usr/lib/postgresql/*/lib/bitcode/*' \
    --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
    --essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
    "$suite" "$2"
}

# build_archive CONTAINERFILE CONTEXT REFERENCE ARCHIVE: without an engine, and
# with a storage of its own that is gone afterwards.
build_archive() {
  local storage building
  storage=$(mktemp -d "$cache/images/.storage.XXXXXX")
  building="$4.$$"
  local buildah=(buildah --root "$storage/root" --runroot "$storage/run" --storage-driver vfs)
  "${buildah[@]}" bud --isolation chroot --quiet --file "$1" --tag "$3" "$2" >/dev/null
  "${buildah[@]}" push --quiet "$3" "oci-archive:$building:$3"
  mv "$building" "$4" # whole or not at all
  rm -rf "$storage"
}

build_image() {
  local name=$1 archive=$2 context
  [[ -f $archive ]] && return # another run built it while we waited for the lock
  context=$(mktemp -d "$cache/images/.context.XXXXXX")
  cp "$(image_folder "$name")"/* "$context"
  case $name in
    pause) gcc -static -Os -o "$context/pause" "$context/pause.c" ;;
    s3)
      ensure_set versitygw
      cp "$(program_folder versitygw)/versitygw" "$context"
      ;;
    *) make_root_file_system "$name" "$context/root.tar" ;;
  esac
  build_archive "$context/Containerfile" "$context" "$(image_reference "$name")" "$archive"
  rm -rf "$context"
}

# forget_leftovers: of builds that were cut off, and of recipes long replaced.
forget_leftovers() {
  find "$cache/images" -maxdepth 1 -name '.*.??????' -mmin +120 -exec rm -rf {} +
  find "$cache/images" -maxdepth 1 -name '*.tar*' -mtime +60 -atime +30 -delete
}

ensure_image() {
  local archive
  archive=$(image_archive "$1")
  [[ -f $archive ]] && return
  mkdir -p "$cache/images"
  forget_leftovers
  step "building the image $1" exclusively "image-$1" build_image "$1" "$archive"
}

# load_image REFERENCE ARCHIVE: makes the image known to the cluster's nodes.
load_image() {
  if [[ ${CLUSTER:-} == current ]]; then
    load_into_current_cluster "$@"
  elif [[ -z $(ctr_here images list --quiet "name==$1") ]]; then
    ctr_here images import --local "$2" >/dev/null
  fi
}

# ctr_here …: containerd's client in the namespace of the kubelet's containers.
ctr_here() {
  "$(program_folder containerd)/ctr" --address "$run/containerd.sock" --namespace k8s.io "$@" \
    2> >(grep -v DEPRECATION >&2) # of the machine's version 1 control groups, which is not news
}

load_into_current_cluster() {
  local context
  context=$(kubectl config current-context)
  case $context in
    kind-*) kind load image-archive "$2" --name "${context#kind-}" ;;
    k3d-*) k3d image import "$2" --cluster "${context#k3d-}" ;;
    *)
      if [[ -z ${IMAGE_REGISTRY:-} ]]; then
        fail "context $context is neither kind nor k3d: set IMAGE_REGISTRY to a registry that its nodes pull from"
        return 1
      fi
      buildah push --quiet "oci-archive:$2" "docker://$(cluster_reference "$1")"
      ;;
  esac
}

# cluster_reference REFERENCE: the name under which the cluster's nodes know it.
cluster_reference() {
  if [[ ${CLUSTER:-} == current && -n ${IMAGE_REGISTRY:-} ]]; then
    printf '%s/%s\n' "$IMAGE_REGISTRY" "${1#localhost/}"
  else
    printf '%s\n' "$1"
  fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  for name in "$@"; do
    ensure_image "$name"
  done
fi
