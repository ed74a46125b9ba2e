#!/bin/sh
# The rules of the house that a grep can check.   usage: house.sh SOURCE
cd "$1" || exit 1
failed=0 passed=0

rule() { # WHAT BROKEN: the lines that break it
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1:"
        echo "$2" | head -5
    fi
}

includes() { grep -n '#include "' "$@" /dev/null; }
library='src/*.[ch] src/algo/*.[ch] src/kernels/*.[ch]' # unquoted below: a list of patterns

# Direction: api -> plan, shape -> algo -> kernels.h; parallel, memory and cpu are leaves.
rule 'algorithms include plan.h or cpu.h' "$(includes src/algo/*.[ch] | grep -E 'plan\.h|api|cpu\.h')"
rule 'algorithms include each other' \
    "$(includes src/algo/*.c | grep -vE '"(algo|box|definition|parts|direct|gather|window|winograd|winograd_points)\.h"')"
rule 'kernels know more than kernels.h' \
    "$(includes src/kernels/* | grep -vE '"(kernels|body|body_planes|body_points|target|simd_[a-z0-9]+|convgrad)\.h"')"
rule 'leaves include others' \
    "$(includes src/memory.[ch] src/parallel.[ch] | grep -vE '"(convgrad|memory|parallel)\.h"')"
rule 'the program looks into the library' \
    "$(includes cli/*.[ch] | grep -vE '"(convgrad|cli|about|array|problem|explain|bench|output|page|peer|guard|verify)\.h"')"

# Allocation, printing, globals and types.
rule 'allocation outside plan.c, measure.c and verify.c' \
    "$(grep -nE '\b(malloc|calloc|realloc|free)\(' $library | grep -vE '^src/(plan|measure|verify).c')"
rule 'the library prints or exits' "$(grep -nE '\b(printf|fprintf|puts|exit|abort|assert)\(' $library)"
rule 'a global that is no constant' \
    "$(grep -nE '^(static )?[a-z][a-z_0-9 ]*[ *][a-z_0-9]+(\[[^]]*\])*( = .*)?;$' $library | grep -vE 'const|typedef|extern')"
rule 'element types outside kernels' \
    "$(grep -nE '\bfloat\b|\bdouble \*[a-z]|sizeof\(double\)' src/plan.c src/memory.[ch] src/parallel.[ch] src/algo/box.[ch] src/algo/parts.[ch] \
        src/algo/direct*.[ch] src/algo/im2col.c src/algo/gather.[ch] src/algo/winograd.[ch] src/algo/winograd_[gw]*.c | grep -vE '^[^:]*:[0-9]+: *(/?\*|//)')"

# Sizes: a question in review, kept by a bound.
rule 'a file over 600 lines' "$(wc -l $library cli/*.[ch] include/*.h | awk '$1 > 600 && $2 != "total"')"
rule 'trailing white space' "$(grep -nE '[[:space:]]+$' $library cli/*.[ch] include/*.h tests/*.[ch] tests/*.sh README.md \
    docs/*.md CMakeLists.txt page/* tests/page/* cmake/*)"

rule 'a line of the documents over 120 columns' \
    "$(for file in README*.md SECURITY.md docs/*.md docs/measurements/*.md bindings/python/README.md; do
        [ "$(LC_ALL=C.UTF-8 wc -L <"$file")" -le 120 ] || echo "$file"
    done)"

# Every source is built; every option of the program is in its man page.
rule 'a source that CMake does not build' \
    "$(for file in src/*.c src/*/*.c cli/*.c; do grep -qF "$file" CMakeLists.txt cmake/peers.cmake || echo "$file"; done)"
rule 'an option that the man page lacks' \
    "$(grep -oE '\{"-[-a-z]+", OPT' cli/main.c | cut -d'"' -f2 | while read -r option; do
        grep -qF -- "$(echo "$option" | sed 's/-/\\-/g')" man/convgrad.1 || echo "$option"
    done)"
rule 'no option was found to look for' "$(grep -qE '\{"-[-a-z]+", OPT' cli/main.c || echo none)"

echo "$passed checks passed, $failed failed"
[ $failed = 0 ]
