#!/bin/sh
# The README's example on real images, as printed, in a folder of its own.
# usage: readme.sh SOURCE BUILD [IDX-FILE]     without an IDX file, one is made up
set -u
source=$1 build=$2 images=${3:-}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
ln -s "$build" "$work/build"
ln -s "$source/examples" "$work/examples"
cd "$work" || exit 1
if [ -n "$images" ] && [ -r "$images" ]; then
    echo "images: MNIST"
    cp "$images" train-images-idx3-ubyte.gz
    build/convgrad run forward --input train-images-idx3-ubyte.gz --take 0:1 --weight examples/filters.npy \
        --pad 1 -o probe 2>/dev/null >/dev/null || { gunzip -c "$images" >train-images-idx3-ubyte.gz; }
else
    echo "images: made up (no MNIST here)"
    { printf '\000\000\010\003\000\000\000\100\000\000\000\034\000\000\000\034'
      head -c 50176 "$build/convgrad"; } >train-images-idx3-ubyte.gz
fi
sed -n '/^images=/,/^```$/p' "$source/README.md" | grep -v '^```' >example.sh
[ -s example.sh ] || { echo 'FAIL the README has no such example'; exit 1; }
sh -eu example.sh >log 2>&1 || { echo 'FAIL the example fails:'; cat log; exit 1; }
grep -q ', 0 failed' log || { echo 'FAIL verify does not say that all is well'; exit 1; }
count=$(ls out-*/output.npy out-*/grad_input.npy out-*/grad_weight.npy out-*/grad_bias.npy | wc -l)
[ "$count" = 12 ] || { echo "FAIL $count files of 12"; exit 1; }
tail -1 log
