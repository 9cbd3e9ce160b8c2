# What the scripts have in common that hold a server: `server` is its process, `dir` its directory. It obeys lines on its
# standard input, each by the function `on_<line>`.
dir=$(mktemp -d)
# Waits until a command succeeds, as long as the server runs.
comes() {
  for _ in $(seq 300); do
    "$@" && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  cat "$dir/log" >&2
  return 1
}
# What does not run as root, root lends to the user of Postgres.
as=()
lend() {
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$dir"
    as=(setpriv --reuid postgres --regid postgres --clear-groups)
  fi
}
on_kill() {
  kill -9 "$server" 2>/dev/null
  wait "$server" 2>/dev/null
  echo ready
}
on_start() { start && echo ready; }
obey() {
  while read -r order; do "on_$order"; done
}
