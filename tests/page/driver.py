"""A browser window with the program's pages, and how the tests count what they check.

Exit status 77: there is no browser, or what drives it (tests/page/setup.sh).
"""

import math
import pathlib
import shutil
import subprocess
import sys

try:
    from axe_playwright_python import __file__ as axe_file
    from selenium import webdriver
    from selenium.webdriver import ActionChains
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
RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"

counts = {"passed": 0, "failed": 0}


def check(ok, what):
    counts["passed" if ok else "failed"] += 1
    if not ok:
        print("FAIL", what)


def convgrad(*words):
    return subprocess.run([PROGRAM, *words], check=True, capture_output=True, text=True).stdout


def floats(values):
    """JSON's numbers and the strings for those that it lacks."""
    return [float(value) for value in values]


def equal(a, b):
    return len(a) == len(b) and all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b))


def shown(text):
    """A number as the page shows it."""
    return float(text.replace("−", "-"))


def near(text, value, digits=8):
    """Whether a text tells a number, rounded to so many digits."""
    got = shown(text)
    return (
        got == value
        or (math.isnan(got) and math.isnan(value))
        or math.isclose(got, value, rel_tol=0.51 * 10.0 ** (1 - digits))
    )


def brief(text, value):
    """The same in a cell, where whole numbers stand in full and others with three digits."""
    return near(text, value, 8 if value == math.floor(value) else 3) if math.isfinite(value) else near(text, value)


class Page:
    """A browser window with a page of the program's."""

    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,1000",
            "--lang=en",
            "--force-prefers-reduced-motion",
        ):
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

    def size(self, width, height):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def id(self, name):
        return self.driver.find_element(By.ID, name)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def cell(self, array, index):
        return self.id(f"{array}-{index}")

    def hover(self, element):
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        ActionChains(self.driver, duration=0).move_to_element(element).perform()

    def click(self, element):
        if element.tag_name == "td":
            self.hover(element)
        element.click()

    def keys(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def fill(self, field, *keys):
        field.clear()
        field.send_keys(*keys)

    def focused(self):
        return self.run("return document.activeElement.id || document.activeElement.name || ''")

    def choose(self, switch, value):
        Select(self.id(switch)).select_by_value(value)

    def picture(self, name):
        self.driver.save_screenshot(str(FOLDER / f"{name}.png"))

    def axe(self, what):
        self.run(AXE)
        found = self.driver.execute_async_script(
            f"const done = arguments[arguments.length - 1]; axe.run(document, {{runOnly: {RULES}}}).then(done)"
        )
        check(found["passes"], f"{what}: axe checked nothing")
        for violation in found["violations"]:
            nodes = [node["html"][:120] + " " + node.get("failureSummary", "")[:200] for node in violation["nodes"][:2]]
            check(False, f"{what}: {violation['id']}: {violation['help']}: {nodes}")
        check(not found["violations"], f"{what}: accessibility")
