#!/usr/bin/env python3
"""Draws a column of histories, as convgrad train and bench/compare_train.py write them, as an SVG.

    python3 bench/curves.py LABEL=history.csv [LABEL=1:0.4343,10:0.6361 ...] [--column test_accuracy] [--title TEXT]
        [--x epoch] [--y '% right'] [--percent] > curves.svg

A series may also be points, as EPOCH:VALUE: a dashed line with marks.  Needs Python alone.
"""
import argparse
import csv
import html

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 52, 190, 34, 40
STYLE = """text { font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1c1f22 }
.grid { stroke: #d8dcdf }
.s0 { stroke: #0b5fb0 } .s1 { stroke: #b3541e } .s2 { stroke: #3d7a3d } .s3 { stroke: #6b6f73 }
circle { stroke-width: 2; fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e8eaec } .grid { stroke: #3a4147 } circle { fill: #14171a }
  .s0 { stroke: #7cbcff } .s1 { stroke: #f0a070 } .s2 { stroke: #8fd08f } .s3 { stroke: #a5abb0 }
}"""


def read_series(text, column):
    label, source = text.rsplit("=", 1)
    if not source.endswith(".csv"):
        return label, [tuple(map(float, point.split(":"))) for point in source.split(",")], ' stroke-dasharray="5 4"'
    with open(source, newline="") as file:
        return label, [(float(row["epoch"]), float(row[column])) for row in csv.DictReader(file) if row[column]], ""


def step_of(span):
    """1, 2 or 5 times a power of ten, so that there are 3 to 7 of it."""
    step = 10 ** -6
    while True:
        for factor in (1, 2, 5):
            if span / (factor * step) <= 7:
                return factor * step
        step *= 10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("series", nargs="+")
    parser.add_argument("--column", default="test_accuracy")
    parser.add_argument("--title", default="")
    parser.add_argument("--x", default="epoch")
    parser.add_argument("--y", default="")
    parser.add_argument("--percent", action="store_true", help="values times 100")
    options = parser.parse_args()
    factor = 100 if options.percent else 1
    series = [read_series(text, options.column) for text in options.series]
    values = [factor * v for _, points, _ in series for _, v in points]
    last = max(e for _, points, _ in series for e, _ in points)
    step = step_of(max(values) - min(values))
    low, high = step * (min(values) // step), step * -(-max(values) // step)

    def x(epoch):
        return LEFT + (epoch - 1) / max(last - 1, 1) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    print(f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
          f'height="{HEIGHT}">\n<title>{html.escape(options.title)}</title>\n<style>\n{STYLE}\n</style>')
    print(f'<text x="{LEFT}" y="18">{html.escape(options.title)}</text>')
    for i in range(round((high - low) / step) + 1):
        at = low + i * step
        print(f'<path class="grid" d="M{LEFT},{y(at):.1f}H{WIDTH - RIGHT}"/>'
              f'<text x="{LEFT - 8}" y="{y(at) + 4:.1f}" text-anchor="end">{at:g}</text>')
    every = max(1, round(step_of(last)))
    for epoch in [1, *range(every, int(last) + 1, every)]:
        if epoch == 1 or epoch >= 1 + every / 2:
            print(f'<text x="{x(epoch):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{epoch}</text>')
    print(f'<text x="{x((1 + last) / 2):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(options.x)}</text>')
    print(f'<text x="{WIDTH - RIGHT + 14}" y="{TOP}">{html.escape(options.y)}</text>')
    for n, (label, points, dashes) in enumerate(series):
        path = "L".join(f"{x(e):.1f},{y(factor * v):.1f}" for e, v in points)
        print(f'<path class="s{n % 4}" fill="none" stroke-width="2"{dashes} d="M{path}"/>')
        for e, v in points:
            print(f'<circle class="s{n % 4}" cx="{x(e):.1f}" cy="{y(factor * v):.1f}" r="3"/>')
        at = TOP + 22 + 20 * n
        print(f'<path class="s{n % 4}" fill="none" stroke-width="2"{dashes} d="M{WIDTH - RIGHT + 14},{at - 4}h22"/>'
              f'<text x="{WIDTH - RIGHT + 42}" y="{at}">{html.escape(label)}</text>')
    print("</svg>")


main()
