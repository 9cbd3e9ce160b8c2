# Holds a Redis server for tests on port $1; see lib.rs.
port=$1
dir=$(mktemp -d)
start() {
  redis-server --bind 127.0.0.1 --port "$port" --dir "$dir" --save '' --appendonly no --maxmemory-policy noeviction \
    >>"$dir/log" 2>&1 </dev/null &
  server=$!
  for _ in $(seq 200); do
    [ "$(redis-cli -p "$port" ping 2>/dev/null)" = PONG ] && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  cat "$dir/log" >&2
  return 1
}
start && echo ready
while read -r order; do
  case $order in
    kill)
      kill -9 "$server" 2>/dev/null
      wait "$server" 2>/dev/null
      echo ready
      ;;
    start) start && echo ready ;;
  esac
done
kill "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$dir"
