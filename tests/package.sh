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
visible() { # HEADER LIBRARY
    declared=$(grep -o 'cvg_[a-z_]*(' "$source/include/$1" | tr -d '(' | sort -u)
    exported=$(nm -D --defined-only "$lib/$2" | awk '$2 ~ /[A-Z]/ {print $3}' | grep -v '^_' | sort -u)
    for name in $exported; do
        echo "$declared" | grep -qx "$name" || { echo "exported, not declared: $name"; return 1; }
    done
    [ -n "$exported" ]
}
step 'hidden internals' visible convgrad.h libconvgrad.so
# The library never ends the program and never prints.
quiet() { # LIBRARY
    nm -D --undefined-only "$lib/$1" | awk '{print $NF}' | sed 's/@.*//' >"$work/needs"
    grep -qx memcpy "$work/needs" || { echo 'no list of what the library needs'; return 1; }
    ! grep -xE '_?_?_?(exit|_Exit|quick_exit|abort|raise|kill|(v|f|vf|d)?printf|f?puts|f?putc|putchar|perror|write|fwrite|__assert_fail|signal)(_chk)?' "$work/needs"
}
step 'no exit, no output' quiet libconvgrad.so
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

# The library that trains.
if [ -e "$lib/libconvgrad-train.so" ]; then
    cat >"$work/layer.c" <<'END'
#include <convgrad_train.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    const char *model = "input 1x8x8\nconv 4 3x3\nrelu\nflatten\nlinear 3\ncross_entropy\n";
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    cvg_recipe recipe = CVG_RECIPE_INIT;
    cvg_network *network;
    cvg_trainer *trainer;
    cvg_error error;
    recipe.samples = 100;
    if (cvg_network_create(&network, model, strlen(model), &options, &error) ||
        cvg_trainer_create(&trainer, network, &recipe, 1, NULL, &error)) {
        puts(error.text);
        return 1;
    }
    const long long steps = cvg_trainer_steps(trainer);
    cvg_trainer_destroy(trainer);
    cvg_network_destroy(network);
    return steps == 20 ? 0 : 1;
}
END
    step 'training: installed header' test -s "$work/tree/include/convgrad_train.h"
    step 'training: hidden internals' visible convgrad_train.h libconvgrad-train.so
    step 'training: no exit, no output' quiet libconvgrad-train.so
    if command -v pkg-config >/dev/null; then
        # shellcheck disable=SC2046
        step 'training: compile by pkg-config' $cc "$work/layer.c" -o "$work/train_pkg" \
            $(pkg-config --cflags --libs convgrad-train)
        step 'training: run by pkg-config' env LD_LIBRARY_PATH="$lib" "$work/train_pkg"
        # shellcheck disable=SC2046
        step 'training: compile by pkg-config, static' $cc "$work/layer.c" -o "$work/train_pkg_static" \
            $(pkg-config --static --cflags --libs convgrad-train) -static
        step 'training: run by pkg-config, static' "$work/train_pkg_static"
    fi
    step 'training: find_package, shared' outside "$work/train_shared" 'find_package(convgrad 0.1 REQUIRED)' convgrad::train
    step 'training: find_package, static' outside "$work/train_static" 'find_package(convgrad 0.1 REQUIRED)' \
        convgrad::train_static
    # shellcheck disable=SC2046
    step 'training: a bare compiler' $cc -I"$source/include" "$work/layer.c" $(find "$source/src" "$source/train" -name '*.c') \
        -lm -o "$work/train_bare"
    step 'training: a bare compiler, run' "$work/train_bare"
    if command -v c++ >/dev/null; then
        printf '#include <convgrad_train.h>\nint main() { cvg_recipe r = CVG_RECIPE_INIT; %s }\n' \
            'cvg_network_options o = CVG_NETWORK_OPTIONS_INIT; return r.batch == 64 && o.shard == 16 ? 0 : 1;' \
            >"$work/header.cpp"
        step 'training: header as C++' c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -I "$work/tree/include" \
            -c "$work/header.cpp" -o "$work/header.o"
    fi
else
    echo 'skipped: the library that trains is not there'
    skipped=$((skipped + 1))
fi

echo "$passed checks passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
