"""Every number of the page of explain, held to what the program says as JSON."""

import json
import math
import random
import re

import numpy
from selenium.webdriver import Keys

from driver import FOLDER, brief, check, convgrad, equal, floats, near

TOO_LARGE = "mb64ic3ih28oc4kh3ph1"
PROBLEMS = [
    ["simple"],
    ["complex"],
    ["mb1ic1iw7oc2kw3pw1"],
    ["mb2ic2iw9oc2kw3sw2dw1pw2"],
    ["mb1ic2ih5oc3kh3ph1"],
    ["mb2ic1ih7oc2kh3sh2ph1"],
    ["mb1ic1ih5oc1kh3sh2dh1ph2"],
    ["mb1ic2ih6oc2kh2sh3ph0"],
    ["mb1ic1ih4oc1kh1ph1"],
    ["mb1ic1ih9iw3oc1kh4kw1sh4sw1ph2pw0"],
    ["g2mb1ic4ih4oc4kh3ph1"],
    ["g3mb2ic3ih4oc6kh2ph1"],
    ["mb1ic1id3ih3iw4oc2kd2kh2kw2"],
    ["g2mb1ic2id2ih4iw3oc2kd1kh2kw2sd1sh2sw1ph1"],
    ["mb0ic1ih3oc1kh2ph0"],
    ["mb1ic1ih2oc1kh2ph3"],
    ["mb3ic1ih1oc5kh1ph0"],
    ["--input-shape", "1,2,5,6", "--weight-shape", "3,2,3,2", "--stride", "2,1", "--pad", "0,1,2,0"],
    [TOO_LARGE, "--crop"],
    ["g32mb2ic32ih14oc64kh3sh2ph1", "--crop"],
]
WORDS_OF_STATE = "return {values: state.values, conv: state.problem.conv}"


def placed(conv, out, row, j):
    """The element that cell [row][j] of a column matrix stands for, or None: the definition, once more."""
    dims = conv["spatial_dims"]
    n, pixel = divmod(row, math.prod(out))
    c, tap = divmod(j, math.prod(conv["filter"]))
    o, t = numpy.unravel_index(pixel, out), numpy.unravel_index(tap, conv["filter"])
    at = [int(o[a]) * conv["stride"][a] - conv["pad_begin"][a] + int(t[a]) * conv["dilation"][a] for a in range(dims)]
    if any(not 0 <= at[a] < conv["in"][a] for a in range(dims)):
        return None
    return (n * conv["in_channels"] + c) * math.prod(conv["in"]) + int(numpy.ravel_multi_index(at, conv["in"]))


def numbers(page, told, what):
    """Every number of the page, as it is held and as it is shown, is the program's."""
    held = page.run(WORDS_OF_STATE)["values"]
    cells = page.run(
        "return Object.fromEntries(ARRAYS.map(a => [a, "
        "[...document.querySelectorAll(`[data-array=${a}] td[role=gridcell]`)].map(td => td.textContent)]))"
    )
    for array, tensor in told["arrays"].items():
        values = floats(tensor["values"])
        check(
            equal(floats(page.run("return data.arrays[arguments[0]].values.map(String)", array)), values),
            f"{what}: {array} is not the program's",
        )
        check(
            equal(floats(page.run("return state.values[arguments[0]].map(String)", array)), values),
            f"{what}: the engine's {array} is not the program's",
        )
        check(
            len(cells[array]) == len(values) and all(map(brief, cells[array], values)),
            f"{what}: {array} is shown wrong",
        )
    check(len(held) == len(told["arrays"]) == 16, f"{what}: arrays")
    count = sum(len(tensor["values"]) for tensor in told["arrays"].values())
    check(f"in all {count} cells" in page.id("origin").text, f"{what}: the page does not say that its engine agrees")


def board(page, film, array):
    """What a film's copy of an array holds, and what it shows."""
    return page.run(
        """
        const [kind, array] = arguments, film = films.find(f => f.kind === kind);
        return {held: film.boards.find(b => b.array === array).values.map(v => v === null ? '' : String(v)),
                shown: film.boards.find(b => b.array === array).cells.map(({td, index}) =>
                    [index, td.querySelector('.value').textContent])}""",
        film,
        array,
    )


def films(page, told, what):
    """Each film, stepped to its end, has made what it is about; then back to its beginning."""
    for film, array in (("im2col", "y"), ("col2img", "delta_out"), ("rotated", "delta_out")):
        bar = page.id(f"film-{film}-position")
        steps = int(bar.get_attribute("max"))
        scrub = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
        before = board(page, film, array)
        if steps <= 20:  # by the button
            page.run("for (let i = 0; i < arguments[1]; i++) arguments[0].click()", page.id(f"film-{film}-ahead"), steps)
        else:
            page.run(scrub, bar, steps)
        values, after = floats(told["arrays"][array]["values"]), board(page, film, array)
        check(equal(floats(after["held"]), values), f"{what}: the film {film} does not end with {array}, bit for bit")
        check(all(brief(text, values[index]) for index, text in after["shown"]), f"{what}: {film} shows {array} wrong")
        last = [index for index, _ in after["shown"]][-1:]
        check(
            last == [len(values) - 1] or not steps,
            f"{what}: the film {film} does not end at the end of {array}: {last}",
        )
        label = page.run(
            "return [...document.querySelectorAll(`[data-film=${arguments[0]}] .target caption`)]"
            ".map(c => c.textContent)",
            film,
        )
        check(not steps or label[0].startswith(f"n{told['conv']['batch'] - 1} "), f"{what}: {film} ends with {label}")
        check(bool(page.all(f"[data-film={film}] td.film")) == (steps > 0), f"{what}: {film} lights nothing")
        page.run(scrub, bar, 0)
        check(board(page, film, array) == before, f"{what}: the film {film} does not go back to its beginning")
        page.run(scrub, bar, steps)


def evaluate(text):
    """The value of a sum as the page spells it."""
    text = text.replace("−", "-").replace("·", "*")
    check(re.fullmatch(r"[-+*/() 0-9.e]*", text), f"a sum has more than numbers: {text}")
    return eval(text)  # pylint: disable=eval-used


def cells(page, told, what, draw):
    """Hovered cells: their sums have their values; the cells that lit up are those of the definition."""
    conv, out = told["conv"], told["arrays"]["y"]["shape"][2:]
    taps, rows = told["arrays"]["dcol"]["shape"][1], told["arrays"]["dcol"]["shape"][0]
    read = """
        const all = (selector, read) => [...document.querySelectorAll(selector)].map(read);
        return [document.getElementById('chosen').innerText, document.getElementById('sum').innerText,
                all('td[role=gridcell].from', td => td.id), all('td[role=gridcell].into', td => td.id),
                all('#sum td.from', td => td.dataset.cell)]"""
    page.keys(Keys.ESCAPE)
    for array, tensor in told["arrays"].items():
        for index in draw.sample(range(len(tensor["values"])), min(2, len(tensor["values"]))):
            page.hover(page.cell(array, index))
            value = float(tensor["values"][index])
            chosen, total, lit, into, copies = page.run(read)
            check(chosen.startswith(array + "["), f"{what}: {array} is not chosen: {chosen}")
            for line in re.findall(r"^(?:method [12] )?(\S+) = (\S.*)$", total, re.M):
                if "more" in line[1]:
                    continue
                check(
                    near(line[0], value) and math.isclose(evaluate(line[1]), value, rel_tol=1e-6, abs_tol=1e-9),
                    f"{what}: {array}[{index}] = {value} is explained by {line}",
                )
            check(set(copies) <= set(lit), f"{what}: the panel lights more of {array}[{index}] than the arrays do")
            if array == "delta_out":
                wanted = {
                    f"dcol-{row * taps + j}"
                    for row in range(rows)
                    for j in range(taps)
                    if placed(conv, out, row, j) == index
                }
                check(
                    {name for name in lit if name.startswith("dcol")} == wanted,
                    f"{what}: what delta_out[{index}] is made of",
                )
            if array == "col_x":
                source = placed(conv, out, *divmod(index, taps))
                check(lit == ([] if source is None else [f"x-{source}"]), f"{what}: where col_x[{index}] comes from")
            if array == "x":
                wanted = {
                    f"col_x-{row * taps + j}"
                    for row in range(rows)
                    for j in range(taps)
                    if placed(conv, out, row, j) == index
                }
                check({name for name in into if name.startswith("col_x")} == wanted, f"{what}: where x[{index}] goes")


def everywhere(page):
    draw = random.Random(1)
    for number, words in enumerate(PROBLEMS):
        what = " ".join(words)
        told = json.loads(convgrad("explain", *words, "--format", "json"))
        page.open(f"{number:02}", ["explain", *words])
        if "--crop" in words:
            # JSON has room for more than a page: the page's own problem tells what it has.
            part = page.run("return data.conv")
            check(
                TOO_LARGE not in words or TOO_LARGE[:4] in page.run("return data.whole"),
                f"{what}: from what it was cut",
            )
            axes = lambda name: ",".join(map(str, part[name]))
            told = json.loads(
                convgrad(
                    "explain",
                    "--input-shape",
                    f"{part['batch']},{part['in_channels']},{axes('in')}",
                    "--weight-shape",
                    f"{part['out_channels']},{part['in_channels'] // part['groups']},{axes('filter')}",
                    "--stride",
                    axes("stride"),
                    "--dilation",
                    axes("dilation"),
                    "--groups",
                    str(part["groups"]),
                    "--pad",
                    f"{axes('pad_begin')},{axes('pad_end')}",
                    "--format",
                    "json",
                )
            )
        numbers(page, told, what)
        films(page, told, what)
        cells(page, told, what, draw)
        check(not page.driver.get_log("browser"), f"{what}: the console says something")


def random_problem(draw):
    dims = draw.choice([1, 2, 2, 3])
    groups = draw.choice([1, 1, 2, 3])
    words = [f"g{groups}mb{draw.randint(1, 2)}ic{groups * draw.randint(1, 2)}oc{groups * draw.randint(1, 2)}"]
    for axis in "dhw"[3 - dims :]:
        filters, dilation = draw.randint(1, 3), draw.randint(1, 2)
        size = draw.randint((filters - 1) * dilation + 1, 5 if dims == 3 else 7)
        words.append(
            f"i{axis}{size}k{axis}{filters}s{axis}{draw.randint(1, 3)}d{axis}{dilation - 1}p{axis}{draw.randint(0, 3)}"
        )
    return "".join(words)


def engine(page, count):
    """The page's engine alone, on many problems: the same numbers, to the bit."""
    draw = random.Random(7)
    page.open("engine", ["explain", "simple"])
    equals = tried = 0
    while tried < count:
        problem = random_problem(draw)
        told = json.loads(convgrad("explain", problem, "--format", "json"))
        if sum(len(tensor["values"]) for tensor in told["arrays"].values()) > told["page_limit"]:
            continue
        tried += 1
        wrong = page.run(
            """
            const told = arguments[0], given = {};
            for (const array of GIVEN) given[array] = told.arrays[array].values;
            const values = new Problem(told.conv).evaluate(given);
            return ARRAYS.filter(array => values[array].length !== told.arrays[array].values.length ||
                values[array].some((v, i) => v !== told.arrays[array].values[i]))""",
            told,
        )
        check(wrong == [], f"engine: {problem}: {wrong} differ")
        equals += wrong == []
    print(f"engine: {equals} of {count} random problems have the same numbers as the program's")


def from_files(page):
    """Arrays of a user's, with a hostile name and with what is no number."""
    draw = numpy.random.default_rng(3)
    hostile = FOLDER / "<img src=x onerror=document.title='owned'>&\"';é\x01.npy"
    x = draw.normal(size=(1, 2, 4, 4))
    x[0, 0, 0, :3] = numpy.nan, numpy.inf, 1e300
    w, g = draw.normal(size=(2, 2, 2, 2)), draw.normal(size=(1, 2, 3, 3))
    g[0, 0, 0, 0] = -1e-300
    for path, array in ((hostile, x), (FOLDER / "w.npy", w), (FOLDER / "g.npy", g)):
        numpy.save(path, array)
    words = [
        "explain",
        "--input",
        str(hostile),
        "--weight",
        str(FOLDER / "w.npy"),
        "--grad-output",
        str(FOLDER / "g.npy"),
    ]
    told = json.loads(convgrad(*words, "--format", "json"))
    page.open("files", words)
    check(str(hostile) in page.run("return document.getElementById('numbers').textContent"), "files: the name as text")
    check(
        page.run("return document.images.length") == 0 and "owned" not in page.driver.title,
        "files: a name became markup",
    )
    numbers(page, told, "files")
    check(
        [page.cell("x", i).text for i in range(3)] == ["NaN", "Infinity", "1e+300"], "files: what is no number is shown"
    )
    page.hover(page.cell("delta_out", 5))
    check(page.id("chosen").text.startswith("delta_out"), "files: a sum")
    check(page.run("return state.name") == "program" and page.all("#example [value=program]"), "files: the list has it")
    hostile.unlink()


def digit(page):
    """One image of many, without a gradient: the middle of it, and a gradient of ones."""
    images = numpy.random.default_rng(5).random((3, 1, 28, 28))
    numpy.save(FOLDER / "images.npy", images)
    numpy.save(FOLDER / "filters.npy", numpy.arange(36.0).reshape(4, 1, 3, 3))
    words = [
        "explain",
        "--input",
        str(FOLDER / "images.npy"),
        "--take",
        "1:2",
        "--weight",
        str(FOLDER / "filters.npy"),
        "--pad",
        "1",
        "--stride",
        "2",
    ]
    told = json.loads(convgrad(*words, "--format", "json"))
    check(equal(told["arrays"]["x"]["values"], list(images[1].ravel())), "--take: the image that was asked for")
    check(set(told["arrays"]["delta_in"]["values"]) == {1}, "--take: the gradient is ones")
    page.open("digit", [*words, "--crop"])
    part = page.run("return data.conv")
    height, width = part["in"]
    top, left = (28 - height) // 4 * 2, (28 - width) // 4 * 2  # by whole strides
    held = page.run("return data.arrays.x.values")
    check(equal(held, list(images[1, 0, top : top + height, left : left + width].ravel())), "--take --crop: the middle")
    check("all ones" in page.id("numbers").text, "--take: the page says what the gradient is")
