#!/bin/sh
# README.md's way from a fresh copy of the sources to a program that runs: install without root, compile the C snippet
# by pkg-config and by a bare compiler.  The lines are run as printed, by a compiler that does not optimise.
# usage: install.sh SOURCE CC
set -u
source=$1 cc=$(command -v "$2") || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAIL $1"
    exit 1
}

block() { # HEADING LANGUAGE: the first such block under the heading
    sed -n "/^## $1\$/,/^## /p" "$source/README.md" | sed -n "/^\`\`\`$2\$/,/^\`\`\`\$/p" | sed '1d; /^```$/,$d'
}

mkdir -p "$work/bin" "$work/home" "$work/convgrad"
printf '#!/bin/sh\nexec "%s" "$@" -O0\n' "$cc" >"$work/bin/cc"
chmod +x "$work/bin/cc"
cd "$source" || exit 1
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then # what a clone would have, with the changes since
    git ls-files --cached --others --exclude-standard | while read -r file; do [ ! -f "$file" ] || echo "$file"; done
else
    find . -type f ! -path './build*'
fi >"$work/files"
tar -cf - -T "$work/files" | tar -xf - -C "$work/convgrad"
cd "$work/convgrad" || exit 1

block Install sh >install.txt
block 'In C' c >layer.c
block 'In C' sh >compile.txt
for file in install.txt layer.c compile.txt; do
    [ -s "$file" ] || fail "README.md has nothing for $file"
done
by_pkg_config=$(grep rpath compile.txt) || fail 'README.md has no line for a library at home'
bare=$(grep 'src/' compile.txt) || fail 'README.md has no line for a bare compiler'
command -v pkg-config >/dev/null || { echo 'not tried: there is no pkg-config'; by_pkg_config=; }

HOME=$work/home PATH=$work/bin:$PATH
export HOME PATH
unset CC CFLAGS LDFLAGS LD_LIBRARY_PATH
{ cat install.txt; echo "$by_pkg_config"; } >run.sh
sh -eu run.sh >log 2>&1 || { tail -20 log; fail 'the lines to install'; }
"$HOME/.local/bin/convgrad" --version || fail 'the installed program'
[ -z "$by_pkg_config" ] || tail -1 log | grep '^ok: grad_bias\[0\] is 50176; 64 \* 28 \* 28 is 50176$' || fail 'the snippet'
rm -rf build layer
sh -euc "$bare" | grep '^ok: grad_bias\[0\] is 50176;' || fail 'the line for a bare compiler'
