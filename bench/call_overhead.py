"""What a call from Python costs over the call in C: microseconds, least of many.

    python3 bench/call_overhead.py

Needs the Python package (pip install .).  The problem is as small as its call is quick; its time in C is what the package's own
program measures.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import timeit

import numpy

import convgrad

PROBLEM = "mb1ic1ih3oc1kh2"


def least(call, repeats=300, number=200):
    return min(timeit.repeat(call, number=number, repeat=repeats)) / number * 1e6


def main():
    with tempfile.TemporaryDirectory() as folder:
        told = pathlib.Path(folder) / "bench.json"
        subprocess.run([sys.executable, "-m", "convgrad", "bench", PROBLEM, "--pass", "forward", "--algo", "auto", "--threads", "1",
                        "--json", told], stdout=subprocess.DEVNULL, check=True)
        in_c = json.loads(told.read_text())["seconds_min"] * 1e6
    x, w = numpy.ones((1, 1, 3, 3), "f"), numpy.ones((1, 1, 2, 2), "f")
    plan, y = convgrad.Plan(x.shape, w.shape, threads=1), numpy.empty((1, 1, 2, 2), "f")
    at = [array.ctypes.data for array in (x, w, y)]
    print(f"in C                                       {in_c:6.2f}")
    for name, call in (("plan.forward(x, w)", lambda: plan.forward(x, w)), ("plan.forward(x, w, out=y)", lambda: plan.forward(x, w, out=y)),
                       ("plan.run_forward(addresses)", lambda: plan.run_forward(at[0], at[1], None, at[2])),
                       ("conv2d(x, w), from the cache of plans", lambda: convgrad.conv2d(x, w))):
        took = least(call)
        print(f"{name:42s} {took:6.2f}, {took - in_c:5.2f} more")


if __name__ == "__main__":
    main()
