#!/usr/bin/env bash
# "npm run soak -- [--minutes N]": set-up, then test/interop/soak.test.ts for so long (10 minutes). Needs root; what it makes
# is in namespaces of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
minutes=10
if [[ $# -gt 0 ]]; then
  if [[ $# -ne 2 || $1 != --minutes || ! $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: npm run soak -- [--minutes N]" >&2
    exit 2
  fi
  minutes=$2
fi
bash scripts/setup.sh --test
PATH=$PWD/node_modules/.bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
export SOAK_SECONDS=$((minutes * 60))
exec vitest run --project interop --retry 0 test/interop/soak.test.ts
