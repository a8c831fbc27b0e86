#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Measure the real programs, and beside each workload what the machine allows, in the same run.
#
#   tests/bench/run.sh                the usual sizes, medians of five rounds, and one city of a million rows
#   tests/bench/run.sh --quick        a small one, to see that it works
#   tests/bench/run.sh --only W1,W2   only these
#   tests/bench/run.sh --json FILE    the figures of every round go there (default: build/bench/figures.json)
#   tests/bench/run.sh --dir FOLDER   on another disk (default: build/bench/work)
#
# Exit 1: a figure missed what it should at least reach. Nothing else should run on the machine meanwhile.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
json=build/bench/figures.json
dir=build/bench/work
declare -a sizes=(--rounds 5 --rows 100000 --city-rows 1000000) only=()
while [ $# -gt 0 ]; do
    case $1 in
    --quick) sizes=(--rounds 1 --rows 20000) ;;
    --only) only=(--only "${2:?--only needs workloads}"); shift ;;
    --json) json=${2:?--json needs a file}; shift ;;
    --dir) dir=${2:?--dir needs a folder}; shift ;;
    *) sed -n '5,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
    shift
done

./deploy/install-deps.sh
cmake --preset bench >/dev/null
cmake --build --preset bench -j "$(nproc)" --target tz-bench taizhang taizhangd >build/bench/build.log 2>&1 ||
    { tail -n 30 build/bench/build.log >&2; exit 1; }

mkdir -p "$dir"
work=$(mktemp -d "$dir/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
build/bench/tests/tz-bench --bin build/bench --work "$work" --json "$json" "${sizes[@]}" "${only[@]}"
