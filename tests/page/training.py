"""The page of train: curves, confusion and pictures of a training, in both languages, on a phone and a laptop."""

import json
import shutil

from charts import fits
from driver import FOLDER, check, convgrad
from sight import LAPTOP, PHONE

EPOCHS = 4

# What is drawn: points of each curve, cells, and the grey values of each picture beside those of the data.
DRAWN = """
    const curves = [...document.querySelectorAll('#charts .curve')].map(c => c.getAttribute('d'));
    const shown = (place, pixels, shape) => [...document.querySelectorAll(`#${place} canvas`)].every((canvas, i) => {
        const copy = Object.assign(document.createElement('canvas'), {width: canvas.width, height: canvas.height});
        const context = copy.getContext('2d', {willReadFrequently: true}); // or the console would warn of reading back
        context.drawImage(canvas, 0, 0);
        const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
        const box = canvas.getBoundingClientRect();
        return canvas.width === shape[2] && canvas.height === shape[1] && box.width >= 32 && box.right <= innerWidth &&
            [...Array(canvas.width * canvas.height).keys()].every(p =>
                data[4 * p] === parseInt(pixels[i].slice(2 * p, 2 * p + 2), 16) && data[4 * p + 3] === 255);
    });
    return {
        curves: curves.map(d => d.match(/[ML]/g).length),
        broken: curves.filter(d => /NaN|undefined|Infinity/.test(d)),
        flat: curves.filter(d => new Set(d.match(/,[-0-9.]+/g)).size < 2),
        dots: document.querySelectorAll('#charts circle').length,
        cells: [...document.querySelectorAll('#confusion td')].map(td => Number(td.textContent)),
        pictures: document.querySelectorAll('#mistakes canvas').length,
        filters: document.querySelectorAll('#filters canvas').length,
        right: shown('mistakes', training.mistakes.map(m => m.pixels), training.picture) &&
            shown('filters', training.filters, training.filter),
        widths: [...document.querySelectorAll('#charts .chart')].map(c => c.firstChild.clientWidth - c.clientWidth),
        rows: document.querySelectorAll('#epochs tbody tr').length,
        words: document.body.innerText,
        title: document.querySelector('h1').textContent,
        wanted: WORDS[document.documentElement.lang].title,
    };
"""


def looks(page, told, language, what):
    fits(page, what)
    drawn, what = page.run(DRAWN), f"training at {what}"
    check(drawn["curves"] == 5 * [EPOCHS], f"{what}: points of the curves: {drawn['curves']}")
    check(drawn["broken"] == drawn["flat"] == [], f"{what}: curves: {drawn['broken']} {drawn['flat']}")
    check(drawn["dots"] == 5 * EPOCHS and drawn["rows"] == EPOCHS, f"{what}: {drawn['dots']} dots, {drawn['rows']} rows")
    check(drawn["cells"] == told["confusion"] and sum(drawn["cells"]) == 600, f"{what}: confusion: {drawn['cells']}")
    check(drawn["pictures"] == len(told["mistakes"]) > 0, f"{what}: {drawn['pictures']} pictures")
    check(drawn["filters"] == len(told["filters"]) == 8 and drawn["right"], f"{what}: pictures are not those of the data")
    check(drawn["widths"] == [0, 0, 0], f"{what}: charts are wider than their places by {drawn['widths']}")
    check("{" not in drawn["words"] and "undefined" not in drawn["words"], f"{what}: words left open")
    check(drawn["title"] == drawn["wanted"] and ("曲线" in drawn["words"]) == (language == "zh"), f"{what}: the language")


def training(page):
    page.name = "training"
    shutil.rmtree(FOLDER / "training", ignore_errors=True)
    convgrad("train", "--demo", "--epochs", str(EPOCHS), "-o", str(FOLDER / "training"))
    path = FOLDER / "training" / "report.html"
    for size in (PHONE, LAPTOP):
        page.size(*size)
        page.load(path)
        told = page.run("return training")
        words = page.run("return [Object.keys(WORDS.en), Object.keys(WORDS.zh)]")
        check(words[0] == words[1], f"words of one language only: {set(words[0]) ^ set(words[1])}")
        for language in ("zh", "en"):
            what = f"{language}-{size[0]}"
            page.choose("language", language)
            looks(page, told, language, what)
            for theme in ("light", "dark"):
                page.run("document.documentElement.dataset.theme = arguments[0]", theme)
                page.axe(f"training-{what}-{theme}")
                page.picture(f"training-{what}-{theme}")
    # The window changes under the page.
    for size in (LAPTOP, PHONE):
        page.size(*size)
        page.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        looks(page, told, "en", f"a window of {size[0]}")

    # A model of numbers instead of classes, without a test set.
    text, begin = path.read_text(), '<script type="application/json" id="data">'
    before, after = text.split(begin)[0], text.split(begin)[1].split("</script>", 1)[1]
    told = {**told, "classifies": False, "classes": 0, "confusion": [], "mistakes": [], "filters": [], "tested": 0}
    told["epochs"] = [[rate, loss, None, None, None] for rate, loss, *_ in told["epochs"]]
    plain = FOLDER / "training-plain.html"
    plain.write_text(before + begin + json.dumps(told) + "</script>" + after)
    page.load(plain)
    shown = page.run("return [...document.querySelectorAll('section[id]')].filter(s => !s.hidden).map(s => s.id)")
    check(shown == [], f"training without classes shows {shown}")
    check(page.run("return document.querySelectorAll('#charts .curve').length") == 3, "training without classes: curves")
    check(not page.driver.get_log("browser"), "training: the console says something")
