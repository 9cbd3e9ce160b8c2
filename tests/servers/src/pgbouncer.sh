# Holds a PgBouncer for tests on port $1, in front of the Postgres on port $2; see lib.rs. It does not run as root, so root
# lends it to the user of Postgres.
dir=$(mktemp -d)
as=()
if [ "$(id -u)" = 0 ]; then
  chown postgres "$dir"
  as=(setpriv --reuid postgres --regid postgres --clear-groups)
fi
printf '%s\n' '[databases]' "* = host=127.0.0.1 port=$2 user=circles" '[pgbouncer]' 'listen_addr = 127.0.0.1' \
  "listen_port = $1" 'unix_socket_dir =' 'auth_type = any' 'pool_mode = transaction' 'default_pool_size = 3' \
  >"$dir/pgbouncer.ini"
PATH=$PATH:/usr/sbin "${as[@]}" pgbouncer -q "$dir/pgbouncer.ini" >>"$dir/log" 2>&1 </dev/null &
server=$!
for _ in $(seq 200); do
  if pg_isready -q -h 127.0.0.1 -p "$1"; then
    echo ready
    break
  fi
  kill -0 "$server" 2>/dev/null || break
  sleep 0.05
done
kill -0 "$server" 2>/dev/null || cat "$dir/log" >&2
while read -r _; do :; done
kill -INT "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$dir"
