"""AUTO in both layouts beside oneDNN, table by table: geometric means and the worst cells.

    taskset -c 1 python3 bench/layouts.py [TABLE...] [--batch 8] [--seconds 0.02] [--worst 5]

Needs a build with oneDNN (build/convgrad) and nothing but Python.  TABLE: names of bench/shapes, by default those of three networks.
Figures are speeds of AUTO where that of a peer is 1: `same` is the best that oneDNN does with tensors of that layout, `favourite` the
best in any layout, reorders not counted.
"""
import argparse
import collections
import csv
import json
import math
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAME = {"channels_first": ("onednn-plain", "onednn-reorder"), "channels_last": ("onednn-nhwc",)}
FAVOURITES = ("onednn", "onednn-plain", "onednn-nhwc")


def with_batch(table, batch, folder):
    """The table with each layer once, and that batch."""
    rows = list(csv.DictReader(table.open()))
    path, seen = folder / table.name, set()
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            row["n"] = batch or row["n"]
            shape = tuple(value for key, value in row.items() if key not in ("name", "source"))
            if shape not in seen:
                writer.writerow(row)
            seen.add(shape)
    return path


def cells(table, layout, seconds, folder):
    """Seconds of each layer and pass, by what was timed."""
    told = folder / "bench.json"
    told.unlink(missing_ok=True)
    words = [ROOT / "build/convgrad", "bench", "--shapes", table, "--algo", "auto", "--peer", "onednn", "--threads", "1", "--layout",
             layout, "--min-time", str(seconds), "--json", told]
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
    found = collections.defaultdict(dict)
    for line in told.open():
        cell = json.loads(line)
        if cell.get("seconds_min"):
            found[cell["pass"], cell["layer"]][cell["algo"] or cell["peer"]] = cell["seconds_min"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=["mobilenet_v1", "mobilenet_v2", "resnet50"], metavar="TABLE")
    parser.add_argument("--batch", type=int, help="of all layers; without it the table's")
    parser.add_argument("--seconds", type=float, default=0.02, help="for each thing that is timed")
    parser.add_argument("--worst", type=int, default=5, help="cells to print")
    given = parser.parse_args()
    known = sorted(path.stem for path in (ROOT / "bench/shapes").glob("*.csv"))
    for name in given.tables:
        if name not in known:
            parser.error(f"TABLE is {name!r}; must be one of {', '.join(known)}")
    print("| table | layout | pass | cells | same | worst | favourite | worst |\n|---|---|---|---|---|---|---|---|")
    worst = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in given.tables:
            table = with_batch(ROOT / f"bench/shapes/{name}.csv", given.batch, folder)
            for layout, same in SAME.items():
                ratios = collections.defaultdict(lambda: ([], []))
                for (what, layer), times in cells(table, layout, given.seconds, folder).items():
                    for column, peers in enumerate((same, FAVOURITES)):
                        ratio = min(times[peer] for peer in peers if peer in times) / times["auto"]
                        ratios[what][column].append(ratio)
                    worst.append((ratio, f"{layout} {what} {layer}"))
                for what, columns in ratios.items():
                    told = " | ".join(f"{math.exp(sum(map(math.log, c)) / len(c)):.2f} | {min(c):.2f}" for c in columns)
                    print(f"| {name} | {layout} | {what} | {len(columns[0])} | {told} |")
                sys.stdout.flush()
    for ratio, cell in sorted(worst)[:given.worst]:
        print(f"{ratio:.2f} of oneDNN's favourite: {cell}")


if __name__ == "__main__":
    main()
