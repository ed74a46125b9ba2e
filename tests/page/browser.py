"""The pages of explain and bench in a real browser, held to what the program says as JSON.

    browser.py PROGRAM FOLDER      pages and screenshots are left in FOLDER

Exit status 77: there is no browser, or what drives it (tests/page/setup.sh).
"""
import json
import math
import pathlib
import random
import re
import shutil
import subprocess
import sys

try:
    import numpy
    from axe_playwright_python import __file__ as axe_file
    from selenium import webdriver
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select
except ImportError as error:
    print(f"not tested: {error}; tests/page/setup.sh installs it")
    sys.exit(77)

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    print("not tested: Chromium or its driver is missing (Debian: chromium, chromium-driver)")
    sys.exit(77)

PROGRAM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
AXE = pathlib.Path(axe_file).with_name("axe.min.js").read_text()
TOO_LARGE = "mb64ic3ih28oc4kh3ph1"
PROBLEMS = [
    ["simple"], ["complex"],
    ["mb1ic1iw7oc2kw3pw1"], ["mb2ic2iw9oc2kw3sw2dw1pw2"],
    ["mb1ic2ih5oc3kh3ph1"], ["mb2ic1ih7oc2kh3sh2ph1"], ["mb1ic1ih5oc1kh3sh2dh1ph2"], ["mb1ic2ih6oc2kh2sh3ph0"],
    ["mb1ic1ih4oc1kh1ph1"], ["mb1ic1ih9iw3oc1kh4kw1sh4sw1ph2pw0"], ["g2mb1ic4ih4oc4kh3ph1"], ["g3mb2ic3ih4oc6kh2ph1"],
    ["mb1ic1id3ih3iw4oc2kd2kh2kw2"], ["g2mb1ic2id2ih4iw3oc2kd1kh2kw2sd1sh2sw1ph1"], ["mb0ic1ih3oc1kh2ph0"],
    ["mb1ic1ih2oc1kh2ph3"], ["mb3ic1ih1oc5kh1ph0"],
    ["--input-shape", "1,2,5,6", "--weight-shape", "3,2,3,2", "--stride", "2,1", "--pad", "0,1,2,0"],
    [TOO_LARGE, "--crop"], ["g32mb2ic32ih14oc64kh3sh2ph1", "--crop"],
]
WORDS_OF_STATE = "return {values: state.values, conv: state.problem.conv}"

passed = failed = 0


def check(ok, what):
    global passed, failed
    passed += bool(ok)
    failed += not ok
    if not ok:
        print("FAIL", what)


def convgrad(*words):
    return subprocess.run([PROGRAM, *words], check=True, capture_output=True, text=True).stdout


def numbers(values):
    """JSON's numbers and the strings for those that it lacks."""
    return [float(value) for value in values]


def equal(a, b):
    return len(a) == len(b) and all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b))


def shown(text):
    """A number as the page shows it."""
    return float(text.replace("−", "-"))


def near(text, value):
    got = shown(text)
    return got == value or (math.isnan(got) and math.isnan(value)) or math.isclose(got, value, rel_tol=6e-8)


class Page:
    """A browser window with a page of the program's."""

    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                       "--window-size=1280,1000", "--lang=en"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.name = ""

    def open(self, name, words):
        """Lets the program make a page, and loads it."""
        self.name = name
        path = FOLDER / f"{name}.html"
        convgrad(*words, "--format", "html", "-o", str(path))
        self.load(path)

    def load(self, path):
        self.driver.get(path.absolute().as_uri())
        log = self.driver.get_log("browser")
        check(not log, f"{self.name}: the console says {log}")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def id(self, name):
        return self.driver.find_element(By.ID, name)

    def cell(self, array, index):
        return self.id(f"{array}-{index}")

    def hover(self, element):
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        ActionChains(self.driver).move_to_element(element).perform()

    def click(self, element):
        if element.tag_name == "td":
            self.hover(element)
        element.click()

    def keys(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self):
        return self.run("return document.activeElement.id || document.activeElement.name || ''")

    def choose(self, switch, value):
        Select(self.id(switch)).select_by_value(value)

    def picture(self, name):
        self.driver.save_screenshot(str(FOLDER / f"{name}.png"))

    def axe(self, what):
        self.run(AXE)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1]; axe.run(document, {runOnly: "
            "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(done)")
        check(found["passes"], f"{what}: axe checked nothing")
        for violation in found["violations"]:
            check(False, f"{what}: {violation['id']}: {violation['help']}: "
                         f"{[node['html'][:120] + ' ' + node.get('failureSummary', '')[:200] for node in violation['nodes'][:2]]}")
        check(not found["violations"], f"{what}: accessibility")


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


def check_numbers(page, told, what):
    """Every number of the page, as it is held and as it is shown, is the program's."""
    held = page.run(WORDS_OF_STATE)["values"]
    cells = page.run("return Object.fromEntries(ARRAYS.map(a => [a, "
                     "[...document.querySelectorAll(`[data-array=${a}] td[role=gridcell]`)].map(td => td.textContent)]))")
    for array, tensor in told["arrays"].items():
        values = numbers(tensor["values"])
        check(equal(numbers(page.run("return data.arrays[arguments[0]].values.map(String)", array)), values),
              f"{what}: {array} is not the program's")
        check(equal(numbers(page.run("return state.values[arguments[0]].map(String)", array)), values),
              f"{what}: the engine's {array} is not the program's")
        check(len(cells[array]) == len(values) and all(map(near, cells[array], values)), f"{what}: {array} is shown wrong")
    check(len(held) == len(told["arrays"]) == 16, f"{what}: arrays")
    count = sum(len(tensor["values"]) for tensor in told["arrays"].values())
    check(f"in all {count} cells" in page.id("origin").text, f"{what}: the page does not say that its engine agrees")


def check_films(page, told, what):
    """Each film, stepped to its end, has made what it is about; the first problems by the button, others by the scrubber."""
    for film, array in (("im2col", "y"), ("col2img", "delta_out"), ("rotated", "delta_out")):
        bar = page.id(f"film-{film}-position")
        steps = int(bar.get_attribute("max"))
        if steps <= 20:
            for _ in range(steps):
                page.run("arguments[0].click()", page.id(f"film-{film}-ahead"))
        else:
            page.run("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", bar, steps)
        texts = page.run("return [...document.querySelectorAll(`#film-${arguments[0]}-sofar td`)].map(td => td.textContent)", film)
        values = numbers(told["arrays"][array]["values"])
        check(len(texts) == len(values) and all(near(text.split(" = ")[-1], value) for text, value in zip(texts, values)),
              f"{what}: the film {film} does not end with {array}")
        label = page.run("return [...document.querySelectorAll(`[data-film=${arguments[0]}] caption`)].map(c => c.textContent)", film)
        sample = told["conv"]["batch"] - 1
        check(not steps or f"sample {sample}, channel" in label[0], f"{what}: {film} ends with sample {sample}, not {label[0]}")
        check(bool(page.driver.find_elements(By.CSS_SELECTOR, "[data-array] td.film")) == (steps > 0), f"{what}: {film} lights nothing")


def evaluate(text):
    """The value of a sum as the page spells it."""
    text = text.replace("−", "-").replace("·", "*")
    check(re.fullmatch(r"[-+*/() 0-9.e]*", text), f"a sum has more than numbers: {text}")
    return eval(text)  # pylint: disable=eval-used


def check_cells(page, told, what, draw):
    """Hovered cells: their sums have their values; the cells that lit up are those of the definition."""
    conv, out = told["conv"], told["arrays"]["y"]["shape"][2:]
    taps = told["arrays"]["dcol"]["shape"][1]
    page.keys(Keys.ESCAPE)
    for array, tensor in told["arrays"].items():
        for index in draw.sample(range(len(tensor["values"])), min(2, len(tensor["values"]))):
            page.hover(page.cell(array, index))
            value = float(tensor["values"][index])
            text = page.id("sum").text
            check(text.startswith(array + "["), f"{what}: the sum of {array} is not shown: {text}")
            for line in re.findall(r"^(?:method [12] )?(\S+) = (\S.*)$", text, re.M):
                if "more" in line[1] or line[0].startswith(array + "["):
                    continue
                check(near(line[0], value) and math.isclose(evaluate(line[1]), value, rel_tol=1e-6, abs_tol=1e-9),
                      f"{what}: {array}[{index}] = {value} is explained by {line}")
            lit = page.run("return [...document.querySelectorAll('td.from')].map(td => td.id)")
            if array == "delta_out":
                wanted = {f"dcol-{row * taps + j}" for row in range(told["arrays"]["dcol"]["shape"][0])
                          for j in range(taps) if placed(conv, out, row, j) == index}
                check({name for name in lit if name.startswith("dcol")} == wanted, f"{what}: what delta_out[{index}] is made of")
            if array == "col_x":
                source = placed(conv, out, *divmod(index, taps))
                check(lit == ([] if source is None else [f"x-{source}"]), f"{what}: where col_x[{index}] comes from")
            if array == "x":
                into = set(page.run("return [...document.querySelectorAll('td.into')].map(td => td.id)"))
                wanted = {f"col_x-{row * taps + j}" for row in range(told["arrays"]["col_x"]["shape"][0])
                          for j in range(taps) if placed(conv, out, row, j) == index}
                check({name for name in into if name.startswith("col_x")} == wanted, f"{what}: where x[{index}] goes")


def problems_everywhere(page):
    draw = random.Random(1)
    for number, words in enumerate(PROBLEMS):
        what = " ".join(words)
        told = json.loads(convgrad("explain", *words, "--format", "json"))
        page.open(f"{number:02}", ["explain", *words])
        if "--crop" in words:
            # JSON has room for more than a page: the page's own problem tells what it has.
            part = page.run("return data.conv")
            check(TOO_LARGE not in words or TOO_LARGE[:4] in page.run("return data.whole"), f"{what}: from what it was cut")
            axes = lambda name: ",".join(map(str, part[name]))
            told = json.loads(convgrad(
                "explain", "--input-shape", f"{part['batch']},{part['in_channels']},{axes('in')}",
                "--weight-shape", f"{part['out_channels']},{part['in_channels'] // part['groups']},{axes('filter')}",
                "--stride", axes("stride"), "--dilation", axes("dilation"), "--groups", str(part["groups"]),
                "--pad", f"{axes('pad_begin')},{axes('pad_end')}", "--format", "json"))
        check_numbers(page, told, what)
        check_films(page, told, what)
        check_cells(page, told, what, draw)
        check(not page.driver.get_log("browser"), f"{what}: the console says something")


def random_problem(draw):
    dims = draw.choice([1, 2, 2, 3])
    groups = draw.choice([1, 1, 2, 3])
    words = [f"g{groups}mb{draw.randint(1, 2)}ic{groups * draw.randint(1, 2)}oc{groups * draw.randint(1, 2)}"]
    for axis in "dhw"[3 - dims:]:
        filters, dilation = draw.randint(1, 3), draw.randint(1, 2)
        size = draw.randint((filters - 1) * dilation + 1, 5 if dims == 3 else 7)
        words.append(f"i{axis}{size}k{axis}{filters}s{axis}{draw.randint(1, 3)}d{axis}{dilation - 1}p{axis}{draw.randint(0, 3)}")
    return "".join(words)


def engine(page, count):
    """The page's engine alone, on many problems: the same numbers, to the bit."""
    draw = random.Random(7)
    page.open("engine", ["explain", "simple"])
    equals = tried = 0
    while tried < count:
        problem = random_problem(draw)
        told = json.loads(convgrad("explain", problem, "--format", "json"))
        if sum(len(tensor["values"]) for tensor in told["arrays"].values()) > 12000:
            continue # more than a page takes
        tried += 1
        wrong = page.run("""
            const told = arguments[0], given = {};
            for (const array of GIVEN) given[array] = told.arrays[array].values;
            const values = new Problem(told.conv).evaluate(given);
            return ARRAYS.filter(array => values[array].length !== told.arrays[array].values.length ||
                values[array].some((v, i) => v !== told.arrays[array].values[i]))""", told)
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
    words = ["explain", "--input", str(hostile), "--weight", str(FOLDER / "w.npy"), "--grad-output", str(FOLDER / "g.npy")]
    told = json.loads(convgrad(*words, "--format", "json"))
    page.open("files", words)
    check(str(hostile) in page.run("return document.getElementById('problem').textContent"), "files: the name as text")
    check(page.run("return document.images.length") == 0 and "owned" not in page.driver.title, "files: a name became markup")
    check_numbers(page, told, "files")
    check([page.cell("x", i).text for i in range(3)] == ["NaN", "Infinity", "1e+300"], "files: what is no number is shown")
    page.hover(page.cell("delta_out", 5))
    check(page.id("sum").text.startswith("delta_out"), "files: a sum")
    hostile.unlink()


def run_of_program(conv, given):
    """forward and backward of given arrays by `convgrad run`, in f64."""
    dims = conv["spatial_dims"]
    shape = {"x": [conv["batch"], conv["in_channels"], *conv["in"]],
             "w": [conv["out_channels"], conv["in_channels"] // conv["groups"], *conv["filter"]]}
    for array in ("x", "w"):
        numpy.save(FOLDER / f"{array}.npy", numpy.array(given[array], dtype=float).reshape(shape[array]))
    out = [(conv["in"][a] + conv["pad_begin"][a] + conv["pad_end"][a] - (conv["filter"][a] - 1) * conv["dilation"][a] - 1)
           // conv["stride"][a] + 1 for a in range(dims)]
    numpy.save(FOLDER / "g.npy", numpy.array(given["delta_in"], dtype=float).reshape(conv["batch"], conv["out_channels"], *out))
    axes = lambda name: ",".join(map(str, conv[name]))
    common = ["--input", str(FOLDER / "x.npy"), "--weight", str(FOLDER / "w.npy"), "--stride", axes("stride"), "--dilation",
              axes("dilation"), "--pad", f"{axes('pad_begin')},{axes('pad_end')}", "--groups", str(conv["groups"]),
              "--type", "f64", "-o", str(FOLDER / "run")]
    convgrad("run", "forward", *common)
    convgrad("run", "backward", *common, "--grad-output", str(FOLDER / "g.npy"), "--mean")
    return {array: numpy.load(FOLDER / "run" / f"{name}.npy").ravel()
            for array, name in (("y", "output"), ("delta_out", "grad_input"), ("dW", "grad_weight"), ("dB", "grad_bias"))}


def what_if(page):
    """Numbers and geometry that the reader changes: all arrays follow, as the program would have it."""
    page.open("what-if", ["explain", "complex"])
    for array, index, text in (("w", 5, "-2.5"), ("x", 40, "1e3"), ("delta_in", 9, "0.125")):
        page.click(page.cell(array, index))
        field = page.driver.find_element(By.CSS_SELECTOR, "#change input")
        field.clear()
        field.send_keys(text, Keys.ENTER)
        check(page.run("return state.values[arguments[0]][arguments[1]]", array, index) == float(text), f"what if: {array}")
    check("You changed" in page.id("origin").text, "what if: the page says whose numbers these are")

    def compare(what):
        now = page.run(WORDS_OF_STATE)
        for array, wanted in run_of_program(now["conv"], now["values"]).items():
            got = numpy.array(now["values"][array])
            check(got.shape == wanted.shape and numpy.allclose(got, wanted, rtol=1e-12, atol=1e-9),
                  f"what if {what}: {array} differs from convgrad run")
        cells = page.run("return ARRAYS.map(a => [...document.querySelectorAll(`[data-array=${a}] td[role=gridcell]`)]"
                         ".every((td, i) => td.textContent === show(state.values[a][i])))")
        check(all(cells), f"what if {what}: what is shown")

    check("started from" in page.id("problem").text, "what if: where it started")
    compare("numbers")
    for geometry in ({"stride": "2,1", "padding": "1"}, {"dilation": "2"}, {"padding": "0,1,2,3", "dilation": "1", "stride": "3"}):
        for name, text in geometry.items():
            field = page.driver.find_element(By.CSS_SELECTOR, f"#what-if [name={name}]")
            field.clear()
            field.send_keys(text)
        field.send_keys(Keys.ENTER)
        check(page.id("refusal").text == "", f"what if {geometry}: {page.id('refusal').text}")
        compare(str(geometry))
    page.open("what-if-groups", ["explain", "g2mb2ic4ih5oc4kh3ph1"])
    groups = page.driver.find_element(By.CSS_SELECTOR, "#what-if [name=groups]")
    for text, refused in (("4", ""), ("3", "must divide"), ("0", "whole numbers"), ("1,1", "whole numbers"), ("1", "")):
        groups = page.driver.find_element(By.CSS_SELECTOR, "#what-if [name=groups]")
        groups.clear()
        groups.send_keys(text, Keys.ENTER)
        said = page.id("refusal").text
        check(refused in said and bool(said) == bool(refused), f"what if groups are {text}: {said!r}")
        if not refused:
            compare(f"groups are {text}")
    for name, text, refused in (("padding", "999", "together"), ("dilation", "9", "reaches over"), ("stride", "a<b>", "a<b>")):
        field = page.driver.find_element(By.CSS_SELECTOR, f"#what-if [name={name}]")
        before = field.get_attribute("value")
        field.clear()
        field.send_keys(text, Keys.ENTER)
        check(refused in page.id("refusal").text, f"what if {name} is {text}: {page.id('refusal').text}")
        field.clear()
        field.send_keys(before)
    page.click(page.cell("x", 0))
    for text in ("twelve", "1,5", "0x10", ""):
        field = page.driver.find_element(By.CSS_SELECTOR, "#change input")
        field.clear()
        field.send_keys(text, Keys.ENTER)
        check(f"“{text}”" in page.id("number-refusal").text, f"what if a number is {text!r}: {page.id('number-refusal').text!r}")
    page.click(page.id("reset"))
    check("in all" in page.id("origin").text, "what if: back again")


def keyboard(page):
    """Everything without a pointer."""
    page.open("keyboard", ["explain", "complex"])
    seen = []
    for _ in range(60):
        page.keys(Keys.TAB)
        seen.append(page.focused())
    for stop in ["language", "names", "theme", "stride", "reset", "film-im2col-play", "film-col2img-ahead", "film-rotated-speed"] + \
            [f"{array}-0" for array in json.loads(convgrad("explain", "complex", "--format", "json"))["arrays"]]:
        check(stop in seen, f"keyboard: Tab does not reach {stop}")
    page.run("document.getElementById('delta_out-0').focus()")
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.PAGE_DOWN, Keys.PAGE_DOWN, Keys.PAGE_DOWN)
    check(page.focused() == "delta_out-31", f"keyboard: arrows lead to {page.focused()}")
    check("= 776" in page.id("sum").text and "776 = 204 + 200 + 192 + 180" in page.id("sum").text, "keyboard: why 776?")
    page.keys(Keys.SPACE, Keys.END, Keys.HOME)
    check("delta_out[1][0][1][1]" in page.id("sum").text, "keyboard: Space keeps a cell")
    check(page.run("return document.querySelectorAll('td.pinned').length") == 1, "keyboard: the kept cell is marked")
    page.keys(Keys.ESCAPE, Keys.ARROW_LEFT)
    check("delta_out[1][0][1][1]" not in page.id("sum").text, "keyboard: Escape lets go")
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
    images = []
    for _ in range(4):
        page.run("document.getElementById('film-col2img-ahead').click()")
        texts = page.run("return [...document.querySelectorAll('#film-col2img-sofar td')].map(td => td.textContent)")
        images.append([shown(text.split(" = ")[-1]) for text in texts])
        if len(images) == 3:
            check(texts[4] == "2 + 2 = 4", f"figure 17-30: the middle is {texts[4]}")
    check(images == [[0] * 9, [0, 0, 1, 0, 2, 3, 0, 0, 0], [0, 0, 1, 0, 4, 3, 4, 6, 0], [0, 0, 1, 0, 4, 6, 4, 12, 9]],
          f"figure 17-30: {images}")
    page.run("document.getElementById('film-col2img-back').click()")
    check("Step 3 of 4" in page.id("film-col2img-caption").text, "a film steps back")
    Select(page.id("film-col2img-speed")).select_by_value("8")
    page.run("document.getElementById('film-col2img-play').click()")
    check(page.id("film-col2img-play").text == "Pause", "a film that plays can be paused")
    webdriver.support.ui.WebDriverWait(page.driver, 20).until(
        lambda _: "Step 4 of 4" in page.id("film-col2img-caption").text and page.id("film-col2img-play").text == "Play")
    page.picture("film")
    page.open("complex", ["explain", "complex"])
    page.hover(page.cell("delta_out", 31))
    check("776 = 204 + 200 + 192 + 180" in page.id("sum").text, "one gesture: why is this cell 776?")
    rows, same = page.run("return document.querySelectorAll('#same-table tr').length"), page.id("same-count").text
    page.click(page.driver.find_element(By.CSS_SELECTOR, "#sum button"))
    check(page.focused() == "dcol-51" and page.id("sum").text.startswith("dcol[4][3]"), f"a name in a sum leads to its cell: {page.focused()}")
    page.click(page.cell("dW", 0))
    check("divided by the batch, 2" in page.id("same-count").text, "both methods: the batch")
    page.click(page.id("close"))
    check(page.id("sum").text == "No cell is chosen." and not page.id("close").is_displayed(), "the sum is closed")
    check(rows == 9 and "8 products in both methods" in same, f"both methods have the same products: {rows}")
    page.picture("complex")


def looks(page):
    """Languages, names, themes, widths, paper; and axe on each."""
    words = page.run("return [Object.keys(WORDS.en), Object.keys(WORDS.zh)]")
    check(words[0] == words[1], f"words of one language only: {set(words[0]) ^ set(words[1])}")
    for language, theme, width in (("en", "light", 1280), ("zh", "dark", 1280), ("en", "dark", 375), ("zh", "light", 375), ("en", "auto", 2200)):
        what = f"{language}-{theme}-{width}"
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        page.choose("language", language)
        page.choose("theme", theme)
        page.choose("names", "framework" if language == "zh" else "textbook")
        page.click(page.cell("delta_out", 4))
        page.click(page.cell("delta_out", 31))
        text = page.run("return document.body.innerText")
        check("{" not in text.replace("{{", ""), f"{what}: a name is left in braces")
        check("undefined" not in text, f"{what}: undefined")
        check(("为何" in text) == (language == "zh"), f"{what}: the language")
        check(("grad_input[1][0][1][1]" in text) == (language == "zh"), f"{what}: the names")
        check(page.run("return document.documentElement.lang") == language, f"{what}: lang")
        light = page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")[0] > 128
        check(light == (theme != "dark"), f"{what}: the theme")
        check(page.run("return document.documentElement.scrollWidth <= window.innerWidth"), f"{what}: wider than the window")
        page.axe(what)
        page.picture(f"look-{what}")
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 375, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    page.open("wide", ["explain", "g2mb1ic2ih1iw24oc2kw2kh1"])
    page.click(page.cell("dW", 1))
    page.axe("wide")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    paper = page.driver.print_page()
    check(len(paper) > 10000, "a page on paper")
    check(not page.driver.get_log("browser"), "looks: the console says something")


def bench(page):
    page.name = "bench"
    path = FOLDER / "bench.html"
    problems = ["mb1ic4ih6oc4kh3ph1n\"<b>bold</b>\"", "mb1ic2ih5oc3kh2ph0"]
    convgrad("bench", *problems, "--min-time", "0", "--algo", "direct,im2col", "--format", "html", "-o", str(path))
    page.load(path)
    report = page.run("return report")
    check([row["name"] for row in report["rows"]][0] == "<b>bold</b>" and len(report["rows"]) == 2, "bench: rows")
    check(page.run("return document.querySelectorAll('b').length") == 0, "bench: a name became markup")
    wanted = {f"{percent:.1f}" for row in report["rows"] for passes in row["percent"] for percent in passes if percent > 0}
    drawn = set(page.run("return [...document.querySelectorAll('#charts text')].map(t => t.textContent)"))
    check(wanted and wanted <= drawn, f"bench: numbers that are not drawn: {wanted - drawn}")
    check(page.run("return document.querySelectorAll('#charts rect').length") == 12, "bench: bars")
    check(page.run("return document.querySelectorAll('#roofline path').length") == 9, "bench: marks of the roofline and its legend")
    page.axe("bench")
    page.picture("bench")
    piped = subprocess.run([PROGRAM, "bench", problems[1], "--min-time", "0", "--algo", "direct", "--format", "html"],
                           check=True, capture_output=True, text=True)
    check(piped.stdout.startswith("<!DOCTYPE html>") and "FMA peak" in piped.stderr, "bench: a page on standard output")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = Page()
    try:
        figure_17_30(page)
        for name in ("simple", "complex"):
            size = (FOLDER / f"{name}.html").stat().st_size
            check(size < 300000, f"{name}.html has {size} bytes")
            page.load(FOLDER / f"{name}.html")
            took = page.run("const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime")
            print(f"{name}.html: {size} bytes, open after {took:.0f} ms")
        keyboard(page)
        what_if(page)
        from_files(page)
        engine(page, 300)
        problems_everywhere(page)
        page.open("looks", ["explain", "complex"])
        looks(page)
        bench(page)
    finally:
        page.driver.quit()
    print(f"{passed} checks passed, {failed} failed; screenshots in {FOLDER}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
