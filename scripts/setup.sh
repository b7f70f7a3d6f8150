#!/usr/bin/env bash
# Brings a checkout to the state in which the server runs (with --test: also the tests). Every step is skipped
# when its inputs have the content that they had when it last succeeded; needs bash, npm and nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
# shellcheck source=scripts/debian.sh
source scripts/debian.sh

[[ $(uname -s) == Linux ]] || fail 'this server runs on Linux only.'

wanted=("${run_packages[@]}")
[[ ${1:-} == --test ]] && wanted+=("${test_packages[@]}")

# Two set-ups in one checkout take turns; the lock ends with this process.
mkdir -p "$state_dir"
exec 9>"$state_dir/setup.lock"
flock -n 9 || { say 'waiting for another set-up in this checkout …' && flock 9; }

ensure_packages "${wanted[@]}"

# --- npm dependencies, among them the pinned Node -----------------------------------------------------------
install_dependencies() {
  # omit= and NODE_ENV of the user must not leave out the build tools or the runtime.
  npm ci --include=dev --include=optional --no-audit --no-fund
}
lock_hash=$(content_hash package-lock.json .npmrc)
in_place npm "$lock_hash" node_modules/.bin ||
  step npm "$lock_hash" 'Is the npm registry reachable ("npm ping")?' 'installing npm dependencies …' install_dependencies

# --- the runtime: the pinned one, else the system's if it is new enough --------------------------------------
pinned=
for package in node_modules/node-linux-*; do [[ -x $package/bin/node ]] && pinned=$package; done
if [[ -n $pinned ]]; then
  node_root=$PWD/$pinned
else
  node=$(command -v node) || fail 'no Node here: install Node 24 or newer.'
  [[ $(node -p 'process.versions.node.split(".")[0] >= 24') == true ]] ||
    fail "no pinned Node exists for $(uname -m) and the installed one ($(node -v)) is too old: install Node 24 or newer."
  node_root=$(dirname "$(dirname "$(readlink -f "$node")")")
  [[ -f $node_root/include/node/node.h ]] ||
    fail "the headers of $node are missing (expected $node_root/include/node): install Node 24 or newer with its headers."
fi
PATH=$PWD/node_modules/.bin:$PATH

# --- the addon ------------------------------------------------------------------------------------------------
build_addon() {
  # node-gyp prefers npm_config_* variables to its flags; a nodedir of the user would bring foreign headers.
  local name
  for name in $(compgen -e); do
    case ${name,,} in npm_config_* | npm_package_config_node_gyp_*) unset "$name" ;; esac
  done
  node node_modules/node-gyp/bin/node-gyp.js configure build -C native --nodedir="$node_root" --jobs=max
}
addon_hash=$({ content_hash native/src native/binding.gyp package-lock.json && echo "$node_root"; } | sha256sum | cut -d' ' -f1)
in_place addon "$addon_hash" native/build/Release/ocvpn.node ||
  step addon "$addon_hash" 'If the cause is not clear, remove native/build and try again.' 'building the addon …' build_addon

# --- JavaScript -----------------------------------------------------------------------------------------------
build_javascript() {
  # A whole build beside the old one: no file of a deleted source survives, and a server that runs keeps its files
  # until the last moment.
  rm -rf .dist.new .dist.old
  node node_modules/typescript/bin/tsc -p tsconfig.json --outDir .dist.new --tsBuildInfoFile .dist.new/.tsbuildinfo
  [[ ! -e dist ]] || mv dist .dist.old
  mv .dist.new dist
  rm -rf .dist.old
}
sources_hash=$(content_hash src tsconfig.json package-lock.json)
in_place javascript "$sources_hash" dist/.tsbuildinfo ||
  step javascript "$sources_hash" 'Run "npm run types" for the errors alone.' 'compiling TypeScript …' build_javascript
