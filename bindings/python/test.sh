#!/usr/bin/env bash
# The Python package as a user gets it: a wheel from the source distribution, installed into clean environments, and tested from
# outside the project's folder.   usage: test.sh FOLDER [PYTHON]
# First with nothing but NumPy and its types of 16 bits; then, with a Python whose system packages have PyTorch (Debian: python3-torch, /usr/bin/python3),
# convgrad.torch as well.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd) python=${2:-python3}
cd "$(dirname "$0")/../.."
tests=$PWD/bindings/python/tests
rm -rf "$folder/dist" "$folder/clean" "$folder/torch"
"$python" -m venv "$folder/clean"
"$folder/clean/bin/python" -m pip --disable-pip-version-check --quiet install build
"$folder/clean/bin/python" -m build --outdir "$folder/dist" . >"$folder/build.log" || { tail -20 "$folder/build.log"; exit 1; }
ls -l "$folder/dist"
cd "$folder"

try() { # ENVIRONMENT TEST...
    environment=$1 && shift
    "$environment/bin/python" -m pip --disable-pip-version-check --quiet install pytest hypothesis "$folder"/dist/*.whl
    "$environment/bin/python" -c 'import convgrad; print("convgrad", convgrad.__version__, "from", convgrad.__file__)'
    "$environment/bin/python" -m pytest -q -rs -p no:cacheprovider "$@" -c /dev/null --rootdir "$tests"
}

clean/bin/python -m pip --disable-pip-version-check --quiet install ml_dtypes
try clean "$tests"
clean/bin/convgrad explain simple | tail -1
if "$python" -c 'import torch' 2>/dev/null; then
    "$python" -m venv --system-site-packages torch
    try torch "$tests/test_torch.py" "$tests/test_examples.py" "$tests/test_network.py"
else
    echo "$python has no PyTorch: convgrad.torch was not tested"
fi
