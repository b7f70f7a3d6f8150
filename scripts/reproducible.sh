#!/usr/bin/env bash
# Builds addons a second time, in another directory, and compares the bytes with those that are here.
#   reproducible.sh [FOLDER with a binding.gyp …, default all that are built]
# Fails and names what differs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
checkout=$PWD
node_root=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
(($# > 0)) || set -- native src/plugins/*/native
mirror=$(mktemp -d)
trap 'rm -rf "$mirror"' EXIT

mkdir -p "$mirror/native" "$mirror/node_modules"
cp -r native/src native/binding.gyp "$mirror/native/"
cp -r node_modules/node-addon-api "$mirror/node_modules/"
ln -s "$checkout/node_modules/node-gyp" "$mirror/node_modules/"
status=0
for folder in "$@"; do
  [[ -d $folder/build/Release ]] || continue
  if [[ $folder != native ]]; then
    mkdir -p "$mirror/$folder"
    find "$folder" -maxdepth 1 -type f -exec cp -t "$mirror/$folder" {} +
  fi
  (cd "$mirror" && build_addon "$folder" "$node_root") >"$mirror/log" 2>&1 || {
    tail -n 25 "$mirror/log" >&2
    exit 1
  }
  for built in "$folder"/build/Release/*.node; do
    if cmp "$built" "$mirror/$built"; then echo "$(sha256sum <"$built" | cut -d' ' -f1)  $built is the same"; else status=1; fi
  done
done
exit "$status"
