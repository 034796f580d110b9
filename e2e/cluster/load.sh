#!/usr/bin/env bash
# Builds an image and loads it into the running cluster: for a driver that is
# written outside this checkout. Prints the reference to put into its Driver.
#
#   load.sh NAME FOLDER    FOLDER has a Containerfile and all that it copies, and nothing else
#
# A changed folder gives a new tag, so that no old image is used in its place.
set -euo pipefail
# shellcheck source=e2e/cluster/images.sh
source "$(dirname "${BASH_SOURCE[0]}")/images.sh"

[[ $# == 2 && -f $2/Containerfile ]] || { fail "usage: load.sh NAME FOLDER, with a Containerfile in FOLDER"; exit 2; }
[[ -f $checkout/.cluster/env.sh ]] || { fail "no cluster: run make cluster"; exit 1; }
# shellcheck disable=SC1091 # made by up.sh
source "$checkout/.cluster/env.sh"

context=$(cd "$2" && pwd)
key=$(cd "$context" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
# In the folder that the release of `release.sh` allows.
reference="localhost/drivers/$1:dev-$key"
archive="$cache/images/$1-dev-$key.tar"
mkdir -p "$cache/images"
[[ -f $archive ]] ||
  step "building the image $1" build_archive "$context/Containerfile" "$context" "$reference" "$archive" >&2
load_image "$reference" "$archive"
cluster_reference "$reference"
