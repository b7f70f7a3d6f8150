# Shared by the shell scripts of this folder: messages, content stamps, quiet steps. Sourced, not run.

state_dir=build

say() { printf 'setup: %s\n' "$*"; }

# Ends with a sentence for people on stderr.
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# Hash of the names and contents of files and folders; missing ones count as absent.
content_hash() {
  local path
  for path in "$@"; do
    [[ -e $path ]] && find "$path" -type f -not -path '*/build/*' -not -path '*/dist/*' -print0
  done | LC_ALL=C sort -z | xargs -0 -r sha256sum | sha256sum | cut -d' ' -f1
}

# in_place NAME HASH PRODUCT: true when step NAME last succeeded for HASH and its product still exists.
in_place() {
  local stamp=$state_dir/stamps/$1
  [[ -e $3 && -f $stamp && $(<"$stamp") == "$2" ]]
}

# step NAME HASH REMEDY DESCRIPTION COMMAND...: runs COMMAND with its output in a log and stamps NAME with
# HASH. Prints DESCRIPTION, then a line every 15 s; on failure the end of the log and REMEDY.
step() {
  local name=$1 hash=$2 remedy=$3 description=$4
  shift 4
  local log=$state_dir/logs/$name.log started=$SECONDS status=0
  mkdir -p "$state_dir/logs" "$state_dir/stamps"
  rm -f "$state_dir/stamps/$name"
  say "$description"
  # In the background, because bash would otherwise hold a TERM back until the command ends.
  "$@" >"$log" 2>&1 </dev/null &
  local pid=$!
  trap 'kill -TERM '"$pid"' 2>/dev/null; wait '"$pid"'; exit 130' INT TERM
  local next=15
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - started >= next)); then
      say "  still working, $((SECONDS - started)) s (log: $log)"
      next=$((next + 15))
    fi
  done
  wait "$pid" || status=$?
  trap - INT TERM
  if ((status != 0)); then
    tail -n 25 "$log" >&2
    fail "this step failed: ${description%…}(status $status, whole log: $log). $remedy"
  fi
  printf '%s\n' "$hash" >"$state_dir/stamps/$name"
}

# build_addon FOLDER NODE_ROOT [GYP ARGS…]: the addon of FOLDER, which has a binding.gyp. The same sources, headers and compiler give the
# same bytes wherever they are (scripts/reproducible.sh).
build_addon() {
  local folder=$1 node_root=$2 name
  shift 2
  # node-gyp prefers npm_config_* variables to its flags; a nodedir of the user would bring foreign headers.
  for name in $(compgen -e); do
    case ${name,,} in npm_config_* | npm_package_config_node_gyp_*) unset "$name" ;; esac
  done
  # Of two that fit a path the later one counts.
  local -x CXXFLAGS="-ffile-prefix-map=$PWD=/ocvpn -ffile-prefix-map=$node_root=/node"
  local gyp=(node node_modules/node-gyp/bin/node-gyp.js)
  "${gyp[@]}" configure -C "$folder" --nodedir="$node_root" -- "$@" && "${gyp[@]}" build -C "$folder" --jobs=max
}
