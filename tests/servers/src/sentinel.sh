# Holds a Redis master ($1), its replica ($2) and a sentinel ($3) for tests; see lib.rs. All want a password.
pids=()
start() {
  name=$1 port=$2
  shift 2
  mkdir "$dir/$name"
  printf '%s\n' "port $port" "bind 127.0.0.1" "dir $dir/$name" "$@" >"$dir/$name.conf"
  if [ "$name" = sentinel ]; then set -- --sentinel; else set --; fi
  redis-server "$dir/$name.conf" "$@" >>"$dir/log" 2>&1 </dev/null &
  pids+=($!)
}
start master "$1" 'save ""' "repl-diskless-sync-delay 0" "requirepass secret" "masterauth secret"
start replica "$2" 'save ""' "requirepass secret" "masterauth secret" "replicaof 127.0.0.1 $1"
start sentinel "$3" "requirepass other" "sentinel monitor main 127.0.0.1 $1 1" "sentinel auth-pass main secret" \
  "sentinel down-after-milliseconds main 1000" "sentinel failover-timeout main 5000"
# Ready once the sentinel knows a replica that follows.
for _ in $(seq 600); do
  if redis-cli -p "$2" -a secret --no-auth-warning info replication 2>/dev/null | grep -q 'master_link_status:up' &&
    redis-cli -p "$3" -a other --no-auth-warning sentinel master main 2>/dev/null | grep -A1 num-slaves | grep -q '^1'; then
    echo ready
    break
  fi
  sleep 0.05
done
# The master.
server=${pids[0]}
obey
kill -9 "${pids[@]}" 2>/dev/null
wait 2>/dev/null
rm -rf "$dir"
