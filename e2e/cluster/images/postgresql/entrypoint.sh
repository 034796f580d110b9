#!/bin/sh
# Makes the database cluster on the first start, then runs the server.
# Environment: POSTGRES_PASSWORD, the superuser's; TLS, "on" or "off".
set -eu

programs=$(echo /usr/lib/postgresql/*/bin)
data=/data/postgresql
as_postgres="setpriv --reuid=postgres --regid=postgres --init-groups"

if [ ! -s "$data/PG_VERSION" ]; then
  install -d -o postgres -g postgres -m 700 "$data"
  install -o postgres -m 600 /dev/null /run/password
  printf '%s\n' "$POSTGRES_PASSWORD" >/run/password
  $as_postgres "$programs/initdb" --no-sync --pgdata="$data" --username=postgres --pwfile=/run/password \
    --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256
  rm /run/password
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
fi
install -d -o postgres -g postgres /run/postgresql

# No fsync: the data lives as long as the pod. All statements are logged, so that
# tests can look for passwords among them. No just-in-time compiler in the image.
set -- -c listen_addresses='*' -c unix_socket_directories=/run/postgresql \
  -c max_connections=200 -c max_prepared_transactions=10 -c fsync=off -c jit=off \
  -c log_statement=all -c log_connections=on -c log_line_prefix='%m [%p] %q%u@%d '
if [ "$TLS" = on ]; then
  install -o postgres -m 600 /tls/tls.crt /tls/tls.key /run/postgresql/
  set -- "$@" -c ssl=on -c ssl_cert_file=/run/postgresql/tls.crt -c ssl_key_file=/run/postgresql/tls.key
fi
exec $as_postgres "$programs/postgres" -D "$data" "$@"
