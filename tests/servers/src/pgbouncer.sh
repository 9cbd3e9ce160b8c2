# Holds a PgBouncer for tests on port $1, in front of the Postgres on port $2; see lib.rs.
port=$1
lend
printf '%s\n' '[databases]' "* = host=127.0.0.1 port=$2 user=circles" '[pgbouncer]' 'listen_addr = 127.0.0.1' \
  "listen_port = $port" 'unix_socket_dir =' 'auth_type = any' 'pool_mode = transaction' 'default_pool_size = 3' \
  >"$dir/pgbouncer.ini"
start() {
  PATH=$PATH:/usr/sbin "${as[@]}" pgbouncer -q "$dir/pgbouncer.ini" >>"$dir/log" 2>&1 </dev/null &
  server=$!
  comes pg_isready -q -h 127.0.0.1 -p "$port"
}
start && echo ready
obey
kill -INT "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$dir"
