#!/usr/bin/env bash
# "npm run fuzz": the libFuzzer targets of native/fuzz, then the parsers in TypeScript of test/fuzz, each for a while.
#   fuzz.sh [--seconds N, per target, default 10] [target …]
# Targets whose names end in _fuzz are native ones; "native/fuzz/run.sh --keep" keeps what those found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PWD/node_modules/.bin:$PATH
seconds=10 native=() parsers=()
while (($# > 0)); do
  case $1 in
    --seconds) seconds=$2 && shift ;;
    --*) echo "fuzz.sh: unknown option $1; see the head of this file." >&2 && exit 2 ;;
    *_fuzz | *_fuzz.cc) native+=("${1%.cc}.cc") ;;
    *) parsers+=("$1") ;;
  esac
  shift
done
if ((${#native[@]} > 0 || ${#parsers[@]} == 0)); then
  sh native/fuzz/run.sh --seconds "$seconds" "${native[@]}"
fi
if ((${#parsers[@]} > 0 || ${#native[@]} == 0)); then
  FUZZ_SECONDS=$seconds FUZZ_TARGETS="${parsers[*]}" vitest run --project unit test/fuzz/parsers.test.ts
fi
