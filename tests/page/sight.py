"""What a reader sees: at the sizes of a phone, a laptop and a large screen, light and dark, in both languages."""

import json

from driver import check

PHONE, LAPTOP, LARGE = (390, 844), (1280, 757), (1920, 1080)

# Which elements are in sight: within the window, and nothing lies over their middle.
IN_SIGHT = """
    const inSight = found => {
        const box = found.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
        const over = document.elementFromPoint(x, y);
        return box.width > 0 && x >= 0 && y >= 0 && x < innerWidth && y < innerHeight && !!over &&
            (found.contains(over) || over.contains(found));
    };
"""


def gestures(page):
    """A cell is chosen: its result, its sum and every lit source are in sight at once."""
    for size, problem, array, index in (
        (LAPTOP, "complex", "delta_out", 31),
        (LAPTOP, "complex", "delta_out", 4),
        (LAPTOP, "complex", "y", 5),
        (LAPTOP, "complex", "dW", 7),
        (LAPTOP, "simple", "delta_out", 4),
        (LARGE, "complex", "delta_out", 31),
        (LARGE, "complex", "dW", 7),
    ):
        what = f"{problem} {array}[{index}] at {size[0]}"
        page.size(*size)
        page.open("sight", ["explain", problem])
        page.hover(page.cell(array, index))
        told = page.run(IN_SIGHT + """
            const ids = mark => [...document.querySelectorAll(`td[role=gridcell].${mark}`)].map(td => td.id);
            const seen = new Set([...document.querySelectorAll('#sum td.from, #sum td.far-from')].filter(inSight)
                .map(td => td.dataset.cell));
            const lit = [...ids('from'), ...ids('far-from')];
            return {lit: lit.length, hidden: lit.filter(id => !seen.has(id)),
                    result: [...document.querySelectorAll('#sum td.here')].some(inSight),
                    sums: [...document.querySelectorAll('#sum .numbers')].every(inSight),
                    chosen: inSight(document.getElementById('chosen'))}""")
        check(
            told["lit"] > 0 and told["hidden"] == [],
            f"{what}: of {told['lit']} lit cells, not in sight: {told['hidden']}",
        )
        check(told["result"] and told["sums"] and told["chosen"], f"{what}: result and sums in sight: {told}")
        if (problem, array, index) == ("complex", "delta_out", 31):
            check(told["lit"] == 60, f"{what}: 60 cells are lit, not {told['lit']}")
        page.picture(f"sight-{problem}-{array}-{size[0]}")
    page.size(*PHONE)
    page.open("sight", ["explain", "complex"])
    page.click(page.cell("delta_out", 31))
    told = page.run(
        IN_SIGHT
        + """
        return {near: [...document.querySelectorAll('#sum [data-cell^=dcol].from')].filter(inSight).length,
                result: inSight(document.querySelector('#sum td.here')),
                cell: inSight(document.getElementById('delta_out-31'))}"""
    )
    check(
        told == {"near": 4, "result": True, "cell": True}, f"phone: the four addends, the result and the cell: {told}"
    )
    page.picture("sight-phone")


def steady(page):
    """A film plays, and nothing moves but its numbers: no box changes its place or size, the window does not scroll."""
    boxes = """return [...document.querySelectorAll('main *, #why, header *')]
        .filter(e => !e.closest('td, .unseen')).map(e => {
        const box = e.getBoundingClientRect();
        return [e.tagName, e.id, box.x, box.y, box.width, box.height].join(' ');
    }).concat([...document.querySelectorAll('.board td')].map(e => {
        const box = e.getBoundingClientRect();
        return ['td', box.x, box.y, box.width, box.height].join(' ');
    }), [scrollX + ' ' + scrollY])"""
    for size, problem in (
        (PHONE, "simple"),
        (LAPTOP, "simple"),
        (LAPTOP, "complex"),
        (LARGE, "complex"),
        (PHONE, "complex"),
    ):
        what = f"{problem} at {size[0]}"
        page.size(*size)
        page.open("steady", ["explain", problem])
        page.run("""window.shifts = [];
            new PerformanceObserver(list => shifts.push(...list.getEntries().flatMap(e =>
                e.sources.map(s => `${e.value} ${s.node && (s.node.outerHTML || s.node.textContent).slice(0, 80)}`))))
                .observe({type: 'layout-shift'})""")
        page.id("show-film").click()
        check(
            page.focused() == "film-col2img-play" and page.id("film-col2img-play").text == "Pause", f"{what}: it plays"
        )
        if problem == "simple" or size != PHONE:  # where complex is too large to stand side by side
            seen = page.run(IN_SIGHT + """const film = document.querySelector('[data-film=col2img]');
                return {controls: [...film.querySelectorAll('.controls > button')].every(inSight),
                        cells: [...film.querySelectorAll('.board td:not([role=presentation])')]
                            .filter(td => !inSight(td)).length,
                        sides: [...film.querySelectorAll('.board')].map(b => b.getBoundingClientRect())
                            .map(b => ({left: b.left, right: b.right, top: b.top}))}""")
            left, right = seen["sides"]
            check(seen["controls"] and seen["cells"] == 0, f"{what}: the whole film is in sight: {seen}")
            check(
                left["right"] <= right["left"] and left["top"] == right["top"], f"{what}: dcol and image side by side"
            )
        page.run("const film = films.find(f => f.kind === 'col2img'); film.pause(); film.go(0)")
        for kind in ("im2col", "col2img", "rotated"):
            first = page.run(boxes)
            for step in range(1, page.run("return films.find(f => f.kind === arguments[0]).script.steps", kind) + 1):
                page.run("films.find(f => f.kind === arguments[0]).go(arguments[1])", kind, step)
                now = page.run(boxes)
                moved = [f"{a} -> {b}" for a, b in zip(first, now) if a != b]
                check(len(now) == len(first) and not moved, f"{what}: {kind} step {step} moves {moved[:3]}")
        page.run("const film = films.find(f => f.kind === 'col2img'); film.speed = '8'; film.go(0); film.play()")
        page.driver.set_script_timeout(30)
        page.driver.execute_async_script(
            "const done = arguments[0], film = films.find(f => f.kind === 'col2img');"
            "const wait = setInterval(() => film.timer || (clearInterval(wait), done()), 50)"
        )
        shifts = page.run("return shifts")
        check(shifts == [], f"{what}: the browser saw layout shifts {shifts}")
        page.picture(f"steady-{problem}-{size[0]}")


def first_screen(page):
    """What stands there before anything was done."""
    for size in (PHONE, LAPTOP, LARGE):
        page.size(*size)
        page.open("first", ["explain", "simple"])
        told = page.run(IN_SIGHT + """
            const all = selector => [...document.querySelectorAll(selector)];
            return {numbers: all('td[role=gridcell]').filter(inSight).length,
                    words: inSight(document.getElementById('words')),
                    button: inSight(document.getElementById('show-film')),
                    list: inSight(document.getElementById('example')),
                    hint: inSight(document.getElementById('hint'))}""")
        check(told["numbers"] >= 13, f"first screen at {size[0]}: {told['numbers']} numbers")
        check(told["words"] and told["button"] and told["list"] and told["hint"], f"first screen at {size[0]}: {told}")
        check(page.id("words").text == "One image of 3×3, one filter of 2×2.", f"in words: {page.id('words').text}")
        page.picture(f"first-{size[0]}")


def fills(page):
    """At every width the arrays' cards reach the right edge of their column, and the column the panel."""
    for width, height in (LAPTOP, LARGE):
        page.size(width, height)
        page.open("fills", ["explain", "complex"])
        told = page.run("""
            const main = document.querySelector('main');
            const style = getComputedStyle(main), box = main.getBoundingClientRect();
            const edge = Math.round(box.right - parseFloat(style.paddingRight));
            const lines = new Map();
            for (const card of document.querySelectorAll('.arrays > div')) {
                const b = card.getBoundingClientRect();
                lines.set(Math.round(b.top), Math.max(lines.get(Math.round(b.top)) || 0, Math.round(b.right)));
            }
            const panel = document.getElementById('why').getBoundingClientRect();
            return {edge, lines: [...lines.values()], gap: panel.left - box.right, right: innerWidth - panel.right,
                    panel: panel.width / innerWidth}""")
        check(all(abs(right - told["edge"]) <= 1 for right in told["lines"]), f"cards at {width}: {told}")
        check(
            abs(told["gap"]) <= 1 and told["right"] <= 16 and 0.2 < told["panel"] < 0.45, f"columns at {width}: {told}"
        )


def letters(page):
    """One set of index letters in headings and formulas, explained once."""
    page.size(*LAPTOP)
    for problem, known in (
        ("mb1ic1iw5oc1kw3", "ncwksq"),
        ("complex", "nchwkrspq"),
        ("mb1ic1id3ih3iw3oc1kd2kh2kw2", "ncdhwktrsopq"),
    ):
        page.open("letters", ["explain", problem])
        used = page.run("""return [...new Set([...document.querySelectorAll('main th, main caption')]
            .flatMap(e => e.textContent.match(/[a-z](?=\\d)/g) || []))]""")
        check(set(used) <= set(known), f"letters of {problem}: {sorted(used)}")
        explained = page.id("letters").text
        check(
            all(letter in explained.split() or f"{letter}," in explained.split() for letter in known),
            f"letters of {problem} are explained: {explained}",
        )
        braces = page.run(
            "return [...document.querySelectorAll('.formula')].map(p => p.textContent).filter(t => t.includes('{'))"
        )
        check(braces == [], f"letters of {problem}: {braces}")


def looks(page):
    """Languages, names, themes, widths, paper; and axe on each language, theme and width, by one of the pictures."""
    page.open("looks", ["explain", "complex"])
    words = page.run("return [Object.keys(WORDS.en), Object.keys(WORDS.zh)]")
    check(words[0] == words[1], f"words of one language only: {set(words[0]) ^ set(words[1])}")
    for width, height in (PHONE, LAPTOP, LARGE):
        page.size(width, height)
        for language in ("en", "zh"):
            for theme in ("light", "dark"):
                what = f"{language}-{theme}-{width}"
                page.choose("language", language)
                page.choose("theme", theme)
                page.choose("names", "framework" if language == "zh" else "textbook")
                page.run("choose({array: 'delta_out', index: 31}, true)")
                text = page.run("return document.body.innerText")
                check("{" not in text, f"{what}: a name is left in braces")
                check("undefined" not in text, f"{what}: undefined")
                check(("为何" in text) == (language == "zh"), f"{what}: the language")
                check(("grad_input[1][0][1][1]" in text) == (language == "zh"), f"{what}: the names")
                check(page.run("return document.documentElement.lang") == language, f"{what}: lang")
                light = (
                    page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")[0]
                    > 128
                )
                check(light == (theme == "light"), f"{what}: the theme")
                check(
                    page.run("return document.documentElement.scrollWidth <= innerWidth"),
                    f"{what}: wider than the window",
                )
                if what in ("en-light-390", "en-dark-1920", "zh-light-1280", "zh-dark-390"):
                    page.axe(what)
                page.picture(f"look-{what}")
    page.choose("theme", "auto")
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    check(page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 27)", "the system's theme")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    page.size(*PHONE)
    page.open("wide", ["explain", "g2mb1ic2ih1iw24oc2kw2kh1"])
    page.click(page.cell("dW", 1))
    check(page.run("return document.documentElement.scrollWidth <= innerWidth"), "a long row is wider than the window")
    page.axe("wide")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    check(len(page.driver.print_page()) > 10000, "a page on paper")
    check(not page.driver.get_log("browser"), "looks: the console says something")
