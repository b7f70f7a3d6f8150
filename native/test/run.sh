#!/bin/sh
# Builds and runs the C++ tests (see Makefile). Arguments go to make, e.g. CXX=clang++ or SANITIZE=.
set -eu
cd "$(dirname "$0")"
exec make --silent -j2 check "$@"
