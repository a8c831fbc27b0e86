#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Each promise of README.md has a test that turns red without it: this breaks the promises one by one and looks.
#
#   tests/mutants.sh            all of tests/mutants.csv
#   tests/mutants.sh P4 P10     only these
#   tests/mutants.sh --names    builds nothing: only that README.md and mutants.csv name the same tests
#
# A line of mutants.csv: promise, name of the planted bug (common/core/planted.h), test program, the test in it that must fail.
# The programs are those of the preset `sim`, which is built with the bugs in; they act only when TZ_PLANTED
# names one. The named test must pass without the bug and fail with it; README.md must name its program first beside the promise.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
bin=build/sim/tests
names_only=0
[ "${1:-}" != --names ] || { names_only=1; shift; }
declare -A wanted=()
for p in "$@"; do wanted[$p]=1; done
for p in "$@"; do
    grep -q "^$p," tests/mutants.csv || { echo "tests/mutants.csv has no line for $p" >&2; exit 2; }
done
bad=0

complain() {
    printf '   %s\n' "$*"
    bad=1
}

# Every promise of the README has a line, and the README says which test it is.
promises=$(sed -n 's/^| \(P[0-9]*\) |.*/\1/p' README.md)
[ "$(wc -w <<<"$promises")" -eq 12 ] || complain "README.md does not list twelve promises"

build() {
    local targets
    targets=$(tail -n +2 tests/mutants.csv | cut -d, -f3 | sort -u)
    cmake --preset sim >/dev/null
    # shellcheck disable=SC2086
    cmake --build --preset sim -j "${TZ_JOBS:-$(nproc)}" --target $targets >/dev/null
}

# Names of the tests of a cmocka program that failed, a line each.
failed_of() {
    TZ_PLANTED=$1 timeout 300 "$bin/$2" 2>&1 | sed -n 's/^\[  FAILED  \] \([a-z_0-9]*\)$/\1/p' | sort -u || true
}

# "    X(5, LOSS_DROPPED, "…")" → 5
number_of() {
    sed -n "s/^ *X(\([0-9]*\), $1, .*/\1/p" common/core/planted.h
}

look_at() {
    local promise=$1 name=$2 program=$3 test=$4 planted with without first
    planted=$(number_of "$name")
    [ -n "$planted" ] || { complain "no planted bug is called $name"; return; }
    first=$(grep "^| $promise |" README.md | sed 's/.*| `\([^`]*\)`.*/\1/')
    [ "$first" = "$program" ] || complain "README.md names $first first beside $promise, not $program"
    grep -rqw "$test" tests/unit tests/integration tests/fault tests/sim || complain "no test is called $test"
    [ "$names_only" = 0 ] || return 0
    without=$(failed_of 0 "$program")
    with=$(failed_of "$planted" "$program")
    printf '%-4s %-20s %s: %s\n' "$promise" "$program" "$name" "$(tr '\n' ' ' <<<"$with")"
    [ -z "$without" ] || complain "fails without the bug too: $without"
    [ -n "$with" ] || complain "the bug is not noticed"
    grep -qx "$test" <<<"$with" || complain "$test does not fail"
}

[ "$names_only" = 1 ] || build
for p in $promises; do
    [ ${#wanted[@]} -eq 0 ] || [ -n "${wanted[$p]:-}" ] || continue
    line=$(grep "^$p," tests/mutants.csv) || { complain "$p has no planted bug in tests/mutants.csv"; continue; }
    IFS=, read -r promise name program test <<<"$line"
    look_at "$promise" "$name" "$program" "$test"
done
exit $bad
