#!/bin/sh
# What the tests in a browser need, into BUILD/page-venv; Chromium and its driver come from the system.   usage: setup.sh BUILD
set -eu
python3 -m venv "$1/page-venv"
"$1/page-venv/bin/pip" install --quiet --disable-pip-version-check numpy selenium
# For axe.min.js alone: without the browser's drivers that it would bring.
"$1/page-venv/bin/pip" install --quiet --disable-pip-version-check --no-deps axe-playwright-python
