#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Install what is missing, build with sanitizers, run the tests.
#
#   ./tests/run.sh             everything that belongs in the default run (about fourteen minutes on two cores)
#   ./tests/run.sh --long      the same plus the long runs: more seeds, more kill -9 rounds
#   ./tests/run.sh --mutants   only tests/mutants.sh: each promise broken on purpose, and its test failing
#   ./tests/run.sh --tsan      the threaded parts and the real programs under ThreadSanitizer instead (six minutes)
#   ./tests/run.sh -R REGEX    only the tests whose names match (passed on to ctest)
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
jobs=${TZ_JOBS:-$(nproc)}
long=0
tsan=0
mutants=0
declare -a only=() sim_too=()
while [ $# -gt 0 ]; do
    case $1 in
    --long) long=1 ;;
    --tsan) tsan=1 ;;
    --mutants) mutants=1 ;;
    -R) only=(-R "${2:?-R needs a regular expression}"); shift ;;
    *) sed -n '3,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
    shift
done

say() { printf '\n== %s\n' "$*"; }

# ctest's own closing lines come last of each part; a part without tests is an error, not a success.
run_tests() {
    local preset=$1
    shift
    ctest --preset "$preset" -j "$jobs" --no-tests=error "$@"
}

say "dependencies"
./deploy/install-deps.sh
export TZ_LONG=$long ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

if [ "$mutants" = 1 ]; then
    say "promises broken on purpose"
    exec ./tests/mutants.sh
fi

if [ "$tsan" = 1 ]; then
    say "build with ThreadSanitizer"
    cmake --preset tsan >/dev/null
    cmake --build --preset tsan -j "$jobs"
    say "tests under ThreadSanitizer"
    # The real programs are started and ended by the tests, some by kill -9: what a race made them write is looked for
    # in files, not in exit codes alone. Shadow memory costs several times what the programs use.
    rm -f build/tsan/race.*
    export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 log_path=$top/build/tsan/race" TZ_MEMORY_FACTOR=8
    status=0
    run_tests tsan -L 'integration|e2e' "${only[@]}" || status=1
    if compgen -G 'build/tsan/race.*' >/dev/null; then
        cat build/tsan/race.*
        status=1
    fi
    exit $status
fi

say "build with AddressSanitizer and UndefinedBehaviorSanitizer"
cmake --preset asan >/dev/null
cmake --build --preset asan -j "$jobs"
say "build the simulator at full speed, with the planted bugs it must find"
cmake --preset sim >/dev/null
cmake --build --preset sim -j "$jobs" --target tz_sim test_oracle bench_stamps

# What the tests measured, out of ctest's log: figures a reader wants to see even when everything passed.
figures() {
    say "figures"
    grep -hE 'CPU-s each|planted bug .* found|stored seeds|same rows|hostile connections|server kills|client kills|acknowledged|beside them|edits: |pairs: |triples: |crash points: |same data: |stamps and commits: ' \
        build/*/Testing/Temporary/LastTest.log | sort -u || true
    awk '/CPU-s each/ { seeds += $1; ops += $(NF - 1) }
         END { printf "%d operations in all over %d runs of seeds at full speed\n", ops, seeds }' \
        build/sim/Testing/Temporary/LastTest.log
}

status=0
say "tests under AddressSanitizer and UndefinedBehaviorSanitizer"
run_tests asan "${only[@]}" || status=1
if [ ${#only[@]} -eq 0 ]; then
    say "simulator"
    [ "$long" = 0 ] || sim_too=(-C Long) # more seeds and one large world
    run_tests sim -L sim "${sim_too[@]}" || status=1
    say "promises broken on purpose"
    ./tests/mutants.sh || status=1
    figures
    if [ "$long" = 1 ]; then
        say "every planted bug within 10 CPU-minutes"
        ./tests/sim/find_seeds.sh --check || status=1
    fi
fi
exit $status
