#!/usr/bin/env bash
# Makes the root file system of the image that dumps PostgreSQL databases: one
# pg_dump a major version, and the libraries that they need.
#
#   backup_root.sh             makes it if it is missing, and says where it is
#   backup_root.sh programs    unpacks it for this machine too, for tests outside of
#                              the image, and says where the programs are
set -euo pipefail
# shellcheck source=e2e/cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A suite of Debian and the major version that it has. The last one is the newest:
# its C library and its libpq serve the older programs too, for both only ever add
# to what they offer.
backup_clients=("bookworm 15" "trixie 17" "forky 18")

backup_root_key() {
  { printf '%s\n' "${backup_clients[@]}" && declare -f make_backup_root client_files; } | sha256sum | cut -c1-12
}

backup_root_archive() { printf '%s/images/backup-root-%s.tar\n' "$cache" "$(backup_root_key)"; }

# client_files SUITE MAJOR FOLDER: the files of a client and of all that it needs.
client_files() {
  mkdir -p "$3"
  mmdebstrap --quiet --variant=extract --include="postgresql-client-$2" \
    --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt='path-exclude=/usr/share/*' "$1" - |
    tar -C "$3" -x --exclude='./dev/*' ./usr
}

make_backup_root() {
  local archive=$1 work client suite major root loader libraries
  [[ -f $archive ]] && return # another run made it while we waited for the lock
  work=$(mktemp -d "$cache/images/.context.XXXXXX")
  for client in "${backup_clients[@]}"; do
    read -r suite major <<<"$client"
    client_files "$suite" "$major" "$work/$major"
    install -D "$work/$major/usr/lib/postgresql/$major/bin/pg_dump" "$work/root/usr/lib/postgresql/$major/bin/pg_dump"
  done
  root=$work/$major # of the newest
  libraries=$root/usr/lib/x86_64-linux-gnu
  loader=$(readlink -f "$libraries/ld-linux-x86-64.so.2")
  mkdir -p "$work/root/usr/lib/x86_64-linux-gnu"
  install -D "$loader" "$work/root/lib64/ld-linux-x86-64.so.2"
  # The loader itself says what it takes; it fails where something is missing.
  for client in "$work"/root/usr/lib/postgresql/*/bin/pg_dump; do
    "$loader" --library-path "$libraries" --list "$client" |
      awk -v folder="$libraries/" 'index($3, folder) == 1 {print $3}'
  done | sort -u | xargs -I{} install -m 644 {} "$work/root/usr/lib/x86_64-linux-gnu/"
  for client in "$work"/root/usr/lib/postgresql/*/bin/pg_dump; do
    "$work/root/lib64/ld-linux-x86-64.so.2" --library-path "$work/root/usr/lib/x86_64-linux-gnu" "$client" --version >&2
  done
  tar -C "$work/root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$archive.$$" .
  mv "$archive.$$" "$archive" # whole or not at all
  rm -rf "$work"
}

ensure_backup_root() {
  local archive
  archive=$(backup_root_archive)
  [[ -f $archive ]] && return
  mkdir -p "$cache/images"
  step "collecting pg_dump of each version" exclusively backup-root make_backup_root "$archive"
}

# unpack_programs FOLDER: the programs with their own loader, whatever C library
# this machine has.
unpack_programs() {
  local folder=$1 building program place
  [[ -d $folder ]] && return # another run made it while we waited for the lock
  building=$(mktemp -d "$cache/programs/.backup.XXXXXX")
  tar -C "$building" -xf "$(backup_root_archive)"
  for program in "$building"/usr/lib/postgresql/*/bin/pg_dump; do
    place=${program#"$building/usr/lib/postgresql/"}
    mkdir -p "$building/$(dirname "$place")"
    cat >"$building/$place" <<END
#!/bin/sh
exec $folder/lib64/ld-linux-x86-64.so.2 --library-path $folder/usr/lib/x86_64-linux-gnu \\
  $folder/usr/lib/postgresql/$place "\$@"
END
    chmod 755 "$building/$place"
  done
  chmod 755 "$building"
  mv -T "$building" "$folder" # whole or not at all
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  ensure_backup_root
  if [[ ${1:-} == programs ]]; then
    programs="$cache/programs/pg_dump-$(backup_root_key)"
    mkdir -p "$cache/programs"
    [[ -d $programs ]] || exclusively backup-root unpack_programs "$programs"
    printf '%s\n' "$programs"
  else
    backup_root_archive
  fi
fi
