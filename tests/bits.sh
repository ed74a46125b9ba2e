#!/bin/sh
# The same bits from every compiler, with every optimisation, on every instruction set that fuses
# multiply and add; and, without, from every compiler.   usage: bits.sh SOURCE PROGRAM-OF-THE-BUILD
set -u
source=$1 built=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
"$built" >"$work/built" || exit 1
fused='avx512 avx512bf16 avx2 fma neon'

compare() { # WHAT WANT PROGRAM ISA: unknown sets and those that this processor lacks are passed over
    CVG_ISA=$4 "$3" >"$work/got" 2>&1 || return 0
    [ -s "$2" ] || cp "$work/got" "$2"
    if cmp -s "$2" "$work/got"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1, $4:"
        diff "$2" "$work/got"
    fi
}

for isa in $fused; do
    compare 'the build' "$work/fused" "$built" "$isa"
done
compare 'the build' "$work/plain" "$built" portable
for compiler in 'cc -O2' 'cc -O3 -march=native' 'clang -O2'; do
    command -v "${compiler%% *}" >/dev/null || { echo "skipped: no ${compiler%% *}"; continue; }
    # shellcheck disable=SC2086
    $compiler -I"$source/include" "$source/tests/bits.c" "$source"/src/*.c "$source"/src/*/*.c "$source"/src/*/*/*.c \
        -lm -o "$work/program" 2>"$work/log" || {
        failed=$((failed + 1))
        echo "FAIL $compiler: $(head -1 "$work/log")"
        continue
    }
    for isa in $fused; do
        compare "$compiler" "$work/fused" "$work/program" "$isa"
    done
    case $compiler in
    *native*) ;; # may fuse in portable C, too
    *) compare "$compiler" "$work/plain" "$work/program" portable ;;
    esac
done
if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    aarch64-linux-gnu-gcc -O2 -static -I"$source/include" "$source/tests/bits.c" "$source"/src/*.c \
        "$source"/src/*/*.c "$source"/src/*/*/*.c -lm -o "$work/program" && {
        printf '#!/bin/sh\nexec qemu-aarch64 "%s"\n' "$work/program" >"$work/emulated"
        chmod +x "$work/emulated"
        compare 'AArch64 under qemu' "$work/fused" "$work/emulated" neon
    }
else
    echo 'skipped: no AArch64 compiler and qemu-user'
fi
echo "$passed checks passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 2 ]
