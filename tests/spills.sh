#!/bin/sh
# No kernel reads a vector of reals back from the stack: the sums stay in registers.  (Not
# watched: dot of the 16-byte vectors, whose incomplete vectors go through memory.)
# usage: spills.sh LIBRARY.a   (77: cannot tell here)
command -v objdump >/dev/null || { echo "SKIPPED: no objdump"; exit 77; }
objdump -d "$1" | awk '
    /file format/ { file = $1; sub(/\.c?o?\.?o?:$/, "", file) }
    /^[0-9a-f]+ <.*>:$/ { name = $2; watched = name ~ /<(cvg_)?(tile|dot)/ && file ~ /avx|fma_/ && !(name ~ /dot/ && file ~ /fma_/); if (watched) kernels++ }
    watched && /(mov[au]p[sd]|fmadd[0-9]*p[sd]) .*(\(%rsp\)|-0x[0-9a-f]+\(%rbp\)),.*%[xyz]mm/ {
        spills[file " " name]++; total++
    }
    watched && /fmadd[0-9]*p[sd] / { fused++ }
    END {
        for (where in spills) print "FAIL", where, spills[where], "vector reads from the stack"
        if (!kernels) { print "SKIPPED: no kernels of x86 in the library"; exit 77 }
        print kernels, "kernels,", fused, "fused multiply-adds,", total + 0, "vector reads from the stack"
        exit total > 0 || fused < 1000
    }'
