#!/bin/sh
# bench/fit.py fits the rates of AUTO's model to times, and is nearer to them than before.
# usage: fit.sh SOURCE BUILD PROGRAM
set -u
source=$1 build=$2 program=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$program" bench mb1ic8ih14oc8kh3ph1 mb1ic32ih14oc32kh1ph0 g8mb1ic8ih14oc8kh3ph1 --min-time 0 --threads 1 \
    --algo direct,im2col,winograd6 --json "$work/times.json" >"$work/log" || { cat "$work/log"; exit 1; }
python3 "$source/bench/fit.py" --build "$build" "$work/times.json" >"$work/out" || { cat "$work/out"; exit 1; }
awk '/^before: off by/ { before = $4 } /^after: off by/ { after = $4 }
    END { print "off by", before, "before,", after, "after"; exit !(before != "" && after != "" && after <= before + 0.05) }' \
    "$work/out"
