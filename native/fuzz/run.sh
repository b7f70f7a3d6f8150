#!/bin/sh
# Builds the libFuzzer targets with clang and runs each for a while.
#   run.sh [seconds per target, default 10] [target …]
# Found inputs stay in build/<target>-corpus; a crash file is named in the output and repeats with build/<target> FILE.
set -eu
cd "$(dirname "$0")"
seconds=${1:-10}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- *_fuzz.cc
support="../test/support/model.cc ../test/support/kernel.cc ../test/support/flows.cc"
for source in "$@"; do
  target=$(basename "$source" .cc)
  mkdir -p "build/$target-corpus"
  clang++ -std=c++17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
    -I../src -I../test -o "build/$target" "$target.cc" ../src/pkt/*.cc $support
  echo "$target: $seconds s"
  "build/$target" -max_total_time="$seconds" -max_len=4096 -print_funcs=0 -verbosity=0 \
    -artifact_prefix=build/ "build/$target-corpus"
done
