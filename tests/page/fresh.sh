#!/bin/sh
# The pictures and the page that the documents show are what the program draws.   usage: fresh.sh SOURCE PROGRAM
# With "make" as third argument it makes them.
docs=$1/docs program=$2 failed=0
drawn=$(mktemp) || exit 1
trap 'rm -f "$drawn"' EXIT

fresh() { # FILE WORDS...
    file=$1
    shift
    "$program" explain "$@" >"$drawn" || exit 1
    if [ "$make" = make ]; then
        cat "$drawn" >"$docs/$file"
    elif ! cmp -s "$drawn" "$docs/$file"; then
        echo "FAIL docs/$file is not what convgrad explain $* prints; sh tests/page/fresh.sh . build/convgrad make"
        failed=1
    fi
}

make=${3:-}
fresh col2img.svg simple --format svg
fresh im2col.svg simple --figure im2col
fresh col2img.zh.svg simple --format svg --lang zh
fresh im2col.zh.svg simple --figure im2col --lang zh
fresh complex.html complex --format html
[ $failed = 0 ] && echo "5 files are fresh"
exit $failed
