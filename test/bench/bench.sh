#!/usr/bin/env bash
# "npm run bench": set-up, then the benchmark. Needs root; what it makes is in namespaces of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash scripts/setup.sh --test
PATH=$PWD/node_modules/.bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
exec node test/bench/run.ts "$@"
