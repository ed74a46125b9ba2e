#!/bin/sh
# Fuzzes each target for a while, and tells which lines of what it is meant for were reached.
# usage: tests/fuzz/run.sh SECONDS [TARGET...]     needs clang with libFuzzer, llvm-profdata, llvm-cov
#
# New inputs go to build-fuzz/corpus; "tests/fuzz/run.sh keep" then makes tests/fuzz/corpus
# of as few of all as reach the same.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:?seconds} && shift
[ $# -gt 0 ] || set -- conv array problem table plan_text safetensors model pnm
version=$(clang -dumpversion | cut -d. -f1)
tool() { command -v "$1" || command -v "$1-$version"; }

build() { # FOLDER SANITIZERS FLAGS
    cmake -S . -B "$1" -G "Unix Makefiles" -DCMAKE_C_COMPILER=clang -DCVG_FUZZ=ON -DCVG_OPENMP=OFF -DCVG_PEERS=OFF \
        -DCVG_SANITIZE="$2" -DCMAKE_C_FLAGS="$3" -DCMAKE_C_FLAGS_RELEASE=-O1 >/dev/null
    cmake --build "$1" -j 4 >/dev/null
}

build build-fuzz fuzzer-no-link,address,undefined ''
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=500
for target; do
    mkdir -p "build-fuzz/corpus/$target"
    if [ "$seconds" = keep ]; then
        kept=tests/fuzz/corpus/$target
        cp "$kept"/* "build-fuzz/corpus/$target" 2>/dev/null || true
        rm -rf "$kept" && mkdir "$kept"
        "build-fuzz/tests/fuzz_$target" -set_cover_merge=1 -use_counters=0 "$kept" "build-fuzz/corpus/$target" 2>/dev/null
    else
        "build-fuzz/tests/fuzz_$target" -max_total_time="$seconds" -malloc_limit_mb=0 -timeout=20 -max_len=3000 \
            -artifact_prefix=build-fuzz/ "build-fuzz/corpus/$target" "tests/fuzz/corpus/$target" \
            >"build-fuzz/$target.log" 2>&1 || { tail -40 "build-fuzz/$target.log"; exit 1; }
        echo "$target: $(grep -E '^Done' "build-fuzz/$target.log"); $(ls "build-fuzz/corpus/$target" | wc -l) inputs kept"
    fi
done
[ "$seconds" != keep ] || exit 0

# Coverage: the same inputs once more, in a build that counts lines, of what the targets are meant for.
build build-fuzz-coverage fuzzer-no-link '-fprofile-instr-generate -fcoverage-mapping'
objects=''
for target; do
    program=build-fuzz-coverage/tests/fuzz_$target
    objects="$objects ${objects:+-object} $program"
    LLVM_PROFILE_FILE=build-fuzz-coverage/$target.raw "$program" -runs=0 "build-fuzz/corpus/$target" "tests/fuzz/corpus/$target" 2>/dev/null
done
"$(tool llvm-profdata)" merge -o build-fuzz-coverage/all.data build-fuzz-coverage/*.raw
# shellcheck disable=SC2086
"$(tool llvm-cov)" report $objects -instr-profile=build-fuzz-coverage/all.data src/api.c src/plan.c src/plan_text.c \
    src/shape.c src/run/*.c src/tensor/*.[ch] src/algo/*.[ch] src/algo/*/*.[ch] cli/array.c cli/problem.c cli/train/image.c \
    train/safetensors.c train/sentence.c train/network.c train/place.c train/layers/*.c |
    awk '/^(src|cli|algo|run|tensor|TOTAL|[a-z_]*\.[ch])/ { printf "%-28s lines %8s  branches %8s\n", $1, $10, $13 }'
