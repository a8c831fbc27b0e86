#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Search a seed for every planted bug, shrink it, and write the table that the default run replays. Takes a few minutes;
# needed when the workload changed (a replay then says that its stored seed is stale).
#
#   ./tests/sim/find_seeds.sh            all of them
#   ./tests/sim/find_seeds.sh --check    only say what is found, within 10 CPU-minutes each; change nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
sim=build/sim/tests/tz_sim
table=tests/sim/seeds/planted.txt
cmake --preset sim >/dev/null
cmake --build --preset sim --target tz_sim >/dev/null
if [ "${1:-}" = --check ]; then
    exec "$sim" --find --cpu 600
fi
mkdir -p tests/sim/seeds
{
    echo "# Planted bug, seed, mask of its actions (tests/sim/README.md). Written by tests/sim/find_seeds.sh."
    "$sim" --find --cpu 600
} >"$table.new"
mv "$table.new" "$table"
