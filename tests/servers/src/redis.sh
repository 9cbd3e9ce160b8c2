# Holds a Redis server for tests on port $1; see lib.rs.
port=$1
answers() { [ "$(redis-cli -p "$port" ping 2>/dev/null)" = PONG ]; }
start() {
  redis-server --bind 127.0.0.1 --port "$port" --dir "$dir" --save '' --appendonly no --maxmemory-policy noeviction \
    >>"$dir/log" 2>&1 </dev/null &
  server=$!
  comes answers
}
start && echo ready
obey
kill "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$dir"
