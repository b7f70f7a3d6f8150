#!/usr/bin/env bash
# "npm test": set-up with the tests' packages, then every gate. "scripts/test.sh GATE [ARGS]" runs one of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh --test
PATH=$PWD/node_modules/.bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
exec node scripts/gates.ts "$@"
