#!/bin/sh
# The pages in a browser, with the Python that setup.sh prepared or the one that is there.   usage: run.sh BUILD PROGRAM
python=$1/page-venv/bin/python
[ -x "$python" ] || python=python3
command -v "$python" >/dev/null || { echo "not tested: there is no Python"; exit 77; }
exec "$python" "$(dirname "$0")/browser.py" "$2" "$1/pages"
