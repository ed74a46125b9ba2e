#!/usr/bin/env bash
# The tests under other tools, compilers and machines, one tier each.   usage: tests/tiers.sh TIER...
#
#   asan       gcc's AddressSanitizer, UndefinedBehaviorSanitizer and leak check
#   tsan       gcc's ThreadSanitizer, threads through the parallel_for hook
#   integer    clang's UndefinedBehaviorSanitizer with all checks of integers and alignment
#   msan       clang's MemorySanitizer on the portable kernels
#   valgrind   the short list of tests, and every fault of the program, under valgrind
#   compilers  gcc and clang, -O0 to -O3
#   cpus       x86 without AVX2, without FMA, and with both, under qemu
#   neon       AArch64 under qemu
#   i386       x86 of 32 bits
#   s390x      a big-endian machine under qemu
#   soak       eight threads on random plans, twenty minutes
#   coverage   which lines and branches of the library the tests run
#
# Each prints the time it took, and stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=passive

# The targets of the tests that need no outside program.
quick='api|kernels|textbook|golden|threads|faults_library|fuzz_.*'

build() { # FOLDER OPTION...
    folder=$1 && shift
    cmake -S . -B "$folder" -G "Unix Makefiles" -DCVG_PEERS=OFF "$@" >/dev/null
    cmake --build "$folder" -j 4 2>&1 | grep -E 'warning|error|\*\*\*' && exit 1
    [ -x "$folder/convgrad" ]
}

run_tests() { # FOLDER NAMES
    ctest --test-dir "$1" --output-on-failure --no-tests=error -j 2 -R "^($2)\$" | tail -4
}

asan() { # the preset runs two of sixteen parts of the problems
    cmake --workflow --preset asan | tail -3
    for part in $(seq 2 15); do
        build-asan/tests/test_algorithms 4 "$part" 16 | tail -1
    done
}
tsan() { cmake --workflow --preset tsan | tail -3; }
neon() { cmake --workflow --preset neon | tail -3; }

integer() { # unsigned numbers may wrap in random numbers and hashes; -O0: else clang takes minutes for a kernel
    build build-integer -DCMAKE_C_COMPILER=clang -DCVG_OPENMP=OFF -DCMAKE_C_FLAGS_RELEASE=-O0 \
        -DCVG_SANITIZE=undefined,implicit-conversion,float-divide-by-zero
    run_tests build-integer "$quick|cli"
    build-integer/convgrad verify --random 100 | tail -1
}

msan() {
    build build-msan -DCMAKE_C_COMPILER=clang -DCVG_OPENMP=OFF -DCMAKE_C_FLAGS_RELEASE=-O1 -DCVG_SANITIZE=memory \
        -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON
    CVG_ISA=portable run_tests build-msan 'api|textbook|golden|threads|faults_library|fuzz_.*|cli'
    CVG_ISA=portable build-msan/convgrad verify --random 100 | tail -1
}

valgrind() {
    memcheck="$(type -P valgrind) -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite" # the program, not this function
    build build-valgrind -DCVG_OPENMP=OFF -DCMAKE_C_FLAGS_RELEASE='-O1 -g'
    for test in api textbook faults; do
        $memcheck "build-valgrind/tests/test_$test"
    done
    $memcheck build-valgrind/tests/fuzz_conv tests/fuzz/corpus/conv
    $memcheck build-valgrind/convgrad verify --random 30 | tail -1
    # shellcheck disable=SC2086
    python3 tests/faults.py build-valgrind/convgrad build-valgrind/tests/convgrad_faults $memcheck
}

compilers() {
    for compiler in gcc clang; do
        for level in 0 1 2 3; do
            build "build-$compiler-O$level" -DCMAKE_C_COMPILER=$compiler -DCMAKE_C_FLAGS_RELEASE=-O$level -DCVG_WERROR=ON
            echo "$compiler -O$level"
            run_tests "build-$compiler-O$level" "$quick"
            "build-$compiler-O$level/convgrad" verify --random 100 | tail -1
        done
    done
}

cpus() { # a processor, the best instruction set that it has, and one that it lacks
    build build-cpus -DCVG_OPENMP=OFF -DCMAKE_EXE_LINKER_FLAGS=-static -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON
    printf '%s\n' 'Nehalem portable fma' 'Opteron_G5 fma avx2' 'Haswell avx2 avx512' | while read -r cpu has lacks; do
        emulator="qemu-x86_64 -cpu $cpu"
        echo "$cpu: $has"
        CVG_ISA=$has $emulator build-cpus/convgrad verify mb2ic3ih5iw7oc4kh3kw2ph2pw1 --threads 1 2>/dev/null | tail -1
        ! CVG_ISA=$lacks $emulator build-cpus/convgrad verify >/dev/null 2>build-cpus/refused
        grep "CVG_ISA is \"$lacks\"; this processor has no such" build-cpus/refused >/dev/null
        [ "$cpu" != Haswell ] || continue # emulated slowly; the same code runs in all tests here
        $emulator build-cpus/convgrad verify --random 10 --threads 1 2>/dev/null | tail -1
        $emulator build-cpus/tests/test_kernels 2>/dev/null | tail -1
        $emulator build-cpus/tests/test_golden tests/golden/golden.txt 2>/dev/null
    done
    qemu-x86_64 -cpu Nehalem build-cpus/convgrad info 2>/dev/null | grep 'not the bits' >/dev/null
}

i386() {
    build build-i386 -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=i686 -DCMAKE_C_COMPILER=i686-linux-gnu-gcc \
        -DCMAKE_EXE_LINKER_FLAGS=-static -DCVG_OPENMP=OFF -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON
    run_tests build-i386 "$quick|cli"
    build-i386/convgrad verify --random 200 | tail -1
}

s390x() {
    build build-s390x -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=s390x -DCMAKE_C_COMPILER=s390x-linux-gnu-gcc \
        -DCMAKE_CROSSCOMPILING_EMULATOR=qemu-s390x -DCMAKE_EXE_LINKER_FLAGS=-static -DCVG_OPENMP=OFF \
        -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON
    run_tests build-s390x "$quick"
    qemu-s390x build-s390x/convgrad verify --random 50 | tail -1
    # Files are little-endian on every machine: 1 -2 1 -2 by the filter 1 -2 is 5 -4 5.
    npy() { # SHAPE, then octal bytes
        printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($1), }"
        printf "$2"
    }
    one='\000\000\200\077' minus_two='\000\000\000\300' five='\000\000\240\100' minus_four='\000\000\200\300'
    npy '1, 1, 4' "$one$minus_two$one$minus_two" >build-s390x/x.npy
    npy '1, 1, 2' "$one$minus_two" >build-s390x/w.npy
    qemu-s390x build-s390x/convgrad run forward --input build-s390x/x.npy --weight build-s390x/w.npy -o build-s390x/out
    printf "$five$minus_four$five" >build-s390x/wanted
    tail -c 12 build-s390x/out/output.npy | cmp - build-s390x/wanted
}

soak() {
    build build-soak
    build-soak/tests/soak 1200
}

coverage() { # needs gcovr
    build build-coverage -DCMAKE_C_FLAGS_RELEASE='-O1 --coverage -fprofile-update=atomic'
    find build-coverage -name '*.gcda' -delete
    ctest --test-dir build-coverage --output-on-failure -j 2 -E '^(bits|package|spills|readme|house|faults_program)$' | tail -4
    gcovr --root . --object-directory build-coverage --filter src/ --txt build-coverage/lines.txt \
        --json build-coverage/coverage.json
    gcovr --root . --add-tracefile build-coverage/coverage.json --branches --txt build-coverage/branches.txt
    grep TOTAL build-coverage/lines.txt build-coverage/branches.txt
}

[ $# -gt 0 ] || { sed -n '2,19p' "$0"; exit 2; }
for tier; do
    case $tier in
    asan | tsan | integer | msan | valgrind | compilers | cpus | neon | i386 | s390x | soak | coverage) ;;
    *) echo "tiers.sh: there is no tier $tier" >&2; exit 2 ;;
    esac
    begin=$(date +%s)
    $tier
    echo "== $tier passed in $(($(date +%s) - begin)) s"
done
