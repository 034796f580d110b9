#!/bin/sh
# Makes the data folder on the first start, then runs the server.
# Environment: ROOT_PASSWORD, of root from anywhere; inside the pod root needs none.
set -eu

data=/data/mysql
as_server="setpriv --reuid=999 --regid=999 --clear-groups"
install -d -o 999 -g 999 -m 700 "$data" /run/server

if [ ! -d "$data/mysql" ]; then
  $as_server mysqld --no-defaults --initialize-insecure --secure-file-priv=NULL --datadir="$data" --innodb-doublewrite=OFF
fi

# The server runs it at every start, before it takes connections.
install -o 999 -m 600 /dev/null /run/server/start.sql
cat >/run/server/start.sql <<END
CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '$ROOT_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO root@'%' WITH GRANT OPTION;
END
install -o 999 -m 600 /tls/tls.crt /tls/tls.key /tls-ca/ca.crt /run/server/

# Statements become part of the pod's log, so that tests can look for passwords.
install -o 999 -m 600 /dev/null /data/general.log
tail -n +1 -F /data/general.log &

# No flushing: the data lives as long as the pod.
exec $as_server mysqld --no-defaults --datadir="$data" --socket=/run/server/server.sock --mysqlx=OFF --secure-file-priv=NULL \
  --pid-file=/run/server/server.pid --init-file=/run/server/start.sql --bind-address='*' --skip-name-resolve \
  --ssl-cert=/run/server/tls.crt --ssl-key=/run/server/tls.key --ssl-ca=/run/server/ca.crt \
  --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF --innodb-buffer-pool-size=64M --disable-log-bin \
  --max-connections=200 --general-log --general-log-file=/data/general.log
