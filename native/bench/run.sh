#!/bin/sh
# Builds the packet benchmark as the addon is built (-O2) and runs it.
set -eu
cd "$(dirname "$0")"
mkdir -p build
${CXX:-g++} -std=c++17 -O2 -fno-exceptions -I../src -I../test -o build/pkt_bench pkt_bench.cc ../src/pkt/*.cc ../test/support/model.cc
exec build/pkt_bench
