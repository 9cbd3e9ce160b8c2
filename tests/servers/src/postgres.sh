# Holds a Postgres server for tests on port $1; see lib.rs. Postgres does not run as root, so root lends it to its user.
port=$1
dir=$(mktemp -d)
# shellcheck disable=SC2012
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
as=()
if [ "$(id -u)" = 0 ]; then
  chown postgres "$dir"
  as=(setpriv --reuid postgres --regid postgres --clear-groups)
fi
cd "$dir" || exit 1
start() {
  "${as[@]}" "$bin/postgres" -D "$dir/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c max_connections=200 -c shared_buffers=32MB >>"$dir/log" 2>&1 </dev/null &
  server=$!
  for _ in $(seq 300); do
    "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  cat "$dir/log" >&2
  return 1
}
"${as[@]}" "$bin/initdb" -D "$dir/data" -U circles --auth=trust --no-sync -E UTF8 --locale=C >"$dir/log" 2>&1 ||
  { cat "$dir/log" >&2; exit 1; }
start && echo ready
made=0
while read -r order; do
  case $order in
    create)
      made=$((made + 1))
      "$bin/createdb" -h 127.0.0.1 -p "$port" -U circles "campus$made" && echo "campus$made"
      ;;
    kill)
      # The postmaster's children end by themselves when it is gone; the next start waits for them.
      kill -9 "$server" 2>/dev/null
      wait "$server" 2>/dev/null
      echo ready
      ;;
    start)
      for _ in $(seq 100); do
        rm -f "$dir/data/postmaster.pid"
        start 2>/dev/null && break
        sleep 0.1
      done
      kill -0 "$server" 2>/dev/null && echo ready
      ;;
  esac
done
kill -INT "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$dir"
