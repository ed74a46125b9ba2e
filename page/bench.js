/** The speed tables as bars, and a roofline, in plain SVG that is drawn for the width that there is. */
'use strict';

/**
 * @typedef {{name: string, type: string, peak: number, intensity: number, percent: number[][], error: number[][]}} Row
 *     percent of the FMA peak and error, by pass and candidate; 0 and -1 where not measured
 * @typedef {{bytes: number, threads: number, version: string, date: string, cpu: string, isa: string,
 *     command: string, passes: string[], names: string[], rows: Row[]}} Report
 */

/** @type {Report} */
const report = JSON.parse(element('data').textContent || '');
for (const row of report.rows)
    row.percent = row.percent.map(values => values.map(v => Number.isFinite(v) ? v : 0)); // a time of 0

const BAR = 18, COLOURS = 8; // height of a bar; how many there are in style.css

/** @param {number} pass @returns {boolean} whether anything was measured in it */
function measured(pass) { return report.rows.some(row => row.percent[pass].some(p => p > 0)); }

/** @param {number[]} values @returns {number} */
function geometricMean(values) { return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length); }

/**
 * Geometric mean of a candidate's % of the peak, and how fast it is beside the first one.
 * @param {number} pass @param {number} candidate
 */
function summary(pass, candidate) {
    const both = report.rows.map(row => row.percent[pass]).filter(p => p[candidate] > 0 && p[0] > 0);
    if (!both.length)
        return '';
    const mean = geometricMean(both.map(p => p[candidate])).toFixed(1);
    const times = geometricMean(both.map(p => p[candidate] / p[0])).toFixed(2);
    return `${candidate + 1}. ${report.names[candidate]}: ${mean} %${
               candidate ? `, ${times}x ${report.names[0]}` : ''} ` +
           `(${both.length} layer${both.length === 1 ? '' : 's'})`;
}

/**
 * A name that fits: its beginning and its end.
 * @param {string} name @param {number} room characters
 */
function shorten(name, room) {
    return name.length > room ? `${name.slice(0, Math.ceil(room / 2))}…${name.slice(1 - Math.floor(room / 2))}` : name;
}

/**
 * Bars of one pass; each has its candidate's number before it and its own after it.
 * @param {number} pass @param {number} width
 */
function bars(pass, width) {
    const narrow = width < 560; // names stand over the bars
    const left = (narrow ? 0 : 220) + 18, right = 48, letter = 7.2, head = 20;
    const count = report.names.length, group = count * BAR + (narrow ? 28 : 12),
          height = report.rows.length * group + head;
    const best = Math.max(...report.rows.flatMap(row => row.percent[pass]), 1);
    const most = best < 50 ? best : Math.max(best, 100); // the peak is drawn where it does not make the bars small
    const scale = (width - left - right) / most;
    const chart = svg('svg', {width, height, 'aria-hidden': 'true'});
    report.rows.forEach((row, i) => {
        const top = head + i * group + (narrow ? 18 : 2);
        const label = narrow ? text(0, top - 4, shorten(row.name, Math.floor(width / letter)))
                             : text(left - 26, top + count * BAR / 2 + 4, shorten(row.name, 26), 'end');
        label.append(svg('title', {}, row.name));
        chart.append(label);
        row.percent[pass].forEach((percent, c) => {
            const y = top + c * BAR;
            chart.append(text(left - 6, y + BAR - 5, String(c + 1), 'end'), svg('rect', {
                             x: left,
                             y,
                             width: Math.max(0, percent * scale),
                             height: BAR - 3,
                             class: `series s${c % COLOURS}`
                         }),
                         text(left + percent * scale + 5, y + BAR - 5, percent > 0 ? percent.toFixed(1) : 'n/a'));
        });
    });
    if (most >= 100) {
        const x = left + 100 * scale, end = x > width / 2;
        chart.prepend(svg('line', {x1: x, x2: x, y1: 0, y2: height, class: 'roof'}),
                      text(end ? x - 6 : x + 6, 12, 'FMA peak, 100 %', end ? 'end' : 'start'));
    }
    return chart;
}

/**
 * The same numbers as a table.
 * @param {number} pass
 */
function table(pass) {
    const cell = (/** @type {string} */ tag, /** @type {string} */ words) =>
        make(tag, tag === 'th' ? {scope: 'col'} : {}, words);
    const told = (/** @type {number} */ percent, /** @type {number | undefined} */ error) =>
        percent > 0
            ? `${percent.toFixed(1)} %${error !== undefined && error >= 0 ? `, error ${error.toExponential(1)}` : ''}`
                                                                          : 'n/a';
    return make('table', {class: 'products'},
                make('tr', {}, cell('th', 'layer'), ...report.names.map(name => cell('th', name))),
                ...report.rows.map(
                    row => make('tr', {}, make('th', {scope: 'row'}, row.name),
                                ...row.percent[pass].map((p, c) => cell('td', told(p, row.error?.[pass]?.[c]))))));
}

const SHAPES = ['M-5,0 a5,5 0 1,0 10,0 a5,5 0 1,0 -10,0', 'M-5,-5 h10 v10 h-10 z', 'M0,-6 l6,11 h-12 z'];

/**
 * The mark of a pass: they differ in shape.
 * @param {number} x @param {number} y @param {number} pass
 */
function mark(x, y, pass) {
    return svg('path', {d: SHAPES[pass % 3], transform: `translate(${x},${y})`, class: `series s${pass}`});
}

/** @param {number} value @returns {string} a tick of a logarithmic axis */
function tick(value) { return value < 1 ? String(value) : value.toFixed(0); }

/**
 * Layers under the roof, both axes logarithmic.
 * @param {number} width
 */
function roofline(width) {
    const height = width < 560 ? 340 : 460, left = 48, bottom = height - 40;
    const points = report.rows.flatMap(
        row => row.percent.flatMap(
            (percent, pass) => percent[0] > 0
                                   ? [{x: row.intensity, y: percent[0] / 100 * row.peak / 1e9, pass, name: row.name}]
                                   : []));
    /** @type {Map<string, number>} */
    const peaks = new Map();
    for (const row of report.rows)
        peaks.set(row.type, Math.max(row.peak / 1e9, peaks.get(row.type) || 1e-3));
    const peak = Math.max(...peaks.values(), 1e-3), memory = report.bytes / 1e9;
    const low = Math.min(0.5, ...points.map(p => p.x)), high = Math.max(200, ...points.map(p => p.x)) * 1.3;
    const floor = Math.min(peak / 100, ...points.map(p => p.y)) / 1.3;
    const top = Math.max(peak, ...points.map(p => p.y)) * 1.6;
    const x = (/** @type {number} */ v) => left + Math.log(v / low) / Math.log(high / low) * (width - left - 20);
    const y = (/** @type {number} */ v) => bottom - Math.log(v / floor) / Math.log(top / floor) * (bottom - 20);
    const chart = svg('svg', {
        width,
        height,
        role: 'img',
        'aria-label': `Roofline of ${points.length} measurements; their numbers stand in the tables above`
    });
    chart.append(svg('polyline', {class: 'axis', points: `${left},20 ${left},${bottom} ${width - 20},${bottom}`}));
    for (const [type, limit] of peaks) {
        const knee = Math.min(Math.max(limit / memory, low), high);
        const roof = [low, knee, high].map(v => `${x(v)},${y(Math.max(floor, Math.min(limit, v * memory)))}`);
        chart.append(svg('polyline', {class: 'roof', points: roof.join(' ')}),
                     text(width - 20, y(limit) - 6, `FMA peak, ${type}: ${limit.toFixed(0)} GFLOP/s`, 'end'));
    }
    for (let v = 10 ** Math.ceil(Math.log10(low)); v <= high; v *= 10)
        chart.append(text(x(v), bottom + 16, tick(v), 'middle'));
    for (let v = 10 ** Math.ceil(Math.log10(floor)); v <= top; v *= 10)
        chart.append(text(left - 6, y(v) + 4, tick(v), 'end'));
    // Under the slope, where no layer can be but one that the memory slows down.
    const begin = Math.max(low, floor / memory) * 1.2;
    chart.append(text(x(begin) + 12, y(Math.max(floor, begin * memory)) - 2, `memory: ${memory.toFixed(1)} GB/s`),
                 text((left + width) / 2, height - 6, 'flop for each byte', 'middle'), text(2, 12, 'GFLOP/s'));
    for (const p of points) {
        const dot = mark(x(p.x), y(p.y), p.pass);
        dot.append(svg('title', {}, `${p.name}, ${report.passes[p.pass]}: ${p.y.toFixed(1)} GFLOP/s`));
        chart.append(dot);
    }
    return chart;
}

/** What the program tells of the run beyond the numbers: each as a name and a value. */
function facts() {
    const told = {
        'convgrad': report.version,
        'processor': report.cpu,
        'instruction set': report.isa,
        'date': report.date,
        'command': report.command,
    };
    return Object.entries(told).flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]);
}

/** @param {string} type */
function peakOf(type) {
    const peak = Math.max(...report.rows.filter(row => row.type === type).map(row => row.peak));
    return `${(peak / 1e9).toFixed(0)} GFLOP/s in ${type}`;
}

element('about').textContent =
    `% of the FMA peak of ${[...new Set(report.rows.map(row => row.type))].map(peakOf).join(' and of ')} on ` +
    `${report.threads} thread${report.threads === 1 ? '' : 's'}; memory ${(report.bytes / 1e9).toFixed(1)} GB/s; ` +
    'all measured in the same run.';
element('facts').replaceChildren(...facts());
element('roofline-text').textContent =
    `How much arithmetic a layer has for each byte of its tensors, and how much of it ${
        report.names[0]} does in a second.`;
legend('legend',
       report.names.map(
           (name, c) => [svg('rect', {width: 18, height: 14, class: `series s${c % COLOURS}`}), `${c + 1}. ${name}`]));
const passes = report.passes.map((_, pass) => pass).filter(measured);
legend('roofline-legend', passes.map(pass => [mark(9, 7, pass), report.passes[pass]]));
for (const pass of passes) {
    const name = report.passes[pass];
    element('charts').append(
        make('section', {}, make('h2', {}, name),
             make('p', {}, `Geometric means, in % of the peak and beside ${report.names[0]}:`),
             ...report.names.map((_, c) => summary(pass, c))
                 .filter(words => words)
                 .map(words => make('p', {class: 'summary'}, words)),
             make('div', {class: 'chart', 'data-pass': String(pass)}),
             make('details', {}, make('summary', {}, `${name} as a table`),
                  make('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': name}, table(pass)))));
}

/** Draws every chart for the width of its place. */
function draw() {
    for (const place of document.querySelectorAll('.chart')) {
        const pass = place.getAttribute('data-pass'), width = Math.max(240, place.clientWidth);
        place.replaceChildren(pass ? bars(Number(pass), width) : roofline(width));
    }
}

draw();
drawForWidth(draw);
