"""The page of bench: numbers, names, and charts that fit the window."""

import json
import subprocess

from driver import FOLDER, PROGRAM, check, convgrad
from sight import LAPTOP, LARGE, PHONE

LAYERS = ['mb1ic4ih6oc4kh3ph1n"<b>bold</b>"', "mb1ic2ih5oc3kh2ph0"]


def fits(page, what):
    """Nothing of a chart is cut: every bar and word lies within it, and it within the window."""
    cut = page.run("""
        return [...document.querySelectorAll('.chart text, .chart rect, .chart path')].filter(e => {
            const box = e.getBoundingClientRect(), chart = e.closest('svg').getBoundingClientRect();
            return box.left < chart.left - 1 || box.right > chart.right + 1 || box.right > innerWidth ||
                box.top < chart.top - 1 || box.bottom > chart.bottom + 1;
        }).map(e => e.textContent || e.tagName)""")
    check(cut == [], f"{page.name} at {what}: cut off: {cut}")
    check(
        page.run("return document.documentElement.scrollWidth <= innerWidth"),
        f"{page.name} at {what}: wider than the window",
    )


def bench(page):
    page.name = "bench"
    page.size(*LAPTOP)
    path = FOLDER / "bench.html"
    convgrad("bench", *LAYERS, "--min-time", "0", "--algo", "direct,im2col", "--format", "html", "-o", str(path))
    page.load(path)
    report = page.run("return report")
    check([row["name"] for row in report["rows"]][0] == "<b>bold</b>" and len(report["rows"]) == 2, "bench: rows")
    check(page.run("return document.querySelectorAll('b').length") == 0, "bench: a name became markup")
    wanted = {
        f"{percent:.1f}" for row in report["rows"] for passes in row["percent"] for percent in passes if percent > 0
    }
    drawn = set(page.run("return [...document.querySelectorAll('#charts text')].map(t => t.textContent)"))
    check(wanted and wanted <= drawn, f"bench: numbers that are not drawn: {wanted - drawn}")
    check(page.run("return document.querySelectorAll('#charts rect').length") == 12, "bench: bars")
    check(page.run("return document.querySelectorAll('#roofline path').length") == 6, "bench: marks of the roofline")
    labels = page.run("return [...document.querySelectorAll('#roofline text')].map(t => t.textContent)")
    check(
        any(label.startswith("FMA peak, f32") for label in labels) and any("GB/s" in label for label in labels),
        f"bench: the roof is labelled: {labels}",
    )
    piped = subprocess.run(
        [PROGRAM, "bench", LAYERS[1], "--min-time", "0", "--algo", "direct", "--format", "html"],
        check=True,
        capture_output=True,
        text=True,
    )
    check(piped.stdout.startswith("<!DOCTYPE html>") and "FMA peak" in piped.stderr, "bench: a page on standard output")

    # A report of every colour, near the peak, with all that a program may tell of its run.
    names = ["auto", "direct", "im2col", "winograd4", "winograd6", "winograd8", "onednn", "openblas"]
    told = {
        "bytes": 2e10,
        "threads": 2,
        "passes": report["passes"],
        "names": names,
        "cpu": "A processor with a name",
        "isa": "avx2",
        "version": "1.2.3",
        "date": "2026-01-01T00:00:00Z",
        "command": "convgrad bench " + "x" * 200,
        "rows": [
            {
                "name": f"a layer with a name that is rather long, number {i}",
                "type": "f32",
                "peak": 1e11,
                "intensity": 5.0 * 4**i,
                "percent": [[12.0 * (i + 1) + 8 * c for c in range(8)]] * 3,
            }
            for i in range(4)
        ],
    }
    page.name = "bench-full"
    text, begin = path.read_text(), '<script type="application/json" id="data">'
    before, after = text.split(begin)[0], text.split(begin)[1].split("</script>", 1)[1]
    full = FOLDER / "bench-full.html"
    full.write_text(before + begin + json.dumps(told) + "</script>" + after)
    for size in (PHONE, LAPTOP, LARGE):
        page.size(*size)
        page.load(full)
        fits(page, size[0])
        colours = page.run("return [...document.querySelectorAll('#legend rect')].map(r => getComputedStyle(r).fill)")
        check(len(set(colours)) == 8, f"bench: eight colours: {colours}")
        labels = page.run("return [...document.querySelectorAll('#charts text')].map(t => t.textContent)")
        check(
            sum(label.startswith("FMA peak") for label in labels) == 3,
            "bench: the dashed line is labelled in each chart",
        )
        said = page.id("facts").text
        check("A processor with a name" in said and "instruction set" in said, f"bench: facts of the run: {said}")
        for theme in ("light", "dark"):
            page.run("document.documentElement.dataset.theme = arguments[0]", theme)
            page.axe(f"bench-{size[0]}-{theme}")
            page.picture(f"bench-{size[0]}-{theme}")
