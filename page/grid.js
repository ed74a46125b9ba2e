/** Arrays as tables: whole ones, whose cells can be chosen, and small copies around lit cells. */
'use strict';

/**
 * @typedef {{problem: Problem, values: Record<string, number[]>}} Shown what the page shows
 * @typedef {{row: (i: number) => string, column: (j: number) => string}} Heads of a matrix
 * @typedef {{element: HTMLElement, heads?: Heads, label: string}} Plane
 */

/** @param {Cell} cell */
function idOf(cell) { return `${cell.array}-${cell.index}`; }

/** @param {string} id @returns {Cell} */
function cellOfId(id) {
    const at = id.lastIndexOf('-');
    return {array: id.slice(0, at), index: Number(id.slice(at + 1))};
}

/** @param {Problem} problem @param {string} array @returns {Heads} the headings of a matrix */
function headings(problem, array) {
    const pixel = (/** @type {number} */ i) => pixelOf(problem, i),
          tap = (/** @type {number} */ j) => tapOf(problem, j);
    const filter = (/** @type {number} */ k) => `k${k}`;
    switch (array) {
    case 'col_x':
    case 'dcol':
        return {row: pixel, column: tap};
    case 'delta_in_2d':
        return {row: pixel, column: filter};
    case 'dB':
        return {row: filter, column: () => nameOf(array)};
    default:
        return {row: tap, column: filter}; // col_w, dW_col
    }
}

/**
 * The planes of an array: a matrix is one; of a tensor they are its last two axes.
 * @param {Problem} problem @param {string} array
 */
function planesOf(problem, array) {
    const shape = problem.shapes[array], dims = shape.length - 2, columns = shape[shape.length - 1];
    if (!dims)
        return {rows: shape[0], columns, count: 1, heads: headings(problem, array), label: () => nameOf(array)};
    const outer = shape.slice(0, dims === 3 ? 3 : 2), letters = lettersOf(array, dims);
    return {
        rows: dims === 1 ? 1 : shape[shape.length - 2],
        columns,
        count: product(outer),
        heads: undefined,
        label: (/** @type {number} */ p) => coordinates(split(p, outer), letters)
    };
}

/** @param {string} words one below the other: headings that make no column wide */
function inLines(words) { return words.split(' ').flatMap((word, i) => i ? [' ', make('br', {}), word] : [word]); }

/**
 * A table of some rows and columns of a plane.
 * @param {number[]} rows @param {number[]} columns @param {(i: number, j: number) => HTMLElement} cell
 * @param {string} label @param {Heads} [heads]
 */
function table(rows, columns, cell, label, heads) {
    const gap = (/** @type {number[]} */ kept, /** @type {number} */ at) => at > 0 && kept[at] > kept[at - 1] + 1;
    const made = make('table', {});
    if (heads)
        made.append(
            make('tr', {role: 'row'}, make('td', {role: 'presentation'}),
                 ...columns.map(j => make('th', {scope: 'col', role: 'columnheader'}, ...inLines(heads.column(j))))));
    else
        made.append(make('caption', {}, label));
    rows.forEach((i, at) => {
        const line = make('tr', {role: 'row', ...gap(rows, at) ? {class: 'gap'} : {}});
        if (heads)
            line.append(make('th', {scope: 'row', role: 'rowheader'}, heads.row(i)));
        columns.forEach((j, along) => {
            const td = cell(i, j);
            td.classList.toggle('gap', gap(columns, along));
            line.append(td);
        });
        made.append(line);
    });
    return made;
}

/** @param {number} size @returns {number[]} 0, 1, ... */
function upTo(size) { return Array.from({length: size}, (_, i) => i); }

/** @param {Shown} shown @param {string} array @returns {HTMLElement} its figure */
function drawArray({problem, values}, array) {
    const shape = problem.shapes[array], {rows, columns, count, heads, label} = planesOf(problem, array);
    const caption =
        make('figcaption', {}, make('h3', {}, make('code', {class: 'name'}, nameOf(array)), ` ${shape.join('×')}`),
             make('p', {}, say(`about_${array}`)),
             make('p', {class: 'formula'}, make('code', {}, formula(problem, array))));
    if (['dB', 'dW_col'].includes(array) && problem.N > 1)
        caption.append(make('p', {}, say('mean_note', {N: problem.N})));
    if (['col_w', 'dW_col', 'dW'].includes(array) && problem.conv.groups > 1)
        caption.append(make('p', {}, say('groups_note')));
    const grid = make('div', {class: 'planes', style: `--together: ${heads ? 1 : shape[1]}`});
    for (let p = 0; p < count; p++) {
        const made = table(upTo(rows), upTo(columns), (i, j) => {
            const index = (p * rows + i) * columns + j;
            return make('td', {role: 'gridcell', id: idOf({array, index}), tabindex: index ? '-1' : '0'},
                        brief(values[array][index]));
        }, label(p), heads);
        made.setAttribute('role', 'grid');
        made.setAttribute('aria-label', heads ? nameOf(array) : `${nameOf(array)} ${label(p)}`);
        grid.append(made);
    }
    return make('figure', {class: GIVEN.includes(array) ? 'array given' : 'array'}, caption,
                product(shape) ? grid : make('p', {}, say('empty')));
}

/**
 * The lines of an axis that a small copy keeps: those that are lit and the ring around them.
 * @param {number} size @param {number[]} lit @param {number} ring
 */
function kept(size, lit, ring) {
    const near = new Set(lit.flatMap(i => Array.from({length: 2 * ring + 1}, (_, d) => i - ring + d)));
    return [...near].filter(i => i >= 0 && i < size).sort((a, b) => a - b);
}

/**
 * A small copy of an array around its lit cells.
 * @param {Shown} shown @param {string} array @param {Map<number, string>} marks of the lit cells
 */
function miniature({problem, values}, array, marks) {
    const SHORT = 6, MOST_LINES = 40, MOST_PLANES = 12; // a plane that is drawn whole; more would be slow
    const {rows, columns, heads, label} = planesOf(problem, array), size = rows * columns;
    /** @type {Map<number, number[]>} */
    const lit = new Map();
    for (const index of [...marks.keys()].sort((a, b) => a - b)) {
        const p = Math.floor(index / size);
        lit.set(p, [...lit.get(p) || [], index % size]);
    }
    const grid = make('div', {class: 'planes'});
    let left = 0;
    [...lit].forEach(([p, cells], at) => {
        const ring = rows <= SHORT && columns <= SHORT ? SHORT : heads ? 0 : 1;
        const down = kept(rows, cells.map(i => Math.floor(i / columns)), ring);
        const across = kept(columns, cells.map(i => i % columns), ring);
        const all = at < MOST_PLANES, i = new Set(all ? down.slice(0, MOST_LINES) : []);
        const j = new Set(across.slice(0, MOST_LINES));
        left += cells.filter(c => !i.has(Math.floor(c / columns)) || !j.has(c % columns)).length;
        if (all)
            grid.append(table([...i], [...j], (row, column) => {
                const index = (p * rows + row) * columns + column;
                return make('td', {class: marks.get(index) || '', 'data-cell': idOf({array, index})},
                            brief(values[array][index]));
            }, label(p), heads));
    });
    return make('div', {class: 'mini'}, make('code', {class: 'name'}, nameOf(array)), grid,
                left ? say('why_more', {count: left}) : '');
}
