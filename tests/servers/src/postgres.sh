# Holds a Postgres server for tests on port $1; see lib.rs.
port=$1
lend
# shellcheck disable=SC2012
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
cd "$dir" || exit 1
start() {
  "${as[@]}" "$bin/postgres" -D "$dir/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c max_connections=200 -c shared_buffers=32MB >>"$dir/log" 2>&1 </dev/null &
  server=$!
  comes "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"
}
"${as[@]}" "$bin/initdb" -D "$dir/data" -U circles --auth=trust --no-sync -E UTF8 --locale=C >"$dir/log" 2>&1 ||
  { cat "$dir/log" >&2; exit 1; }
made=0
on_create() {
  made=$((made + 1))
  "$bin/createdb" -h 127.0.0.1 -p "$port" -U circles "campus$made" && echo "campus$made"
}
# Without the postmaster its children go on until they notice: a statement could still be answered.
on_kill() {
  # shellcheck disable=SC2046
  kill -9 "$server" $(pgrep -P "$server") 2>/dev/null
  wait "$server" 2>/dev/null
  echo ready
}
# What was killed may hold its memory for a moment.
on_start() {
  for _ in $(seq 100); do
    rm -f "$dir/data/postmaster.pid"
    start 2>/dev/null && break
    sleep 0.1
  done
  kill -0 "$server" 2>/dev/null && echo ready
}
start && echo ready
obey
kill -INT "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$dir"
