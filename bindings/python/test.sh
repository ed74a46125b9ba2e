#!/usr/bin/env bash
# The Python package as a user gets it: a wheel from the source distribution, installed into a clean environment, and tested from
# outside the project's folder.   usage: test.sh FOLDER [PYTHON]
# With a Python whose system packages have PyTorch (Debian: python3-torch, /usr/bin/python3) convgrad.torch is tested as well.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd) python=${2:-python3}
cd "$(dirname "$0")/../.."
rm -rf "$folder/dist" "$folder/environment"
"$python" -m venv --system-site-packages "$folder/environment"
pip="$folder/environment/bin/python -m pip --disable-pip-version-check --quiet"
$pip install build
"$folder/environment/bin/python" -m build --outdir "$folder/dist" . >"$folder/build.log" || { tail -20 "$folder/build.log"; exit 1; }
ls -l "$folder/dist"
$pip install pytest hypothesis "$folder"/dist/*.whl
tests=$PWD/bindings/python/tests
cd "$folder"
environment/bin/python -c 'import convgrad; print("convgrad", convgrad.__version__, "from", convgrad.__file__)'
environment/bin/python -m pytest -q -rs -p no:cacheprovider "$tests" -c /dev/null --rootdir "$tests"
environment/bin/convgrad explain simple | tail -1
