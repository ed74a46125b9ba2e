#!/bin/sh
# No file of the library or of the program needs one that needs it.   usage: circles.sh ARCHIVE...
command -v nm >/dev/null || exit 77
failed=0 passed=0
for archive in "$@"; do
    nm -A "$archive" | awk '{
        split($1, at, ":"); file = at[2]; kind = $(NF - 1); name = $NF
        if (kind ~ /^[TDRBV]$/) home[name] = file
        else if (kind == "U") uses[file, name] = 1
    } END {
        for (pair in uses) {
            split(pair, x, SUBSEP)
            if (x[2] in home && home[x[2]] != x[1]) print x[1], home[x[2]]
        }
    }' | sort -u >"${TMPDIR:-/tmp}/circles.$$"
    pairs=$(wc -l <"${TMPDIR:-/tmp}/circles.$$")
    loop=$(tsort "${TMPDIR:-/tmp}/circles.$$" 2>&1 >/dev/null)
    rm -f "${TMPDIR:-/tmp}/circles.$$"
    if [ "$pairs" -gt 10 ] && [ -z "$loop" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $archive: of $pairs pairs of files that use each other some are a circle:"
        echo "$loop"
    fi
done
echo "$passed checks passed, $failed failed"
[ $failed = 0 ]
