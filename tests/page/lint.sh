#!/bin/sh
# The sources of the pages: types (JSDoc, checked by TypeScript), format, markup.   usage: lint.sh SOURCE
# Exit status 77: a tool is missing, and what it checks was not checked.
cd "$1/page" || exit 1
failed=0 missing=

check() { # TOOL WHAT COMMAND...
    tool=$1 what=$2
    shift 2
    if ! command -v "$tool" >/dev/null; then
        missing="$missing $tool"
    elif "$@"; then
        echo "ok $what"
    else
        echo "FAIL $what"
        failed=1
    fi
}

types() {
    tsc --allowJs --checkJs --noEmit --strict --noUnusedLocals --noUnusedParameters --noImplicitReturns \
        --noFallthroughCasesInSwitch --target es2020 --lib es2020,dom,dom.iterable --moduleDetection legacy "$@"
}
check tsc 'types of the page of explain' types dom.js words.js engine.js say.js grid.js why.js film.js problems.js \
    page.js
check tsc 'types of the page of bench' types dom.js chart.js bench.js
check tsc 'types of the page of train' types dom.js chart.js report_words.js report.js
check clang-format 'format' clang-format --dry-run -Werror ./*.js
markup() { # warnings as well
    said=$(tidy -q -e --drop-empty-elements no --mute PROPRIETARY_ATTRIBUTE "$@" 2>&1)
    [ -z "$said" ] || { echo "$said"; return 1; }
}
check tidy 'markup' markup explain.html bench.html report.html
[ $failed = 0 ] || exit 1
[ -z "$missing" ] || { echo "not checked, since these are not installed:$missing"; exit 77; }
