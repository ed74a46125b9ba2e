/** Curves, table of mistakes and pictures of a training. */
'use strict';

/**
 * @typedef {{index: number, is: number, said: number, sure: number, pixels: string}} Mistake
 * @typedef {{version: string, model: string, recipe: string, data: string, test: string, parameters: number,
 *     samples: number, tested: number, best: number, classifies: boolean, epochs: (number | null)[][],
 *     classes: number, confusion: number[], picture: number[], mistakes: Mistake[], filter: number[],
 *     filters: string[]}} Training
 *     epochs: learning rate, loss, accuracy, test loss, test accuracy; pictures: channels, rows, columns
 */

/** @type {Training} */
const training = JSON.parse(element('data').textContent || '');

/** @returns {string} */
function language() { return /** @type {HTMLSelectElement} */ (element('language')).value; }

/** @param {string} key @param {Record<string, string | number>} names */
function say(key, names = {}) { return WORDS[language()][key].replace(/\{(\w+)\}/g, (_, name) => String(names[name])); }

/** @param {number} value from 0 to 1 */
function percent(value) { return `${(100 * value).toFixed(2)} %`; }

// ---- curves ----

/** @type {{word: string, columns: number[], factor: number, fromZero: boolean}[]} */
const CHARTS = [
    {word: 'loss', columns: [1, 3], factor: 1, fromZero: true},
    {word: 'accuracy', columns: [2, 4], factor: 100, fromZero: false},
    {word: 'learning_rate', columns: [0], factor: 1, fromZero: true},
];

/**
 * Round numbers from low to high, about four.
 * @param {number} low @param {number} high
 */
function ticks(low, high) {
    const rough = (high - low) / 4 || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(n => n * power).find(s => s >= rough) || rough;
    const made = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++)
        made.push(Number((i * step).toPrecision(6)));
    return made;
}

/** @param {{word: string, columns: number[], factor: number, fromZero: boolean}} chart @param {number} width */
function draw(chart, width) {
    const height = 240, left = 64, right = 16, top = 12, bottom = 28;
    const lines = chart.columns.map(c => training.epochs.map(row => {
        const value = row[c];
        return typeof value === 'number' ? value * chart.factor : NaN;
    }));
    const values = lines.flat().filter(Number.isFinite);
    const low = chart.fromZero ? Math.min(0, ...values) : Math.min(...values), high = Math.max(...values, low + 1e-9);
    const count = training.epochs.length;
    /** @param {number} i */
    const x = i => left + (count > 1 ? i / (count - 1) : 0.5) * (width - left - right);
    /** @param {number} v */
    const y = v => height - bottom - (v - low) / (high - low) * (height - top - bottom);
    const drawn = svg('svg', {width, height, 'aria-hidden': 'true'});
    for (const tick of ticks(low, high)) {
        drawn.append(svg('path', {d: `M${left},${y(tick)}H${width - right}`, class: 'axis'}),
                     text(left - 8, y(tick) + 4, String(tick), 'end'));
    }
    const every = Math.ceil(count / Math.max(1, Math.floor(width / 60)));
    for (let i = 0; i < count; i += every)
        drawn.append(text(x(i), height - 8, String(i + 1), 'middle'));
    lines.forEach((line, c) => {
        const points = line.map((v, i) => ({x: x(i), y: y(v), v})).filter(p => Number.isFinite(p.v));
        const series = chart.columns.length > 1 ? c : 2;
        drawn.append(
            svg('path',
                {d: points.map((p, i) => `${i ? 'L' : 'M'}${p.x},${p.y}`).join(''), class: `curve s${series}`}));
        for (const p of points)
            drawn.append(svg('circle', {cx: p.x, cy: p.y, r: 2.5, class: `dot s${series}`}));
    });
    return drawn;
}

/** @param {{columns: number[]}} chart @returns {boolean} whether there is anything to draw */
function measured(chart) { return training.epochs.some(row => chart.columns.some(c => row[c] !== null)); }

function drawCharts() {
    const words = CHARTS.filter(measured).map(chart => {
        const place = make('div', {class: 'chart'});
        return {chart, place, section: make('section', {}, make('h3', {}, say(chart.word)), place)};
    });
    element('charts').replaceChildren(...words.map(w => w.section));
    for (const {chart, place} of words)
        place.replaceChildren(draw(chart, Math.max(240, place.clientWidth)));
}

// ---- tables ----

/** @param {(number | string | null)[][]} rows @param {string[]} head */
function table(rows, head) {
    return make('table', {}, make('thead', {}, make('tr', {}, ...head.map(h => make('th', {scope: 'col'}, h)))),
                make('tbody', {},
                     ...rows.map(row => make('tr', {}, ...row.map(cell => make('td', {}, String(cell ?? '')))))));
}

function epochs() {
    const columns = ['epoch', 'learning_rate', 'train_loss', 'train_accuracy', 'test_loss', 'test_accuracy'];
    const digits =
        training.epochs.map((row, i) => [i + 1, ...row.map(v => v === null ? null : Number(v.toPrecision(5)))]);
    return table(digits, columns.map(word => say(word)));
}

function confusion() {
    const n = training.classes, classes = [...Array(n).keys()];
    const body = classes.map(i => {
        const row = training.confusion.slice(i * n, (i + 1) * n), all = row.reduce((sum, v) => sum + v, 0) || 1;
        const most = Math.max(1, ...row.filter((_, c) => c !== i));
        return make('tr', {}, make('th', {scope: 'row'}, String(i)), ...row.map((v, c) => {
            const share = Math.round(100 * (c === i ? v / all : v / most));
            return make('td', {style: `--share: ${share}%`, ...(c === i ? {class: 'right'} : {})}, v ? String(v) : '');
        }));
    });
    const head = [say('corner'), ...classes.map(String)].map(h => make('th', {scope: 'col'}, h));
    return make('table', {}, make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...body));
}

// ---- pictures ----

/**
 * Two hexadecimal digits for each value, channel by channel.
 * @param {string} pixels @param {number[]} shape channels, rows, columns @param {string} label
 */
function picture(pixels, [channels, rows, columns], label) {
    const scale = Math.max(1, Math.floor(64 / Math.max(rows, columns)));
    const canvas = /** @type {HTMLCanvasElement} */ (make('canvas', {
        width: String(columns),
        height: String(rows),
        style: `width: ${columns * scale}px; height: ${rows * scale}px`,
        role: 'img',
        'aria-label': label
    }));
    const context = canvas.getContext('2d');
    if (!context)
        return canvas;
    const image = context.createImageData(columns, rows), plane = rows * columns;
    for (let i = 0; i < plane; i++) {
        for (let c = 0; c < 3; c++) {
            const at = 2 * (i + (channels === 3 ? c * plane : 0));
            image.data[4 * i + c] = parseInt(pixels.slice(at, at + 2), 16);
        }
        image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
}

function mistakes() {
    return training.mistakes.map(m => {
        const names = {index: m.index, is: m.is, said: m.said, sure: percent(m.sure)};
        const drawn = training.picture[0] ? [picture(m.pixels, training.picture, say('mistake_label', names))] : [];
        return make('li', {}, ...drawn, say('mistake', names));
    });
}

// ---- the whole page ----

function result() {
    const last = training.epochs[training.epochs.length - 1] || [], count = training.epochs.length;
    const [, loss, accuracy, , tested] = last;
    if (typeof tested === 'number') {
        const best = training.epochs[training.best - 1];
        const better = best && training.best !== count
                           ? say('result_best', {accuracy: percent(best[4] || 0), epoch: training.best})
                           : '';
        const wrong = Math.round((1 - tested) * training.tested);
        return say('result_test', {accuracy: percent(tested), count: training.tested, epochs: count, wrong}) + better;
    }
    return typeof accuracy === 'number' ? say('result_train', {accuracy: percent(accuracy), epochs: count})
                                        : say('result_loss', {loss: Number((loss || 0).toPrecision(5)), epochs: count});
}

function show() {
    document.documentElement.lang = language();
    for (const place of document.querySelectorAll('[data-word]'))
        place.textContent = say(place.getAttribute('data-word') || '');
    for (const place of document.querySelectorAll('[data-label]'))
        place.setAttribute('aria-label', say(place.getAttribute('data-label') || ''));
    element('result').textContent = result();
    /** @type {Record<string, string>} */
    const facts = {
        [say('samples')]: String(training.samples),
        [say('tested')]: String(training.tested),
        [say('parameters')]: String(training.parameters),
        [say('data')]: training.data === '(drawn)' ? say('drawn') : training.data,
        ...(training.test ? {[say('test')]: training.test} : {}),
        convgrad: training.version,
    };
    element('facts').replaceChildren(
        ...Object.entries(facts).flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]));
    legend('legend',
           ['train', 'in_test'].map((word, c) => [svg('path', {d: 'M0,7H18', class: `curve s${c}`}), say(word)]));
    element('epochs').replaceChildren(epochs());
    element('confusion-part').hidden = !training.classes;
    element('confusion').replaceChildren(confusion());
    element('mistakes-part').hidden = !training.classifies;
    element('mistakes-text').textContent = say(training.mistakes.length ? 'mistakes_text' : 'mistakes_none');
    element('mistakes').replaceChildren(...mistakes());
    element('filters-part').hidden = !training.filters.length;
    element('filters').replaceChildren(...training.filters.map(
        (pixels, i) => make('li', {}, picture(pixels, training.filter, say('filter_label', {index: i})))));
    element('model').textContent = training.model;
    element('recipe').textContent = training.recipe;
    drawCharts();
}

if (navigator.language.startsWith('zh'))
    /** @type {HTMLSelectElement} */ (element('language')).value = 'zh';
for (const id of ['confusion', 'epochs', 'model', 'recipe'])
    element(id).tabIndex = 0; // whoever has no mouse scrolls by keys
element('language').addEventListener('change', show);
show();
drawForWidth(drawCharts);
