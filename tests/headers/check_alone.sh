#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every header compiles on its own under the strict flags: check_alone.sh TOP CC INCLUDE-DIR…
set -euo pipefail
top=$1 cc=$2
shift 2
flags=(-std=c11 -D_GNU_SOURCE -fsyntax-only -x c -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror)
for dir in "$@"; do flags+=("-I$dir"); done
count=0 failed=0
while IFS= read -r header; do
    count=$((count + 1))
    # Twice: an include guard is part of the contract.
    if ! printf '#include "%s"\n#include "%s"\nextern int tz_unused;\n' "$header" "$header" | "$cc" "${flags[@]}" -; then
        failed=$((failed + 1))
        printf 'does not compile alone: %s\n' "$header"
    fi
done < <(find "$top/common" "$top/proto" "$top/server" "$top/client" -name '*.h' ! -path '*/build/*' | sort)
printf '%d headers, %d failed\n' "$count" "$failed"
[ "$failed" -eq 0 ] && [ "$count" -gt 20 ]
