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

# --- addons: the server's and those of plugins -----------------------------------------------------------------
# Addons of plugins use headers of native/src/io. An addon of a plugin may need headers that are not there: `system-headers` lists them, HEADER PACKAGE a line. The
# server runs without such a plugin.
missing_headers() { # folder; prints the packages
  local header package
  [[ -f $1/system-headers ]] || return 0
  while read -r header package; do
    g++ -E -x c++ -include "$header" /dev/null >/dev/null 2>&1 || printf '%s ' "$package"
  done <"$1/system-headers"
}
for folder in native src/plugins/*/native; do
  [[ -f $folder/binding.gyp ]] || continue
  missing=$(missing_headers "$folder")
  if [[ -n $missing ]]; then
    say "left out the addon in $folder: install ${missing% } and run this again if you want it."
    continue
  fi
  name=addon-${folder//\//-}
  hash=$({ content_hash "$folder"/src "$folder"/*.{gyp,cc,h} native/src/io scripts/lib.sh package-lock.json && echo "$node_root"; } | sha256sum | cut -d' ' -f1)
  in_place "$name" "$hash" "$folder/build/Release" ||
    step "$name" "$hash" "If the cause is not clear, remove $folder/build and try again." "building the addon in $folder …" build_addon "$folder" "$node_root"
done

# --- JavaScript: the server's and that of plugins -----------------------------------------------------------------
build_javascript() { # folder with tsconfig.json
  # A whole build beside the old one: no file of a deleted source survives, and a server that runs keeps its files
  # until the last moment.
  local new=$1/.dist.new old=$1/.dist.old
  rm -rf "$new" "$old"
  node node_modules/typescript/bin/tsc -p "$1/tsconfig.json" --outDir "$new" --tsBuildInfoFile "$new/.tsbuildinfo"
  [[ $1 != . ]] || node scripts/bundle-worker.ts "$new"
  [[ ! -e $1/dist ]] || mv "$1/dist" "$old"
  mv "$new" "$1/dist"
  rm -rf "$old"
}
sources_hash=$(content_hash src/core src/commands tsconfig.json package-lock.json scripts/{bundle,compile}-worker.ts)
in_place javascript "$sources_hash" dist/.tsbuildinfo ||
  step javascript "$sources_hash" 'Run "npm run types" for the errors alone.' 'compiling TypeScript …' build_javascript .
for folder in src/plugins/*; do
  [[ -f $folder/tsconfig.json ]] || continue
  name=javascript-${folder//\//-}
  hash=$({ echo "$sources_hash" && content_hash "$folder/src" "$folder/tsconfig.json"; } | sha256sum | cut -d' ' -f1)
  in_place "$name" "$hash" "$folder/dist/.tsbuildinfo" ||
    step "$name" "$hash" 'Run "npm run types" for the errors alone.' "compiling $folder …" build_javascript "$folder"
done
manifest_hash=$({ echo "$sources_hash" && content_hash package.json scripts/command-manifest.ts; } | sha256sum | cut -d' ' -f1)
in_place manifest "$manifest_hash" oclif.manifest.json ||
  step manifest "$manifest_hash" 'Does "bin/run.js --help" work?' 'listing the commands …' node scripts/command-manifest.ts
