#!/bin/sh
# exp, log and cos of train/real.c have the same bits from every compiler, with every optimisation, with products that
# may be fused and without.   usage: train_leaves.sh SOURCE PROGRAM-OF-THE-BUILD
set -u
source=$1 built=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
want=$("$built" bits) || exit 1
for compiler in 'cc -O0' 'cc -O3 -march=native -ffp-contract=fast' 'cc -std=gnu11 -O2' \
    'clang -O3 -march=native -ffp-contract=on' 'aarch64-linux-gnu-gcc -static -O3 -ffp-contract=fast'; do
    command -v "${compiler%% *}" >/dev/null || { echo "skipped: no ${compiler%% *}"; continue; }
    run=
    case $compiler in aarch64*)
        [ "$(uname -m)" = aarch64 ] || run=qemu-aarch64
        [ -z "$run" ] || command -v $run >/dev/null || { echo "skipped: no $run"; continue; } ;;
    esac
    # shellcheck disable=SC2086
    got=$($compiler -I"$source/include" "$source/train/real.c" "$source/train/random.c" "$source/tests/train_leaves.c" \
        -o "$work/leaves" -lm && $run "$work/leaves" bits)
    if [ "$got" = "$want" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $compiler: the bits are $got, of the build $want"
    fi
done
echo "$passed checks passed, $failed failed"
[ $failed = 0 ] && [ $passed != 0 ]
