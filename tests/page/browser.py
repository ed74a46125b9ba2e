"""The pages of explain, bench and train in a real browser, held to what the program says as JSON.

    browser.py PROGRAM FOLDER [PART...]     pages and screenshots are left in FOLDER; parts: of PARTS, all by default

Exit status 77: there is no browser, or what drives it (tests/page/setup.sh).
"""

import sys

import charts
import reader
import sight
import sums
import training
from driver import FOLDER, Page, check, counts


def engine(page):
    sums.engine(page, 300)


def weight(page):
    """Pages are small, and open at once."""
    for name in ("simple", "complex"):
        page.open(name, ["explain", name])
        size = (FOLDER / f"{name}.html").stat().st_size
        check(size < 300000, f"{name}.html has {size} bytes")
        took = page.run("const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime")
        print(f"{name}.html: {size} bytes, open after {took:.0f} ms")


PARTS = [
    weight,
    reader.figure_17_30,
    reader.keyboard,
    reader.what_if,
    reader.problems,
    sums.from_files,
    sums.digit,
    engine,
    sums.everywhere,
    sight.first_screen,
    sight.gestures,
    sight.steady,
    sight.fills,
    sight.letters,
    sight.looks,
    charts.bench,
    training.training,
]


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[3:]
    page = Page()
    try:
        for part in PARTS:
            if not wanted or part.__name__ in wanted:
                part(page)
                page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    finally:
        page.driver.quit()
    print(f"{counts['passed']} checks passed, {counts['failed']} failed; screenshots in {FOLDER}")
    return counts["failed"] > 0


if __name__ == "__main__":
    sys.exit(main())
