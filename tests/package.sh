#!/bin/sh
# What an adopter meets: the installed tree by pkg-config and by find_package, the source tree by
# add_subdirectory, the header as C++, and the README's program.
# usage: package.sh SOURCE BUILD CC
set -u
source=$1 build=$2 cc=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

step() { # WHAT COMMAND...
    what=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $what"
        tail -15 "$work/log"
    fi
}

# The README's program: the first C block.
sed -n '/^```c$/,/^```$/p' "$source/README.md" | sed '/^```$/q' | grep -v '^```' >"$work/layer.c"
step 'the README has a program' test -s "$work/layer.c"

step 'cmake --install' cmake --install "$build" --prefix "$work/tree"
lib=$(dirname "$(find "$work/tree" -name convgrad.pc)")/..
for file in include/convgrad.h bin/convgrad share/man/man1/convgrad.1; do
    step "installed $file" test -s "$work/tree/$file"
done
step 'installed shared library' test -e "$lib/libconvgrad.so.0.1"
step 'installed static library' test -s "$lib/libconvgrad.a"
step 'installed program' "$work/tree/bin/convgrad" --version

# Nothing but the header's functions is visible.
visible() {
    declared=$(grep -o 'cvg_[a-z_]*(' "$source/include/convgrad.h" | tr -d '(' | sort -u)
    exported=$(nm -D --defined-only "$lib/libconvgrad.so" | awk '$2 ~ /[A-Z]/ {print $3}' | grep -v '^_' | sort -u)
    for name in $exported; do
        echo "$declared" | grep -qx "$name" || { echo "exported, not declared: $name"; return 1; }
    done
    [ -n "$exported" ]
}
step 'hidden internals' visible
# The library never ends the program and never prints.
quiet() {
    nm -D --undefined-only "$lib/libconvgrad.so" | awk '{print $NF}' | sed 's/@.*//' >"$work/needs"
    grep -qx memcpy "$work/needs" || { echo 'no list of what the library needs'; return 1; }
    ! grep -xE '_?_?_?(exit|_Exit|quick_exit|abort|raise|kill|(v|f|vf|d)?printf|f?puts|f?putc|putchar|perror|write|fwrite|__assert_fail|signal)(_chk)?' "$work/needs"
}
step 'no exit, no output' quiet
soname() { objdump -p "$lib/libconvgrad.so" | grep -q 'SONAME *libconvgrad.so.0.1'; }
step 'soname' soname

# The compile line as the README gives it.
if command -v pkg-config >/dev/null; then
    export PKG_CONFIG_PATH="$lib/pkgconfig"
    # shellcheck disable=SC2046
    step 'compile by pkg-config' $cc "$work/layer.c" -o "$work/by_pkg" $(pkg-config --cflags --libs convgrad)
    step 'run by pkg-config' env LD_LIBRARY_PATH="$lib" "$work/by_pkg"
    # shellcheck disable=SC2046
    step 'compile by pkg-config, static' $cc "$work/layer.c" -o "$work/by_pkg_static" \
        $(pkg-config --static --cflags --libs convgrad) -static
    step 'run by pkg-config, static' "$work/by_pkg_static"
else
    echo 'skipped: no pkg-config'
    skipped=$((skipped + 1))
fi

outside() { # DIRECTORY FIND-LINE TARGET
    mkdir -p "$1"
    cp "$work/layer.c" "$1/layer.c"
    printf '%s\n' 'cmake_minimum_required(VERSION 3.25)' 'project(outside LANGUAGES C)' "$2" \
        'add_executable(layer layer.c)' "target_link_libraries(layer PRIVATE $3)" >"$1/CMakeLists.txt"
    cmake -S "$1" -B "$1/build" -G 'Unix Makefiles' -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$work/tree" &&
        cmake --build "$1/build" -j 2 && "$1/build/layer"
}
step 'find_package, shared' outside "$work/shared" 'find_package(convgrad 0.1 REQUIRED)' convgrad::convgrad
step 'find_package, static' outside "$work/static" 'find_package(convgrad 0.1 REQUIRED)' convgrad::static
step 'add_subdirectory' outside "$work/sub" "add_subdirectory($source convgrad)" convgrad::convgrad
no_more() { [ ! -e "$work/sub/build/convgrad/convgrad" ] && [ ! -d "$work/sub/build/convgrad/tests" ]; }
step 'add_subdirectory builds the library alone' no_more

if command -v c++ >/dev/null; then
    printf '#include <convgrad.h>\nint main() { cvg_conv c = CVG_CONV_INIT; cvg_options o = CVG_OPTIONS_INIT; %s }\n' \
        'return c.struct_size == sizeof c && o.threads == 0 && cvg_version() ? 0 : 1;' >"$work/header.cpp"
    step 'header as C++' c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -I "$work/tree/include" "$work/header.cpp" \
        -L "$lib" -lconvgrad -o "$work/header"
    step 'header as C++, run' env LD_LIBRARY_PATH="$lib" "$work/header"
else
    echo 'skipped: no C++ compiler'
    skipped=$((skipped + 1))
fi

echo "$passed checks passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
