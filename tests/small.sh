#!/bin/sh
# The small build (preset small), for this machine and, where their compilers are, for boards: at most 120 KB stripped,
# without f64, and with the bits of the whole build.   usage: small.sh SOURCE PROGRAM-OF-THE-BUILD
set -u
source=$1 built=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
MOST=122880

result() { # GOOD WHAT
    if [ "$1" = 1 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $2"
    fi
}

cat >"$work/f64.c" <<'C'
#include <convgrad.h>
#include <stdio.h>
int main(void)
{
    cvg_conv conv = CVG_CONV_INIT;
    cvg_plan *plan;
    cvg_error error;
    conv.type = CVG_F64;
    conv.spatial_dims = 1;
    conv.batch = conv.in_channels = conv.out_channels = conv.in[0] = conv.filter[0] = 1;
    if (cvg_plan_create(&plan, &conv, NULL, &error) == CVG_OK)
        return 1;
    printf("%s\n", error.text);
    return 0;
}
C
for isa in avx512 avx2 fma neon; do # the bits with fused multiply-add; of the first board, if this processor has none
    [ -s "$work/fused" ] || CVG_ISA=$isa "$built" | grep "^f32" >"$work/fused" 2>/dev/null || : >"$work/fused"
done
CVG_ISA=portable "$built" | grep "^f32" >"$work/portable"

board() { # COMPILER STRIP EMULATOR BITS PROCESSOR
    command -v "$1" >/dev/null || { echo "left out: no $1"; return; }
    command -v "${3%% *}" >/dev/null || { echo "left out: no $3"; return; }
    build=$work/$5
    cmake -S "$source" -B "$build" --preset small -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$5" \
        -DCMAKE_C_COMPILER="$1" >"$work/log" 2>&1 && cmake --build "$build" -j 4 >>"$work/log" 2>&1 || {
        result 0 "$1: $(tail -3 "$work/log")"
        return
    }
    cp -L "$build/libconvgrad.so" "$work/lib.so" && "$2" "$work/lib.so"
    bytes=$(wc -c <"$work/lib.so")
    echo "$5: $bytes bytes"
    [ "$5" = "$(uname -m)" ] || # a board's
        result "$([ "$bytes" -le $MOST ] && echo 1)" "$5: the library has $bytes bytes; must be at most $MOST"
    for program in bits f64; do
        file=$work/$program.c
        [ $program = bits ] && file=$source/tests/bits.c
        "$1" -O1 -static -I"$source/include" "$file" "$build/libconvgrad.a" -lm -o "$work/$program" 2>"$work/log" ||
            result 0 "$5: $(head -1 "$work/log")"
        $3 "$work/$program" >"$work/out" 2>&1
        result "$([ $? = 0 ] && echo 1)" "$5: $program: $(head -1 "$work/out")"
        if [ $program = bits ]; then
            [ -s "$4" ] || cp "$work/out" "$4"
            result "$(cmp -s "$4" "$work/out" && echo 1)" "$5: other bits than those of the whole build"
        else
            result "$(grep -q 'type is f64; this build of the library is without it' "$work/out" && echo 1)" \
                "$5: f64: $(cat "$work/out")"
        fi
    done
}

board cc strip env "$work/portable" "$(uname -m)"
board aarch64-linux-gnu-gcc aarch64-linux-gnu-strip qemu-aarch64 "$work/fused" aarch64
board riscv64-linux-gnu-gcc riscv64-linux-gnu-strip qemu-riscv64 "$work/fused" riscv64
cp -L "$(dirname "$built")/../libconvgrad.so" "$work/lib.so" && strip "$work/lib.so"
result "$([ "$(wc -c <"$work/lib.so")" -le 1000000 ] && echo 1)" "the whole library has $(wc -c <"$work/lib.so") bytes"
echo "$passed checks passed, $failed failed"
[ $failed = 0 ] && [ $passed -ge 5 ]
