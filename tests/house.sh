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
library=$(find src -name '*.[ch]') # unquoted below: lists of files
train=$(find train -name '*.[ch]')

# Direction: which headers each room may include.  tests/circles.sh holds the calls to it.
room() { # ROOM FILES...: HEADERS that it may include, as a pattern
    name=$1 headers=$2
    shift 2
    rule "$name includes another room" "$(includes "$@" | grep -vE "\"([./]*)($headers)\"")"
}
leaf='convgrad.h|broken.h|number.h'
kernels="$leaf|kernels/kernels.h"
tensor="$kernels|shape.h|sizes.h|task.h|tiles.h|box.h|window.h|gather.h|view.h|stage.h"
algo="run/job.h|text.h|kernels/kernels.h|tensor/(task|tiles|box|window|gather|view).h|algo.h|cost.h|parts.h|definition.h"
room 'the kernels' "$leaf|(kernels|body|body_[a-z]+|target|simd_[a-z0-9]+).h" src/kernels/*
room 'error or text' "$leaf|error.h|text.h" src/error.[ch] src/text.[ch]
room 'run' "$leaf|job.h|parallel.h" src/run/*
room 'shape' "$leaf|error.h|shape.h" src/shape.[ch]
room 'cpu' "$kernels|error.h|cpu.h" src/cpu.[ch]
room 'tensor' "$tensor" src/tensor/*
room 'algo' "$algo" src/algo/*.[ch]
room 'algo/direct' "$algo|direct.h|ahead.h|channels_cut.h|groups_open.h|positions.h" src/algo/direct/*
room 'algo/winograd' "$algo|winograd.h|points.h" src/algo/winograd/*
room 'plan' "$leaf|algo/algo.h|tensor/stage.h|cpu.h|plan.h" src/plan.[ch]
room 'halves' "plan.h|halves.h" src/halves.[ch]
room 'train' 'convgrad.h|convgrad_train.h|(sentence|network|trainer|step|random|real|safetensors|twice).h' train/*.[ch]
room 'train/layers' '(network|random|real|twice).h' train/layers/*
rule 'the core knows of training' "$(grep -nE 'convgrad_train|train/' $library include/convgrad.h)"
rule 'the program looks into the library' \
    "$(includes cli/*.[ch] | grep -vE '"(convgrad|cli|about|array|geometry|problem|explain|bench|output|page|peer|guard|ranks|verify|convgrad_train)\.h"')"

rule "the program's training looks into the library" \
    "$(includes cli/train/*.[ch] | grep -vE '"(convgrad|convgrad_train|cli|output|page|dataset|export|files|history|image|model|ranks|settings|training)\.h"')"

# Allocation, printing, globals and types.
rule 'allocation outside plan.c, measure.c and verify.c' \
    "$(grep -nE '\b(malloc|calloc|realloc|free)\(' $library | grep -vE '^src/(plan|measure|verify).c')"
# Only tensor/view finds an element of a caller's tensor, and the definition (with reference.c, which numbers elements).
rule 'an algorithm looks into a tensor' \
    "$(grep -nE '\b(t|task)->(input|weight|grad_output|result)\b' src/algo/*.c src/algo/*/*.c |
        grep -vE '^src/algo/(definition|reference).c|cvg_view_(in|out|array)\(|cvg_filters_of\(|task\.(input|grad_output) =' |
        grep -vE 'cvg_at\(t, t->result, channel\)')"
rule 'the library prints or exits' "$(grep -nE '\b(printf|fprintf|puts|exit|abort|assert)\(' $library | grep -v '^src/broken.h')"
rule 'a global that is no constant' \
    "$(grep -nE '^(static )?[a-z][a-z_0-9 ]*[ *][a-z_0-9]+(\[[^]]*\])*( = .*)?;$' $library | grep -vE 'const|typedef|extern|:struct [a-z_]+;$')"
rule 'element types outside kernels' \
    "$(grep -nE '\bfloat\b|sizeof\(double\)' $(echo $library | tr ' ' '\n' | grep -v '^src/kernels/') |
        grep -vE '^src/(shape.c|number.c|halves.c|tensor/(stage|view|elements).[ch]|algo/grad_bias.c)' | grep -vE '/\*|^[^:]*:[0-9]+: *\*')"

# Training: the same bits with every C library, and no memory but what the two create functions ask for.
rule "training uses the C library's exp, log, cos or pow" \
    "$(grep -nE '\b(exp2?|expm1|log(2|10|1p)?|cos|sin|tan|tanh|pow|cbrt|hypot|fma)[fl]?\(' $train)"
rule 'allocation in training outside network.c and trainer.c' \
    "$(grep -nE '\b(malloc|calloc|realloc|free)\(' $train | grep -vE '^train/(network|trainer).c')"
rule 'training prints or exits' "$(grep -nE '\b(printf|fprintf|puts|exit|abort|assert)\(' $train)"
rule 'a global of training that is no constant' \
    "$(grep -nE '^(static )?[a-z][a-z_0-9 ]*[ *][a-z_0-9]+(\[[^]]*\])*( = .*)?;$' $train | grep -vE 'const|typedef|extern|:struct [a-z_]+;$')"

# Sizes: a question in review, kept by a bound.
rule 'a file over 450 lines' "$(wc -l $library $train cli/*.[ch] cli/train/*.[ch] | awk '$1 > 450 && $2 != "total"')"
rule 'a function over 80 lines' \
    "$(awk 'FNR == 1 { s = 0 } /^{/ { s = FNR } /^}$/ { if (s && FNR - s > 79) print FILENAME ": " FNR; s = 0 }' $library $train cli/*.[ch] cli/train/*.[ch])"
rule 'trailing white space' "$(grep -nE '[[:space:]]+$' $library $train cli/*.[ch] cli/train/*.[ch] include/*.h tests/*.[ch] tests/*.sh README.md \
    docs/*.md CMakeLists.txt page/* tests/page/* cmake/*)"

rule 'a line of the documents over 120 columns' \
    "$(for file in README*.md SECURITY.md docs/*.md docs/measurements/*.md bindings/python/README.md; do
        [ "$(LC_ALL=C.UTF-8 wc -L <"$file")" -le 120 ] || echo "$file"
    done)"

# The C files have the form of .clang-format, as version 14 understands it; tests/mutants.py finds its places.
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
    rule 'a file that .clang-format would change' \
        "$(find src train cli include tests bench examples -name '*.[ch]' | xargs clang-format --dry-run 2>&1 | grep -o '^[^:]*:[0-9]*' |
            sort -u)"
else
    echo 'left out: the form of the C files (needs clang-format 14)'
fi
if command -v python3 >/dev/null; then
    rule 'a planted fault without its place' "$(python3 tests/mutants.py --places)"
fi

# Every source is built; every option of the program is in its man page.
rule 'a source that CMake does not build' \
    "$(for file in $(find src train cli -name "*.c"); do grep -qF "$file" CMakeLists.txt cmake/peers.cmake || echo "$file"; done)"
rule 'an option that the man page lacks' \
    "$(grep -oE '\[OPT_[A-Z_]+\] = \{"-[-a-z]+"' cli/args.c | cut -d'"' -f2 | while read -r option; do
        grep -qF -- "$(echo "$option" | sed 's/-/\\-/g')" man/convgrad.1 || echo "$option"
    done)"
rule 'no option was found to look for' "$(grep -qE '\[OPT_[A-Z_]+\] = \{"-[-a-z]+"' cli/args.c || echo none)"

echo "$passed checks passed, $failed failed"
[ $failed = 0 ]
