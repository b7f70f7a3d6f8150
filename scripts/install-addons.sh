#!/bin/sh
# npm runs this after it has unpacked the package: the addons that came with it are kept when this machine's Node can load
# them, and built from their sources otherwise (which needs g++, make and python3). In a checkout scripts/setup.sh does that.
set -eu
cd "$(dirname "$0")/.."
[ ! -d src/core ] || exit 0

node=$PWD/node_modules/.bin/node
[ -x "$node" ] || node=node
node_root=$("$node" -p 'path.dirname(path.dirname(fs.realpathSync(process.execPath)))')

for folder in native node_modules/@ocvpn/*/native; do
  [ -f "$folder/binding.gyp" ] || continue
  loads='for (const name of fs.readdirSync(process.argv[1])) if (name.endsWith(".node")) require(path.resolve(process.argv[1], name)), found = true; var found; process.exit(found ? 0 : 1)'
  if "$node" -e "$loads" "$folder/build/Release" 2>/dev/null; then continue; fi
  echo "ocvpn: building the addon in $folder"
  if "$node" "${npm_config_node_gyp:?it is set by npm}" rebuild -C "$folder" --nodedir="$node_root"; then continue; fi
  # The server runs without PAM, but not without its own addon or password files.
  [ -f "$folder/system-headers" ] || exit 1
  echo "ocvpn: left out the addon in $folder; install $(cut -d' ' -f2 "$folder/system-headers") and reinstall if you want it."
done
