/** The speed tables as bars, and a roofline, in plain SVG. */
'use strict';

/**
 * @typedef {{name: string, type: string, peak: number, intensity: number, percent: number[][], error: number[][]}} Row
 *     percent of the FMA peak and error, by pass and candidate; 0 and -1 where not measured
 * @typedef {{interrupted: boolean, bytes: number, threads: number, passes: string[], names: string[], rows: Row[]}} Report
 */

/** @type {Report} */
const report = JSON.parse(element('data').textContent || '');
for (const row of report.rows)
    row.percent = row.percent.map(values => values.map(v => Number.isFinite(v) ? v : 0)); // a time of 0

const BAR = 16, NAME = 230, WIDE = 900; // height of a bar; width of names; of a chart

/** @param {string} tag @param {Record<string, string | number>} attributes @param {(Node | string)[]} children */
function svg(tag, attributes, ...children) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes))
        made.setAttribute(name, String(value));
    made.append(...children);
    return made;
}

/** @param {number} pass @returns {boolean} whether anything was measured in it */
function measured(pass) { return report.rows.some(row => row.percent[pass].some(p => p > 0)); }

/** @param {number[]} values @returns {number} */
function geometricMean(values) { return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length); }

/**
 * Geometric mean of a candidate, and how many times as fast the first one is.
 * @param {number} pass @param {number} candidate
 */
function summary(pass, candidate) {
    const both = report.rows.map(row => row.percent[pass]).filter(p => p[candidate] > 0 && p[0] > 0);
    if (!both.length)
        return '';
    const mean = geometricMean(both.map(p => p[candidate])).toFixed(1);
    const times = geometricMean(both.map(p => p[0] / p[candidate])).toFixed(2);
    return `${report.names[candidate]}: ${mean} % in the geometric mean of ${both.length} layers` +
           (candidate ? `; ${report.names[0]} is ${times} times as fast` : '');
}

/**
 * Bars of one pass; each has its number beside it.
 * @param {number} pass
 */
function bars(pass) {
    const count = report.names.length, group = count * BAR + 10, height = report.rows.length * group + 10;
    const most = Math.max(...report.rows.flatMap(row => row.percent[pass]), 1), scale = (WIDE - NAME - 60) / most;
    const chart = svg('svg', {viewBox: `0 0 ${WIDE} ${height}`, width: WIDE, height, 'aria-hidden': 'true'});
    report.rows.forEach((row, i) => {
        const top = i * group + 5;
        const label = svg('text', {x: NAME - 8, y: top + count * BAR / 2 + 4, 'text-anchor': 'end'},
                          row.name.length > 31 ? `${row.name.slice(0, 22)}…${row.name.slice(-8)}` : row.name);
        label.append(svg('title', {}, row.name));
        chart.append(label);
        row.percent[pass].forEach((percent, c) => {
            const y = top + c * BAR;
            chart.append(
                svg('rect',
                    {x: NAME, y, width: Math.max(0, percent * scale), height: BAR - 2, class: `series s${c % 8}`}),
                svg('text', {x: NAME + percent * scale + 5, y: y + BAR - 4}, percent > 0 ? percent.toFixed(1) : '-'));
        });
    });
    if (most >= 100)
        chart.append(svg('line', {x1: NAME + 100 * scale, x2: NAME + 100 * scale, y1: 0, y2: height, class: 'roof'}));
    return chart;
}

/**
 * The same numbers as a table.
 * @param {number} pass
 */
function table(pass) {
    const cell = (/** @type {string} */ tag, /** @type {string} */ text) =>
        make(tag, tag === 'th' ? {scope: 'col'} : {}, text);
    return make('table', {class: 'products'},
                make('tr', {}, cell('th', 'layer'), ...report.names.map(name => cell('th', name))),
                ...report.rows.map(
                    row =>
                        make('tr', {}, make('th', {scope: 'row'}, row.name),
                             ...row.percent[pass].map(
                                 (p, c) => cell('td', p > 0 ? `${p.toFixed(1)} %${
                                                                  row.error[pass][c] >= 0
                                                                      ? `, error ${row.error[pass][c].toExponential(1)}`
                                                                      : ''}`
                                                            : '-')))));
}

/** Layers under the roof, both axes logarithmic; marks of the passes differ in shape. */
function roofline() {
    const height = 420, left = 60, bottom = height - 40;
    /** @type {{x: number, y: number, pass: number, name: string}[]} */
    const points = [];
    for (const row of report.rows)
        row.percent.forEach((percent, pass) => {
            if (percent[0] > 0)
                points.push({x: row.intensity, y: percent[0] / 100 * row.peak / 1e9, pass, name: row.name});
        });
    /** @type {Map<string, number>} */
    const peaks = new Map();
    for (const row of report.rows)
        peaks.set(row.type, Math.max(row.peak / 1e9, peaks.get(row.type) || 1e-3));
    const peak = Math.max(...peaks.values(), 1e-3);
    const memory = report.bytes / 1e9;
    const low = Math.min(0.5, ...points.map(p => p.x)), high = Math.max(200, ...points.map(p => p.x)) * 1.3;
    const floor = Math.min(peak / 100, ...points.map(p => p.y)) / 1.3,
          top = Math.max(peak, ...points.map(p => p.y)) * 1.5;
    const x = (/** @type {number} */ v) => left + Math.log(v / low) / Math.log(high / low) * (WIDE - left - 20);
    const y = (/** @type {number} */ v) => bottom - Math.log(v / floor) / Math.log(top / floor) * (bottom - 15);
    const chart = svg('svg', {
        viewBox: `0 0 ${WIDE} ${height}`,
        width: WIDE,
        height,
        role: 'img',
        'aria-label': `Roofline of ${points.length} measurements; their numbers stand in the tables above`
    });
    for (const limit of peaks.values()) {
        const knee = Math.min(Math.max(limit / memory, low), high);
        const roof = [low, knee, high].map(v => `${x(v)},${y(Math.max(floor, Math.min(limit, v * memory)))}`);
        chart.append(svg('polyline', {class: 'roof', points: roof.join(' ')}));
    }
    for (let v = 10 ** Math.ceil(Math.log10(low)); v <= high; v *= 10)
        chart.append(svg('text', {x: x(v), y: bottom + 16, 'text-anchor': 'middle'}, String(v)));
    for (let v = 10 ** Math.ceil(Math.log10(floor)); v <= top; v *= 10)
        chart.append(svg('text', {x: left - 8, y: y(v) + 4, 'text-anchor': 'end'}, String(v)));
    chart.append(svg('text', {x: WIDE / 2, y: height - 6, 'text-anchor': 'middle'}, 'flop for each byte'),
                 svg('text', {x: 4, y: 14}, 'GFLOP/s'));
    const shapes = ['M-5,0 a5,5 0 1,0 10,0 a5,5 0 1,0 -10,0', 'M-5,-5 h10 v10 h-10 z', 'M0,-6 l6,11 h-12 z'];
    const mark = (/** @type {number} */ px, /** @type {number} */ py, /** @type {number} */ pass) =>
        svg('path', {d: shapes[pass % 3], transform: `translate(${px},${py})`, class: `series s${5 + pass}`});
    for (const p of points) {
        const dot = mark(x(p.x), y(p.y), p.pass);
        dot.append(svg('title', {}, `${p.name}, ${report.passes[p.pass]}: ${p.y.toFixed(1)} GFLOP/s`));
        chart.append(dot);
    }
    report.passes.filter((_, pass) => measured(pass)).forEach((name, i) => {
        const pass = report.passes.indexOf(name);
        chart.append(mark(left + 20, 30 + 20 * i, pass), svg('text', {x: left + 32, y: 34 + 20 * i}, name));
    });
    return chart;
}

/** @param {string} type */
function peakOf(type) {
    const peak = Math.max(...report.rows.filter(row => row.type === type).map(row => row.peak));
    return `${(peak / 1e9).toFixed(0)} GFLOP/s in ${type}`;
}

element('about').textContent =
    `${report.interrupted ? 'Interrupted: this is what was measured until then. ' : ''}` +
    `% of the FMA peak of ${[...new Set(report.rows.map(row => row.type))].map(peakOf).join(' and of ')} on ${
        report.threads} ` +
    `thread${report.threads === 1 ? '' : 's'}; memory ${
        (report.bytes / 1e9).toFixed(1)} GB/s; all measured in the same run.`;
element('roofline-text').textContent =
    `How much arithmetic a layer has for each byte of its tensors, and how much of it ${
        report.names[0]} does in a second.`;
element('legend').replaceChildren(...report.names.map((name, c) => {
    const swatch = svg('svg', {width: 18, height: 14, 'aria-hidden': 'true'},
                       svg('rect', {width: 18, height: 14, class: `series s${c % 8}`}));
    return make('span', {class: 'mark'}, swatch, ` ${c + 1}. ${name}`);
}));
report.passes.forEach((name, pass) => {
    if (!measured(pass))
        return;
    element('charts').append(
        make('section', {}, make('h2', {}, name),
             ...report.names.map((_, c) => summary(pass, c)).filter(text => text).map(text => make('p', {}, text)),
             make('div', {class: 'chart', tabindex: '0', role: 'region', 'aria-label': `${name} by layer`}, bars(pass)),
             make('details', {}, make('summary', {}, `${name} as a table`), table(pass))));
});
element('roofline').append(roofline());
