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
flags="-std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -I../src -I../test"

# What all targets share, compiled once.
mkdir -p build/shared
shared="../src/pkt/*.cc ../test/support/model.cc ../test/support/kernel.cc ../test/support/flows.cc"
if [ ! -e build/shared/done ] || [ -n "$(find ../src/pkt ../test/support run.sh -newer build/shared/done)" ]; then
  # shellcheck disable=SC2086 # the flags and sources are lists
  printf '%s\n' $shared | xargs -P2 -I{} sh -c 'clang++ '"$flags"' -fsanitize=fuzzer-no-link -c -o "build/shared/$(basename {} .cc).o" {}'
  touch build/shared/done
fi

for source in "$@"; do
  target=$(basename "$source" .cc)
  mkdir -p "build/$target-corpus" "corpus/$target"
  if [ -z "$(find "build/$target" -newer "$target.cc" -newer build/shared/done 2>/dev/null)" ]; then
    # shellcheck disable=SC2086
    clang++ $flags -fsanitize=fuzzer -o "build/$target" "$target.cc" build/shared/*.o
  fi
  if [ -n "$keep" ]; then
    "build/$target" -merge=1 -max_len=512 -verbosity=0 "corpus/$target" "build/$target-corpus"
    continue
  fi
  echo "$target: $seconds s"
  "build/$target" -max_total_time="$seconds" -max_len=4096 -print_funcs=0 -verbosity=0 \
    -artifact_prefix=build/ "build/$target-corpus" "corpus/$target"
done
