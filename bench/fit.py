"""Fits the rates of AUTO's model, src/algo/cost.h, to times that bench measured on this machine.

    build/convgrad bench --shapes bench/shapes/measured.csv --threads 1 --json times.json \
        --algo direct,im2col,winograd4,winograd6,winograd8
    python3 bench/fit.py [--build build] [--write] times.json...

Prints each rate that moved and by how much the model is off before and after: the root mean square of
log(expected / measured), with the machine's speed left free.  --write puts the new numbers into cost.h; then build,
and look at the choices with bench --check-planner.  A rate moves only as far as times ask for it: one without any
stays.  Needs a C compiler, and the archives of a build of this tree.
"""
import argparse
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER = ROOT / "src/algo/cost.h"
RATE = re.compile(r"^(#define (CVG_\w+) )([\d.]+)", re.M)
PASSES = ["forward", "grad_input", "grad_weight"]
STEPS = [1.3, 1.1, 1.03]  # factors by which a rate is tried, one after the other
PULL = 0.02  # how much, in squares of log, a rate is held to what it was


def records_of(files):
    """(problem, pass, algorithm, seconds) of our own algorithms in f32."""
    for file in files:
        for line in open(file):
            record = json.loads(line)
            if record["peer"] is None and record["type"] == "f32" and record["algo"] not in ("auto", "reference"):
                yield record["problem"], PASSES.index(record["pass"]), record["algo"], record["seconds_min"]


def compile_probe(names, values, build, folder):
    header, table, program = folder / "rates.h", folder / "rates.c", folder / "probe"
    header.write_text("#define CVG_COST_H\n" + "".join(f"extern double {name};\n" for name in names))
    table.write_text(
        "".join(f"double {name} = {value};\n" for name, value in zip(names, values))
        + "double *const fit_rates[] = {" + ", ".join("&" + name for name in names) + "};\n"
        + f"const int fit_rate_count = {len(names)};\n"
    )
    sources = [ROOT / "bench/cost_probe.c", table, *(ROOT / "src/algo").glob("**/*.c")]
    subprocess.run(
        ["cc", "-O1", "-fopenmp", "-include", header, *(f"-I{ROOT / f}" for f in ("include", "src", "cli")), *sources,
         build / "libconvgrad_cli_objects.a", build / "libconvgrad.a", "-lm", "-o", program],
        check=True,
    )
    return program


class Model:
    """What the probe expects, beside what was measured."""

    def __init__(self, program, records, folder):
        problems = folder / "problems"
        problems.write_text("".join(f"{problem} {number} {algo}\n" for problem, number, algo, _ in records))
        self.seconds = [record[3] for record in records]
        self.probe = subprocess.Popen([program, problems], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def errors(self, values):
        self.probe.stdin.write(" ".join(f"{value:.9g}" for value in values) + "\n")
        self.probe.stdin.flush()
        costs = map(float, self.probe.stdout.readline().split())
        logs = [math.log(cost / time) for cost, time in zip(costs, self.seconds) if cost > 0]
        middle = statistics.median(logs)
        return [log - middle for log in logs]


def fit(model, values):
    start = list(values)

    def badness(at):
        errors = model.errors(at)
        held = PULL * sum(math.log(a / b) ** 2 for a, b in zip(at, start))
        return sum(min(error * error, 1) for error in errors) / len(errors) * len(start) + held

    best = badness(values)
    for step in STEPS:
        moved = True
        while moved:
            moved = False
            for i in range(len(values)):
                for factor in (step, 1 / step):
                    trial = list(values)
                    trial[i] *= factor
                    now = badness(trial)
                    if now < best - 1e-6:
                        values, best, moved = trial, now, True
                        break
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--write", action="store_true", help="put the new rates into src/algo/cost.h")
    parser.add_argument("times", nargs="+")
    arguments = parser.parse_args()
    records = list(records_of(arguments.times))
    if not records:
        sys.exit("fit.py: no times of direct, im2col or winograd in f32")
    text = HEADER.read_text()
    names = [match[1] for match in RATE.findall(text)]
    values = [float(match[2]) for match in RATE.findall(text)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = Model(compile_probe(names, values, arguments.build, folder), records, folder)
        before = model.errors(values)
        fitted = [float(f"{value:.3g}") for value in fit(model, values)]
        after = model.errors(fitted)
    for rate, old, new in zip(names, values, fitted):
        if old != new:
            print(f"{rate:28} {old:10g} -> {new:g}")
    for word, errors in (("before", before), ("after", after)):
        print(f"{word}: off by {math.sqrt(sum(e * e for e in errors) / len(errors)):.3f} in {len(errors)} times")
    if arguments.write:
        new = iter(fitted)
        HEADER.write_text(RATE.sub(lambda match: f"{match[1]}{next(new)}", text))


if __name__ == "__main__":
    main()
