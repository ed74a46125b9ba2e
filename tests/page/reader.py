"""What a reader does on the page of explain: problems, numbers and sizes that change, keyboard, films."""

import json

import numpy
from selenium.webdriver import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from driver import FOLDER, check, convgrad, shown
from sums import WORDS_OF_STATE, board


def run_of_program(conv, given):
    """forward and backward of given arrays by `convgrad run`, in f64."""
    dims = conv["spatial_dims"]
    shape = {
        "x": [conv["batch"], conv["in_channels"], *conv["in"]],
        "w": [conv["out_channels"], conv["in_channels"] // conv["groups"], *conv["filter"]],
    }
    for array in ("x", "w"):
        numpy.save(FOLDER / f"{array}.npy", numpy.array(given[array], dtype=float).reshape(shape[array]))
    out = [
        (conv["in"][a] + conv["pad_begin"][a] + conv["pad_end"][a] - (conv["filter"][a] - 1) * conv["dilation"][a] - 1)
        // conv["stride"][a]
        + 1
        for a in range(dims)
    ]
    gradient = numpy.array(given["delta_in"], dtype=float).reshape(conv["batch"], conv["out_channels"], *out)
    numpy.save(FOLDER / "g.npy", gradient)
    axes = lambda name: ",".join(map(str, conv[name]))
    common = [
        "--input",
        str(FOLDER / "x.npy"),
        "--weight",
        str(FOLDER / "w.npy"),
        "--stride",
        axes("stride"),
        "--dilation",
        axes("dilation"),
        "--pad",
        f"{axes('pad_begin')},{axes('pad_end')}",
        "--groups",
        str(conv["groups"]),
        "--type",
        "f64",
        "-o",
        str(FOLDER / "run"),
    ]
    convgrad("run", "forward", *common)
    convgrad("run", "backward", *common, "--grad-output", str(FOLDER / "g.npy"), "--mean")
    return {
        array: numpy.load(FOLDER / "run" / f"{name}.npy").ravel()
        for array, name in (("y", "output"), ("delta_out", "grad_input"), ("dW", "grad_weight"), ("dB", "grad_bias"))
    }


def compare(page, what):
    """What the page made of the reader's problem is what the program makes of it."""
    now = page.run(WORDS_OF_STATE)
    for array, wanted in run_of_program(now["conv"], now["values"]).items():
        got = numpy.array(now["values"][array])
        check(
            got.shape == wanted.shape and numpy.allclose(got, wanted, rtol=1e-12, atol=1e-9),
            f"what if {what}: {array} differs from convgrad run",
        )
    cells = page.run(
        "return ARRAYS.map(a => [...document.querySelectorAll(`[data-array=${a}] td[role=gridcell]`)]"
        ".every((td, i) => td.textContent === brief(state.values[a][i])))"
    )
    check(all(cells), f"what if {what}: what is shown")


def form(page, **entries):
    """Fills fields of the reader's own problem in, and takes it; what the page refuses."""
    page.run("document.getElementById('own').open = true")
    for name, text in entries.items():
        page.fill(page.one(f"#what-if [name={name}]"), text)
    page.one(f"#what-if [name={name}]").send_keys(Keys.ENTER)
    return page.id("refusal").text


def what_if(page):
    """Numbers, sizes and geometry that the reader changes: all arrays follow, as the program would have it."""
    page.open("what-if", ["explain", "complex"])
    for array, index, text in (("w", 5, "-2.5"), ("x", 40, "1e3"), ("delta_in", 9, "0.125")):
        page.click(page.cell(array, index))
        page.run("document.getElementById('x-0').dataset.kept = 'yes'")
        page.fill(page.one("#change input"), text, Keys.ENTER)
        check(
            page.run("return state.values[arguments[0]][arguments[1]]", array, index) == float(text),
            f"what if: {array}",
        )
        check(
            page.run("return document.getElementById('x-0').dataset.kept") == "yes", "what if: one number redraws all"
        )
    check("page’s own engine" in page.id("origin").text, "what if: the page says whose numbers these are")
    compare(page, "numbers")
    for entries in (
        {"stride": "2,1", "padding": "1"},
        {"dilation": "2"},
        {"padding": "0,1,2,3", "dilation": "1", "stride": "3"},
        {"in": "4,5", "filter": "3,2", "stride": "1", "padding": "1"},
        {"batch": "3", "in_channels": "2"},
        {"out_channels": "4", "groups": "2"},
        {"in": "3x3x4", "filter": "2", "padding": "0", "batch": "1"},
        {"batch": "0"},
    ):
        refused = form(page, **entries)
        check(refused == "", f"what if {entries}: {refused}")
        if entries != {"batch": "0"}:  # of which `run` wants no file
            compare(page, str(entries))
    check("empty" in page.one("[data-array=y]").text, "what if: an empty batch")
    check(
        page.id("words").text == "No volumes of 3×3×4 with two channels, four filters of 2×2×2, 2 groups.",
        f"what if: in words {page.id('words').text}",
    )
    page.open("what-if-groups", ["explain", "g2mb2ic4ih5oc4kh3ph1"])
    for name, text, refused in (
        ("groups", "4", ""),
        ("groups", "3", "must divide"),
        ("groups", "0", "one whole number"),
        ("groups", "1,1", "one whole number"),
        ("groups", "1", ""),
        ("in_channels", "0", "from 1"),
        ("in_channels", "4", ""),
        ("in", "5,5,5,5", "up to 3 whole numbers"),
        ("in", "5,5", ""),
        ("filter", "9", "reaches over"),
        ("filter", "3", ""),
        ("batch", "1000000", "together"),
        ("batch", "-1", "from 0"),
        ("batch", "2", ""),
        ("padding", "999", "together"),
        ("padding", "1", ""),
        ("dilation", "9", "reaches over"),
        ("dilation", "1", ""),
        ("stride", "a<b>", "a<b>"),
    ):
        said = form(page, **{name: text})
        check(refused in said and bool(said) == bool(refused), f"what if {name} is {text}: {said!r}")
        if not refused:
            compare(page, f"{name} is {text}")
    page.click(page.cell("x", 0))
    for text in ("twelve", "1,5", "0x10", ""):
        page.fill(page.one("#change input"), text, Keys.ENTER)
        said = page.id("number-refusal").text
        check(f"“{text}”" in said, f"what if a number is {text!r}: {said!r}")
    page.click(page.id("reset"))
    check("in all" in page.id("origin").text, "what if: back again")


def problems(page):
    """The list: each problem in words, with the numbers that the program has for it."""
    page.open("list", ["explain", "complex"])
    check(
        page.id("words").text == "Two images of 3×3 with three channels, two filters of 2×2.", "list: complex in words"
    )
    check(page.run("return document.getElementById('example').value") == "complex", "list: where it begins")
    for name, problem, words in (
        ("simple", "simple", "One image of 3×3, one filter of 2×2."),
        ("stride", "mb1ic1ih5oc1kh3sh2ph0", "One image of 5×5, one filter of 3×3, stride 2."),
        ("padding", "mb1ic1ih3oc1kh3ph1", "One image of 3×3, one filter of 3×3, padding 1."),
        ("complex", "complex", "Two images of 3×3 with three channels, two filters of 2×2."),
    ):
        page.choose("example", name)
        told = json.loads(convgrad("explain", problem, "--format", "json"))
        values = page.run("return state.values")
        check(page.id("words").text == words, f"list: {name} is {page.id('words').text}")
        check(
            all(values[array] == tensor["values"] for array, tensor in told["arrays"].items()),
            f"list: numbers of {name}",
        )
        check(
            page.run("return document.querySelectorAll('[data-array=x] td').length") == len(values["x"]),
            f"list: {name}",
        )
    page.choose("example", "own")
    check(page.focused() == "in", f"list: your own leads to {page.focused()}")


def keyboard(page):
    """Everything without a pointer."""
    page.open("keyboard", ["explain", "complex"])
    page.run("document.getElementById('own').open = true")
    seen = []
    for _ in range(90):
        page.keys(Keys.TAB)
        seen.append(page.focused())
    for stop in [
        "language",
        "names",
        "theme",
        "show-film",
        "example",
        "in",
        "stride",
        "reset",
        "film-im2col-play",
        "film-col2img-ahead",
        "film-rotated-speed",
        "why",
    ] + [f"{array}-0" for array in json.loads(convgrad("explain", "complex", "--format", "json"))["arrays"]]:
        check(stop in seen, f"keyboard: Tab does not reach {stop}")
    page.run("document.getElementById('delta_out-0').focus()")
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.PAGE_DOWN, Keys.PAGE_DOWN, Keys.PAGE_DOWN)
    check(page.focused() == "delta_out-31", f"keyboard: arrows lead to {page.focused()}")
    check(
        "= 776" in page.id("chosen").text and "776 = 204 + 200 + 192 + 180" in page.id("sum").text, "keyboard: why 776?"
    )
    page.keys(Keys.SPACE, Keys.END, Keys.HOME)
    check("delta_out[1][0][1][1]" in page.id("chosen").text, "keyboard: Space keeps a cell")
    check(page.run("return document.querySelectorAll('td.pinned').length") == 1, "keyboard: the kept cell is marked")
    page.keys(Keys.ESCAPE, Keys.ARROW_LEFT)
    check("delta_out[1][0][1][1]" not in page.id("chosen").text, "keyboard: Escape lets go")
    page.run("document.getElementById('w-3').focus()")
    page.keys(Keys.ENTER)
    check(page.focused() == "number", "keyboard: Enter leads to the number")
    page.keys("7", Keys.ENTER)
    check(page.run("return state.values.w[3]") == 7 and page.focused() == "w-3", "keyboard: a number is changed")
    page.run("document.getElementById('film-col2img-position').focus()")
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    check("Step 2 of 8" in page.id("film-col2img-caption").text, "keyboard: the scrubber")


def figure_17_30(page):
    """The textbook's example: each printed array is there, and the film makes the four steps of its figure."""
    page.open("simple", ["explain", "simple"])
    images, colours = [], []
    for _ in range(4):
        page.run("document.getElementById('film-col2img-ahead').click()")
        images.append([shown(text) for _, text in board(page, "col2img", "delta_out")["shown"]])
        colours.append(
            page.run(
                "return getComputedStyle(document.querySelector('[data-board=delta_out] td.film')).backgroundColor"
            )
        )
        if len(images) == 3:
            middle = page.all("[data-board=delta_out] td")[4].text.split()
            check(middle == ["4", "2", "+", "2"], f"figure 17-30: the middle is {middle}")
            check(
                page.run("return [...document.querySelectorAll('[data-board=dcol] td.film')].map(td => td.textContent)")
                == ["0", "2", "4", "6"],
                "figure 17-30: the lit row of dcol",
            )
    check(
        images == [[0] * 9, [0, 0, 1, 0, 2, 3, 0, 0, 0], [0, 0, 1, 0, 4, 3, 4, 6, 0], [0, 0, 1, 0, 4, 6, 4, 12, 9]],
        f"figure 17-30: {images}",
    )
    check(len(set(colours)) == 4, f"figure 17-30: four rows, colours {colours}")
    page.run("document.getElementById('film-col2img-back').click()")
    check("Step 3 of 4" in page.id("film-col2img-caption").text, "a film steps back")
    Select(page.id("film-col2img-speed")).select_by_value("8")
    # Asked at once: on a busy machine the film may end before the next command comes.
    button = page.run("const play = document.getElementById('film-col2img-play'); play.click(); return play.textContent")
    check(button == "Pause", "a film that plays can be paused")
    WebDriverWait(page.driver, 20).until(
        lambda _: "Step 4 of 4" in page.id("film-col2img-caption").text and page.id("film-col2img-play").text == "Play"
    )
    page.picture("film")
    page.open("complex", ["explain", "complex"])
    page.hover(page.cell("delta_out", 31))
    check("776 = 204 + 200 + 192 + 180" in page.id("sum").text, "one gesture: why is this cell 776?")
    rows, same = page.run("return document.querySelectorAll('#same-table tr').length"), page.id("same-count").text
    page.click(page.one("#sum button"))
    check(
        page.focused() == "dcol-51" and page.id("chosen").text.startswith("dcol[4][3]"),
        f"a name in a sum leads to its cell: {page.focused()}",
    )
    page.click(page.one("#sum td[data-cell^=delta_in_2d].from"))
    check(page.id("chosen").text.startswith("delta_in_2d[4]"), "a cell of a small copy leads to its cell")
    page.click(page.cell("dW", 0))
    check("divided by the batch, 2" in page.id("same-count").text, "both methods: the batch")
    page.click(page.id("close"))
    check(page.id("sum").text.startswith("For example") and not page.id("close").is_displayed(), "the sum is closed")
    check(rows == 9 and "8 products in both methods" in same, f"both methods have the same products: {rows}")
    page.picture("complex")
