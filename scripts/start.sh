#!/usr/bin/env bash
# "npm start": set-up, then the server in this very process, so that signals reach it (package.json starts this with
# "exec" for the same reason: npm passes a signal on to its direct child only). Flags go to "vpn serve".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
PATH=$PWD/node_modules/.bin:$PATH
export VPN_DATA_DIR=${VPN_DATA_DIR:-./data}
exec node bin/run.js serve "$@"
