#!/bin/sh
# Builds the libFuzzer targets with clang and runs each for a while, from the inputs that corpus/ keeps.
#   run.sh [--seconds N, per target, default 10] [target …]
# New inputs go to build/<target>-corpus; keep those that reach more code with `run.sh --keep [target …]`. A crash
# file is named in the output and repeats with build/<target> FILE.
set -eu
cd "$(dirname "$0")"
seconds=10 keep=
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2 && shift 2 ;;
    --keep) keep=yes && shift ;;
    --*) echo "run.sh: unknown option $1; see the head of this file." >&2 && exit 2 ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || set -- *_fuzz.cc
flags="-std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -I../src -I../test -I."

beside_tls=
for name in handover messages handshake_recorder ticket_keys client_trust ocsp_staple x509_pem; do
  beside_tls="$beside_tls ../src/dataplane/$name.cc"
done

# Compiles sources into build/FOLDER when anything in the folders was changed: objects FOLDER "SOURCE FOLDERS" SOURCE…
objects() {
  into=build/$1 watched=$2 && shift 2
  mkdir -p "$into"
  # shellcheck disable=SC2086
  if [ ! -e "$into/done" ] || [ -n "$(find $watched run.sh -newer "$into/done")" ]; then
    printf '%s\n' "$@" | xargs -P2 -I{} sh -c 'clang++ '"$flags"' -fsanitize=fuzzer-no-link -c -o "'"$into"'/$(basename {} .cc).o" {}'
    touch "$into/done"
  fi
}

for source in "$@"; do
  target=$(basename "$source" .cc)
  mkdir -p "build/$target-corpus" "corpus/$target"
  # Those about packets share one set of objects, those about connections another.
  if grep -q '"connection.h"' "$source"; then
    folder=connection libraries="-lssl -lcrypto"
    # shellcheck disable=SC2086
    objects connection "../src ../test/dataplane" ../src/dataplane/tls_*.cc $beside_tls ../test/dataplane/tls_peer.cc
  else
    folder=packets libraries=
    objects packets "../src/pkt ../test/support" ../src/pkt/*.cc ../test/support/model.cc ../test/support/kernel.cc ../test/support/flows.cc
  fi
  if [ -z "$(find "build/$target" -newer "$target.cc" -newer connection.h -newer "build/$folder/done" 2>/dev/null)" ]; then
    # shellcheck disable=SC2086
    clang++ $flags -fsanitize=fuzzer -o "build/$target" "$target.cc" "build/$folder"/*.o $libraries
  fi
  if [ -n "$keep" ]; then
    "build/$target" -merge=1 -max_len=512 -verbosity=0 "corpus/$target" "build/$target-corpus"
    continue
  fi
  echo "$target: $seconds s"
  "build/$target" -max_total_time="$seconds" -max_len=4096 -print_funcs=0 -verbosity=0 \
    -artifact_prefix=build/ "build/$target-corpus" "corpus/$target"
done
