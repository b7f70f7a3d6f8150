#!/usr/bin/env bash
# Runs a command with an addon and a Node that AddressSanitizer and UndefinedBehaviorSanitizer watch: every process of the
# server that the command starts, without a change to it. Needs root (mounts of its own), g++ and patchelf.
#   sanitized.sh COMMAND [ARGS…]
# Fails when the command fails or when any process reported something; the reports are printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
addon=native/build/Release/ocvpn.node
node=$(readlink -f "$(command -v node)")
node_root=$(dirname "$(dirname "$node")")
here=$PWD/build/sanitized
reports=$here/reports
mkdir -p "$here"

# The addon from a copy of its sources, so that the real build stays. Only what differs is copied, so that make builds only that.
while read -r file; do
  mkdir -p "$here/$(dirname "$file")"
  cmp -s "$file" "$here/$file" || cp "$file" "$here/$file"
done < <(find native/src native/binding.gyp -type f)
while read -r file; do [[ -e $file ]] || rm "$here/$file"; done < <(cd "$here" && find native/src -type f)
if ! (build_addon "$here/native" "$node_root" -Dsanitize=1) >"$here/build.log" 2>&1; then
  tail -n 25 "$here/build.log" >&2
  exit 1
fi
[[ $(nm -D "$here/native/build/Release/ocvpn.node") == *__asan_report_* ]] || {
  echo "sanitized.sh: $here/native/build/Release/ocvpn.node has no checks in it" >&2
  exit 1
}

# ASan must come before all of Node's libraries but the guard, whose options would not be seen otherwise. libcrypt, which a
# plugin loads, must be there when ASan begins: it stands in for crypt_r and looks for the real one then.
asan=$(readlink -f "$(g++ -print-file-name=libasan.so)")
g++ -std=c++17 -O1 -g -shared -fPIC -DGUARD_REPORTS="\"$reports\"" -o "$here/guard.so" native/test/sanitized/guard.cc \
  -Wl,--no-as-needed "$asan" -lubsan
if [[ ! $here/node -nt $node ]]; then
  patchelf --add-needed libcrypt.so.1 --output "$here/node.new" "$node"
  patchelf --add-needed "$asan" "$here/node.new"
  patchelf --add-needed "$here/guard.so" "$here/node.new"
  mv "$here/node.new" "$here/node"
fi

rm -f "$reports"
truncate -s 64K "$reports"
status=0
unshare --mount bash -c 'mount --bind "$1" "$2" && mount --bind "$3" "$4" && shift 4 && exec "$@"' sanitized \
  "$here/native/build/Release/ocvpn.node" "$addon" "$here/node" "$node" "$@" || status=$?
count=$(od -An -N4 -tu4 "$reports" | tr -d ' ')
if ((count > 0)); then
  echo "$count reports of the sanitizers (addresses: addr2line -e $here/native/build/Release/ocvpn.node):"
  tail -c +9 "$reports" | tr -d '\0'
  exit 1
fi
exit "$status"
