/** The page: draws the arrays, lights cells up, plays the films, and asks the engine what if. */
'use strict';

/**
 * @typedef {{problem: string, conv: Conv, difference: number | string, whole: string | null,
 *     source: Record<string, string> | null, arrays: Record<string, Tensor>}} Data
 */

/** @type {Data} */
const data = JSON.parse(element('data').textContent || '');
for (const tensor of Object.values(data.arrays))
    tensor.values = tensor.values.map(Number); // "NaN", "Infinity": JSON has no numbers for them

const MOST_NAMES = 6, MOST_NUMBERS = 60, MOST_PRODUCTS = 40; // of a sum, spelled out
const MOST_LENGTH = 1000000;                                 // of a stride, padding or dilation

const state = {
    problem: new Problem(data.conv),
    /** @type {Record<string, number[]>} */
    values: {},
    changed: false,
    /** @type {Cell | null} */
    cell: null,
    pinned: false
};

// ---- small things ----

/** @param {string} id @returns {string} the value of a select */
function chosen(id) { return /** @type {HTMLSelectElement} */ (element(id)).value; }

/** @param {string} array @returns {string} its name, in the words that the reader chose */
function nameOf(array) { return chosen('names') === 'framework' ? FRAMEWORK_NAMES[array] : array; }

/**
 * Puts names into a text.
 * @param {string} text @param {Record<string, string | number>} names
 */
function fill(text, names = {}) {
    return text.replace(/\{(\w+)\}/g, (whole, key) => key in names             ? String(names[key])
                                                      : key in FRAMEWORK_NAMES ? nameOf(key)
                                                                               : whole);
}

/** @param {string} key @param {Record<string, string | number>} names */
function say(key, names = {}) { return fill(WORDS[chosen('language')][key], names); }

/**
 * A number as C's %.8g tells it, nearly.
 * @param {number} value
 */
function show(value) { return String(Number(value.toPrecision(8))).replace('-', '−'); }

/**
 * The same as a factor.
 * @param {number} value
 */
function factor(value) { return value < 0 ? `(${show(value)})` : show(value); }

/** @param {Cell} cell @returns {string} such as delta_out[1][0][1][1] */
function title(cell) {
    return nameOf(cell.array) + split(cell.index, state.problem.shapes[cell.array]).map(i => `[${i}]`).join('');
}

/** @param {Cell} cell */
function valueAt(cell) { return state.values[cell.array][cell.index]; }

/** @param {Cell} cell */
function idOf(cell) { return `${cell.array}-${cell.index}`; }

/** @param {EventTarget | null} target @returns {Cell | null} the cell that an event is about */
function cellOf(target) {
    const td = target instanceof Element ? target.closest('td[role=gridcell]') : null;
    if (!td)
        return null;
    const at = td.id.lastIndexOf('-');
    return {array: td.id.slice(0, at), index: Number(td.id.slice(at + 1))};
}

// ---- arrays as grids ----

/**
 * The coordinates of the rows and columns of a column matrix.
 * @param {number} index @param {string[]} letters @param {number[]} size
 */
function coordinates(index, letters, size) { return split(index, size).map((i, axis) => letters[axis] + i).join(' '); }

/**
 * The headings of a matrix: those of rows, then of columns.
 * @param {string} array @returns {((i: number) => string)[]}
 */
function headings(array) {
    const {conv, out, N, C} = state.problem, dims = conv.spatial_dims;
    const pixel = (/** @type {number} */ i) => coordinates(i, ['n', ...'opq'.slice(3 - dims)], [N, ...out]);
    const tap = (/** @type {number} */ i) => coordinates(i, ['c', ...'drt'.slice(3 - dims)], [C, ...conv.filter]);
    const filter = (/** @type {number} */ i) => `k${i}`;
    switch (array) {
    case 'col_x':
    case 'dcol':
        return [pixel, tap];
    case 'delta_in_2d':
        return [pixel, filter];
    case 'dB':
        return [filter, () => nameOf(array)];
    default:
        return [tap, filter]; // col_w, dW_col
    }
}

/**
 * A table of one plane.
 * @param {number} rows @param {number} columns @param {(i: number) => HTMLElement} cell
 * @param {string} label @param {((i: number) => string)[]} [heads]
 */
function plane(rows, columns, cell, label, heads) {
    const table = make('table', {'aria-label': label});
    if (heads)
        table.append(make('tr', {role: 'row'}, make('td', {role: 'presentation'}),
                          ...Array.from({length: columns},
                                        (_, j) => make('th', {scope: 'col', role: 'columnheader'}, heads[1](j)))));
    else
        table.append(make('caption', {}, label));
    for (let i = 0; i < rows; i++)
        table.append(make('tr', {role: 'row'},
                          ...heads ? [make('th', {scope: 'row', role: 'rowheader'}, heads[0](i))] : [],
                          ...Array.from({length: columns}, (_, j) => cell(i * columns + j))));
    return table;
}

/**
 * What a plane of a tensor is.
 * @param {string} array @param {number[]} at its coordinates
 */
function planeLabel(array, at) {
    const words =
        ['w', 'dW', 'rot_weights'].includes(array) ? ['filter', 'channel', 'plane'] : ['sample', 'channel', 'plane'];
    return at.map((i, axis) => `${say(words[axis])} ${i}`).join(', ');
}

/**
 * The planes of a tensor of a shape, each cell made by a function of its index.
 * @param {string} array @param {number[]} shape @param {(i: number) => HTMLElement} cell
 */
function planes(array, shape, cell) {
    const dims = shape.length - 2, outer = shape.slice(0, dims === 3 ? 3 : 2);
    const rows = dims === 1 ? 1 : shape[shape.length - 2], columns = shape[shape.length - 1], size = rows * columns;
    return make('div', {class: 'planes', style: `--together: ${shape[1]}`},
                ...Array.from({length: product(outer)}, (_, p) => plane(rows, columns, i => cell(p * size + i),
                                                                        planeLabel(array, split(p, outer)))));
}

/** @param {string} array @returns {HTMLElement} its figure */
function drawArray(array) {
    const shape = state.problem.shapes[array], size = product(shape);
    const cell = (/** @type {number} */ index) =>
        make('td', {role: 'gridcell', id: idOf({array, index}), tabindex: index ? '-1' : '0'},
             show(valueAt({array, index})));
    const caption =
        make('figcaption', {}, make('h3', {}, make('code', {class: 'name'}, nameOf(array)), ` ${shape.join('×')}`),
             make('p', {}, say(`about_${array}`)),
             make('p', {class: 'formula'}, make('code', {}, fill(FORMULAS[array]))));
    if (['dB', 'dW_col'].includes(array) && state.problem.N > 1)
        caption.append(make('p', {}, say('mean_note', {N: state.problem.N})));
    if (['col_w', 'dW_col', 'dW'].includes(array) && state.problem.conv.groups > 1)
        caption.append(make('p', {}, say('groups_note')));
    let grid;
    if (!size)
        grid = make('p', {}, say('empty'));
    else if (shape.length === 2)
        grid = make('div', {class: 'planes'}, plane(shape[0], shape[1], cell, nameOf(array), headings(array)));
    else
        grid = planes(array, shape, cell);
    for (const table of grid.querySelectorAll('table')) {
        table.setAttribute('role', 'grid');
        table.setAttribute('aria-label', `${nameOf(array)} ${table.getAttribute('aria-label')}`);
    }
    return make('figure', {class: GIVEN.includes(array) ? 'array given' : 'array'}, caption, grid);
}

// ---- what a cell is made of, and where it goes ----

/**
 * A cell's name, which leads to it.
 * @param {Cell} cell
 */
function link(cell) {
    const made = make('button', {type: 'button', class: 'name'}, title(cell));
    made.addEventListener('click', () => {
        choose(cell, state.pinned);
        paint();
        focusCell(cell);
    });
    return made;
}

/**
 * The sum of a recipe.
 * @param {Recipe} recipe @param {number} most @param {(cell: Cell) => Node | string} spellCell
 * @returns {(Node | string)[]}
 */
function spell(recipe, most, spellCell) {
    const {terms} = recipe, divided = recipe.mean && state.problem.N > 1, together = divided && terms.length > 1;
    /** @type {(Node | string)[]} */
    const parts = together ? ['('] : [];
    terms.slice(0, most).forEach((term, i) => {
        parts.push(i ? ' + ' : '');
        term.forEach((cell, j) => parts.push(j ? '·' : '', spellCell(cell)));
    });
    if (terms.length > most)
        parts.push(` + ${say('why_more', {count: terms.length - most})}`);
    parts.push(together ? ')' : '', divided ? ` / ${state.problem.N}` : '');
    return parts;
}

/**
 * The lines that tell why a cell has its value.
 * @param {Cell} cell @returns {HTMLElement[]}
 */
function why(cell) {
    const {problem, values} = state;
    const notes = [GIVEN.includes(cell.array) ? say('why_given') : '', state.pinned ? say('why_pinned') : ''].filter(
        note => note);
    const lines = [make('p', {class: 'head'}, make('strong', {}, `${title(cell)} = ${show(valueAt(cell))}`),
                        notes.length ? ` (${notes.join(', ')})` : '')];
    for (const {method, recipe} of problem.recipes(cell)) {
        const label = problem.method1[cell.array] ? [make('span', {class: 'method'}, say('why_method', {method}))] : [];
        if (!recipe.terms.length) {
            lines.push(make('p', {}, ...label, recipe.zero ? say(`why_${recipe.zero}`) : '0'));
            continue;
        }
        const numbers = spell(recipe, MOST_NUMBERS, c => factor(valueAt(c)));
        lines.push(make('p', {}, ...label,
                        make('span', {class: 'numbers'}, `${show(problem.valueOf(recipe, values))} = `, ...numbers),
                        make('br', {}), make('span', {class: 'quiet'}, '= ', ...spell(recipe, MOST_NAMES, link))));
    }
    const into = problem.flowsInto(cell);
    if (into.length)
        lines.push(make('p', {class: 'quiet'}, say('why_flows'),
                        ...into.slice(0, MOST_NAMES).flatMap(c => [' ', link(c)]),
                        into.length > MOST_NAMES ? ` ${say('why_more', {count: into.length - MOST_NAMES})}` : ''));
    return lines;
}

/**
 * Lights up what is reached from a cell.
 * @param {Cell} begin @param {(cell: Cell) => Cell[]} next @param {string} near @param {string} far
 */
function light(begin, next, near, far) {
    const seen = new Set([idOf(begin)]);
    let edge = [begin];
    for (let mark = near; edge.length; mark = far) {
        edge = edge.flatMap(next).filter(cell => {
            const isNew = !seen.has(idOf(cell));
            seen.add(idOf(cell));
            return isNew;
        });
        for (const cell of edge)
            element(idOf(cell)).classList.add(mark);
    }
}

/** Shows the chosen cell. */
function paint() {
    for (const mark of ['here', 'from', 'far-from', 'into', 'far-into', 'pinned'])
        for (const lit of document.querySelectorAll(`td.${mark}`))
            lit.classList.remove(mark);
    const {cell, problem} = state;
    const change = element('change');
    element('close').hidden = !cell;
    change.hidden = !cell || !GIVEN.includes(cell.array);
    paintSame();
    if (!cell) {
        element('sum').replaceChildren(say('why_nothing'));
        return;
    }
    light(cell, from => problem.recipes(from).flatMap(r => r.recipe.terms.flat()), 'from', 'far-from');
    light(cell, to => problem.flowsInto(to), 'into', 'far-into');
    element(idOf(cell)).classList.add('here');
    element(idOf(cell)).classList.toggle('pinned', state.pinned);
    element('sum').replaceChildren(...why(cell));
    numberField().value = String(valueAt(cell));
}

/** @returns {HTMLInputElement} where a number is changed */
function numberField() { return /** @type {HTMLInputElement} */ (element('change').querySelector('input')); }

/**
 * How many products a cell's sum has when written out, those with zeros that stand there too.
 * @param {Cell} cell @param {number} method @returns {number}
 */
function attempts(cell, method) {
    const {problem} = state;
    if (GIVEN.includes(cell.array))
        return 1;
    const {terms, zero} = problem.recipeBy(method, cell);
    if (!terms.length)
        return Number(['padding', 'stuffed', 'other_group'].includes(zero));
    return terms.reduce((sum, term) => sum + term.reduce((all, f) => all * attempts(f, method), 1), 0);
}

/** The table that shows that both methods add the same products. */
function paintSame() {
    const {cell, problem} = state;
    if (!cell || !problem.method1[cell.array]) {
        element('same-count').replaceChildren(say('same_none'));
        element('same-table').replaceChildren();
        return;
    }
    const method2 = problem.products(cell, 2), method1 = problem.products(cell, 1);
    const key = (/** @type {Cell[]} */ given) => given.map(title).sort().join(' · ');
    const through = (/** @type {Cell[]} */ via) => via.filter(c => !GIVEN.includes(c.array)).map(title).join(', ');
    const partner = new Map(method1.map(p => [key(p.given), p]));
    element('same-count')
        .replaceChildren(say('same_count', {
                             cell: title(cell),
                             count: method2.filter(p => partner.has(key(p.given))).length,
                             zeros: attempts(cell, 1) - method1.length,
                             zeros2: attempts(cell, 2) - method2.length
                         }),
                         cell.array === 'dW' && problem.N > 1 ? ` ${say('same_mean', {N: problem.N})}` : '');
    const row = (/** @type {string} */ tag, /** @type {string[]} */ texts) =>
        make('tr', {}, ...texts.map(text => make(tag, tag === 'th' ? {scope: 'col'} : {}, text)));
    const table =
        make('table', {class: 'products'},
             row('th', ['same_product', 'same_value', 'same_method2', 'same_method1'].map(word => say(word))),
             ...method2.slice(0, MOST_PRODUCTS).map(p => {
                 const other = partner.get(key(p.given));
                 const value = p.given.reduce((all, c) => all * valueAt(c), 1);
                 return row('td', [key(p.given), show(value), through(p.via), other ? through(other.via) : '-']);
             }));
    element('same-table').replaceChildren(table);
    if (method2.length > MOST_PRODUCTS)
        element('same-table').append(make('p', {}, say('same_more', {count: method2.length - MOST_PRODUCTS})));
}

// ---- films ----

/**
 * @typedef {{caption: string, lit: Cell[], patch: string[], from: number[], sofar: string[],
 *     touched: number[]}} Frame from: sample and channel of the patch's first plane
 * @typedef {{array: string, sofar: string, patchArray: string, count: () => number, patch: () => number[],
 *     frame: (step: number) => Frame}} Script
 */

/**
 * A row of a column matrix.
 * @param {string} array @param {number} row @returns {Cell[]}
 */
function matrixRow(array, row) {
    const {taps} = state.problem;
    return Array.from({length: taps}, (_, j) => ({array, index: row * taps + j}));
}

/** @param {number} row @returns {string} the sample and place of an output pixel */
function pixelName(row) {
    const {N, out} = state.problem;
    return `(${split(row, [N, ...out]).join(', ')})`;
}

/**
 * What each film shows at each step; step 0 is before the first.
 * @type {Record<string, Script>}
 */
const SCRIPTS = {
    im2col: {
        array: 'y',
        sofar: 'sofar_y',
        patchArray: 'x',
        count: () => state.problem.rows,
        patch: () => [1, state.problem.C, ...state.problem.conv.filter],
        frame: step => {
            const {problem, values} = state, row = step - 1, {outSize, K} = problem;
            const done = values.y.map((v, i) => {
                const made = Math.floor(i / outSize / K) * outSize + i % outSize;
                return made < step ? show(v) : '';
            });
            if (!step)
                return {caption: say('film_begin'), lit: [], patch: [], from: [0, 0], sofar: done, touched: []};
            const window = matrixRow('col_x', row);
            const touched =
                Array.from({length: K}, (_, k) => (Math.floor(row / outSize) * K + k) * outSize + row % outSize);
            return {
                caption: say('film_im2col_step', {
                    step,
                    count: problem.rows,
                    row,
                    pixel: pixelName(row),
                    values: touched.map(i => show(values.y[i])).join(', ')
                }),
                lit: [
                    ...window, ...window.flatMap(c => problem.method2.col_x(c.index).terms.flat()),
                    ...touched.map(index => ({array: 'y', index}))
                ],
                patch: window.map(c => show(valueAt(c))),
                from: [Math.floor(row / outSize), 0],
                sofar: done,
                touched
            };
        }
    },
    col2img: {
        array: 'delta_out',
        sofar: 'sofar',
        patchArray: 'delta_out',
        count: () => state.problem.rows,
        patch: () => [1, state.problem.C, ...state.problem.conv.filter],
        frame: step => {
            const {problem, values} = state, row = step - 1;
            const image = new Array(values.delta_out.length).fill(0);
            for (let r = 0; r < row; r++)
                matrixRow('dcol', r).forEach((c, j) => {
                    if (problem.place(r, j) >= 0)
                        image[problem.place(r, j)] += valueAt(c);
                });
            const sofar = image.map(show);
            if (!step)
                return {caption: say('film_begin'), lit: [], patch: [], from: [0, 0], sofar, touched: []};
            const moved = matrixRow('dcol', row), touched = [];
            for (let j = 0; j < moved.length; j++) {
                const at = problem.place(row, j);
                if (at < 0)
                    continue;
                const sum = image[at] + valueAt(moved[j]);
                sofar[at] = `${show(image[at])} + ${factor(valueAt(moved[j]))} = ${show(sum)}`;
                touched.push(at);
            }
            const dropped = moved.length - touched.length;
            return {
                caption: say('film_col2img_step', {
                             step,
                             count: problem.rows,
                             row,
                             pixel: pixelName(row),
                             values: moved.map(c => show(valueAt(c))).join(', ')
                         }) + (dropped ? ` ${say('film_padding', {count: dropped})}` : ''),
                lit: [...moved, ...touched.map(index => ({array: 'delta_out', index}))],
                patch: moved.map(c => show(valueAt(c))),
                from: [Math.floor(row / problem.outSize), 0],
                sofar,
                touched
            };
        }
    },
    rotated: {
        array: 'delta_out',
        sofar: 'sofar',
        patchArray: 'dz_padded',
        count: () => state.values.delta_out.length,
        patch: () => [1, state.problem.Kg, ...state.problem.conv.filter],
        frame: step => {
            const {problem, values} = state, cell = {array: 'delta_out', index: step - 1};
            const sofar = values.delta_out.map((v, i) => i < step ? show(v) : '');
            if (!step)
                return {caption: say('film_begin'), lit: [], patch: [], from: [0, 0], sofar, touched: []};
            const recipe = problem.method1.delta_out(cell.index);
            return {
                caption: say('film_rotated_step', {
                    step,
                    count: values.delta_out.length,
                    cell: title(cell),
                    sum: `${spell(recipe, MOST_NUMBERS, c => factor(valueAt(c))).join('')} = ${
                        show(problem.valueOf(recipe, values))}`
                }),
                lit: [...recipe.terms.flat(), cell],
                patch: recipe.terms.map(term => term.map(c => factor(valueAt(c))).join('·')),
                from: split(recipe.terms[0][0].index, problem.shapes.dz_padded).slice(0, 2),
                sofar,
                touched: [cell.index]
            };
        }
    }
};

class Film {
    /** @param {HTMLElement} root @param {string} kind */
    constructor(root, kind) {
        this.root = root;
        this.kind = kind;
        this.script = SCRIPTS[kind];
        this.step = 0;
        this.turn = 0; // of films, when it last moved
        this.timer = 0;
        this.speed = '1';
        /** @type {Cell[]} */
        this.lit = [];
    }

    /** Draws all of it anew. */
    draw() {
        this.pause();
        const {kind, script} = this, id = `film-${kind}`, word = `film_${kind}`;
        this.step = Math.min(this.step, script.count());
        const button = (/** @type {string} */ name, /** @type {() => void} */ press) => {
            const made = make('button', {type: 'button', id: `${id}-${name}`}, say(name));
            made.addEventListener('click', press);
            return made;
        };
        this.playButton = button('play', () => this.timer ? this.pause() : this.play());
        this.range = /** @type {HTMLInputElement} */ (
            make('input', {type: 'range', min: '0', max: String(script.count()), step: '1', id: `${id}-position`}));
        this.range.addEventListener('input', () => {
            this.pause();
            this.go(Number(this.range && this.range.value));
        });
        const speed = /** @type {HTMLSelectElement} */ (
            make('select', {id: `${id}-speed`},
                 ...['0.5', '1', '2', '4', '8'].map(times => make('option', {value: times}, `${times}×`))));
        speed.value = this.speed;
        speed.addEventListener('change', () => {
            this.speed = speed.value;
            if (this.timer)
                this.play();
        });
        this.caption = make('p', {class: 'caption', 'aria-live': 'polite', id: `${id}-caption`});
        /** @type {HTMLElement[]} */
        this.patchCells = [];
        /** @type {HTMLElement[]} */
        this.sofarCells = [];
        const plain = (/** @type {HTMLElement[]} */ cells) => (/** @type {number} */ i) => cells[i] = make('td', {});
        const shape = script.patch(), patch = planes(script.patchArray, shape, plain(this.patchCells));
        this.patchTables = [...patch.querySelectorAll('table')];
        this.patchPlanes = shape.length === 5 ? shape[2] : 1;
        const sofar = planes(script.array, state.problem.shapes[script.array], plain(this.sofarCells));
        sofar.id = `${id}-sofar`;
        for (const [box, label] of /** @type {[HTMLElement, string][]} */ ([[patch, 'patch'], [sofar, script.sofar]])) {
            box.tabIndex = 0; // it may scroll
            box.setAttribute('role', 'region');
            box.setAttribute('aria-label', `${say(word)}: ${say(label)}`);
        }
        this.root.replaceChildren(
            make('div', {class: 'panel film-panel', role: 'group', 'aria-labelledby': `${id}-title`},
                 make('h3', {id: `${id}-title`}, say(word)), make('p', {}, say(`${word}_text`)),
                 make('div', {class: 'controls'}, button('back', () => this.move(-1)), this.playButton,
                      button('ahead', () => this.move(1)), make('label', {}, `${say('position')} `, this.range),
                      make('label', {}, `${say('speed')} `, speed)),
                 this.caption,
                 make('div', {class: 'screen'}, make('div', {}, make('h4', {}, say('patch')), patch),
                      make('div', {}, make('h4', {}, say(script.sofar)), sofar))));
    }

    /** @param {number} by */
    move(by) {
        this.pause();
        this.go(this.step + by);
    }

    /** @param {number} step */
    go(step) {
        const {script, patchCells = [], sofarCells = []} = this;
        if (this.step !== step)
            this.turn = ++Film.turns;
        this.step = Math.max(0, Math.min(script.count(), step));
        const frame = script.frame(this.step), touched = new Set(frame.touched);
        for (const film of films)
            film.rest(film !== this);
        (this.patchTables || []).forEach((table, i) => {
            const planes = this.patchPlanes || 1, at = [frame.from[0], frame.from[1] + Math.floor(i / planes)];
            const label = planeLabel(script.patchArray, planes > 1 ? [...at, i % planes] : at);
            table.setAttribute('aria-label', label);
            if (table.caption)
                table.caption.textContent = label;
        });
        patchCells.forEach((td, i) => td.textContent = i < frame.patch.length ? frame.patch[i] : '');
        sofarCells.forEach((td, i) => {
            td.textContent = frame.sofar[i];
            td.classList.toggle('film', touched.has(i));
        });
        if (this.caption)
            this.caption.textContent = frame.caption;
        if (this.range)
            this.range.value = String(this.step);
        this.lit = frame.lit;
        for (const cell of this.lit)
            element(idOf(cell)).classList.add('film');
    }

    /**
     * Takes its marks off the arrays, and stops when another film goes on.
     * @param {boolean} other
     */
    rest(other) {
        if (other)
            this.pause();
        for (const cell of this.lit) {
            const td = document.getElementById(idOf(cell));
            if (td)
                td.classList.remove('film');
        }
        this.lit = [];
    }

    play() {
        this.pause();
        if (this.step === this.script.count())
            this.go(0);
        this.timer = window.setInterval(() => {
            this.go(this.step + 1);
            if (this.step === this.script.count())
                this.pause();
        }, 1000 / Number(this.speed));
        if (this.playButton)
            this.playButton.textContent = say('pause');
    }

    pause() {
        window.clearInterval(this.timer);
        this.timer = 0;
        if (this.playButton)
            this.playButton.textContent = say('play');
    }
}

/** How often a film has moved. */
Film.turns = 0;

/** @type {Film[]} */
const films = [...document.querySelectorAll('[data-film]')].map(
    root => new Film(/** @type {HTMLElement} */ (root), root.getAttribute('data-film') || ''));

// ---- the whole page ----

/** Whether this page's engine and the program agree on all of the program's numbers. */
function provenance() {
    if (state.changed)
        return say('what_if_numbers');
    let cells = 0, count = 0;
    for (const array of ARRAYS)
        data.arrays[array].values.forEach((value, i) => {
            cells++;
            count += Number(
                !(value === state.values[array][i] || Number.isNaN(value) && Number.isNaN(state.values[array][i])));
        });
    return say(count ? 'engine_differs' : 'from_library', {cells, count, difference: data.difference});
}

/**
 * What scrolls an array's cells.
 * @param {string} array
 */
function scroller(array) { return document.querySelector(`[data-array=${array}] .planes`) || element('sum'); }

/** Draws everything anew. */
function render() {
    const scrolled = ARRAYS.map(array => /** @type {[string, number]} */ ([array, scroller(array).scrollLeft]));
    const language = chosen('language');
    document.documentElement.lang = language;
    document.title = `${say('title')}: ${data.problem}`;
    for (const place of document.querySelectorAll('[data-word]'))
        place.textContent = say(place.getAttribute('data-word') || '');
    element('why').setAttribute('aria-label', say('why_title'));
    element('problem').replaceChildren(...state.changed ? [say('started_from'), ' '] : [],
                                       make('code', {}, data.problem));
    if (data.whole)
        element('problem').append(' ', say('cropped', {whole: data.whole}));
    if (data.source)
        element('problem').append(' ', say('files', data.source));
    element('origin').textContent = provenance();
    for (const place of document.querySelectorAll('[data-array]'))
        place.replaceChildren(drawArray(place.getAttribute('data-array') || ''));
    for (const film of films)
        film.draw();
    // The film that went last comes last again: the marks are its own.
    for (const film of [...films].sort((a, b) => a.turn - b.turn))
        film.go(film.step);
    for (const [array, at] of scrolled)
        scroller(array).scrollLeft = at;
    paint();
}

/**
 * Takes another problem, and numbers for it; those that do not fit become 0, 1, 2, ...
 * @param {Conv} conv @param {Record<string, number[]>} given
 */
function take(conv, given) {
    const problem = new Problem(conv);
    for (const array of GIVEN) {
        const same = product(problem.shapes[array]) === given[array].length &&
                     problem.shapes[array].every((size, axis) => size === state.problem.shapes[array][axis]);
        given[array] = same ? given[array] : counting(problem.shapes[array]);
    }
    state.problem = problem;
    state.values = problem.evaluate(given);
    if (state.cell && state.cell.index >= product(problem.shapes[state.cell.array]))
        choose(null, false);
}

/** @returns {Record<string, number[]>} copies of what is given */
function givenNow() { return Object.fromEntries(GIVEN.map(array => [array, [...state.values[array]]])); }

/** Shows the geometry in the form. */
function fillForm() {
    const {conv} = state.problem;
    /** @type {Record<string, (number | number[])>} */
    const entries = {
        stride: conv.stride,
        padding: [...conv.pad_begin, ...conv.pad_end],
        dilation: conv.dilation,
        groups: conv.groups
    };
    for (const [name, value] of Object.entries(entries))
        field(name).value = String(value);
}

/** @param {string} name @returns {HTMLInputElement} */
function field(name) { return /** @type {HTMLInputElement} */ (element('what-if').querySelector(`[name=${name}]`)); }

/**
 * The numbers of a field: as many as asked for, or one for all.
 * @param {string} name @param {number} count @param {number} least
 */
function numbers(name, count, least) {
    const text = field(name).value, list = text.split(/[,，、]/).map(part => part.trim());
    const dims = state.problem.conv.spatial_dims;
    const fits = list.length === 1 || list.length === count || name === 'padding' && list.length === dims;
    if (!fits || !list.every(part => /^\d+$/.test(part) && Number(part) >= least && Number(part) <= MOST_LENGTH))
        throw new Refusal(
            'bad_list',
            {field: say(name), text, count, least, most: MOST_LENGTH, example: new Array(count).fill(1).join(',')});
    return Array.from({length: count}, (_, i) => Number(list[list.length === 1 ? 0 : i % list.length]));
}

/**
 * Does what may be refused, and says why if it is.
 * @param {string} place where @param {() => void} task
 */
function attempt(place, task) {
    clearRefusals();
    try {
        task();
    } catch (error) {
        if (!(error instanceof Refusal))
            throw error;
        element(place).textContent = say(error.word, error.names);
    }
}

function clearRefusals() {
    for (const place of ['refusal', 'number-refusal'])
        element(place).textContent = '';
}

/** @param {Cell | null} cell @param {boolean} pinned */
function choose(cell, pinned) {
    state.cell = cell;
    state.pinned = pinned;
}

/** Back to what the program computed. */
function reset() {
    clearRefusals();
    choose(null, false);
    state.changed = false;
    state.problem = new Problem(data.conv);
    state.values =
        state.problem.evaluate(Object.fromEntries(GIVEN.map(array => [array, [...data.arrays[array].values]])));
    fillForm();
    render();
}

element('reset').addEventListener('click', reset);
element('what-if').addEventListener('submit', event => {
    event.preventDefault();
    attempt('refusal', () => {
        const {conv} = state.problem, dims = conv.spatial_dims, pad = numbers('padding', 2 * dims, 0);
        take({
            ...conv,
            stride: numbers('stride', dims, 1),
            pad_begin: pad.slice(0, dims),
            pad_end: pad.slice(dims),
            dilation: numbers('dilation', dims, 1),
            groups: numbers('groups', 1, 1)[0]
        },
             givenNow());
        state.changed = true;
        fillForm();
        render();
    });
});

/**
 * A number as a reader types it, or as show() tells it.
 * @param {string} text
 */
function parse(text) {
    const plain = text.replace(/−/g, '-').toLowerCase();
    return plain.endsWith('infinity') ? (plain[0] === '-' ? -Infinity : Infinity)
                                      : Number(plain === 'nan' ? NaN : plain);
}

element('close').addEventListener('click', () => {
    choose(null, false);
    paint();
    element('why').focus({preventScroll: true});
});
element('change').addEventListener('submit', event => {
    event.preventDefault();
    const {cell} = state, text = numberField().value.trim();
    if (!cell)
        return;
    attempt('number-refusal', () => {
        if (!/^[-−+]?(\d+\.?\d*|\.\d+)(e[-−+]?\d+)?$|^NaN$|^[-−]?Infinity$/i.test(text))
            throw new Refusal('not_a_number', {text});
        const given = givenNow();
        given[cell.array][cell.index] = parse(text);
        take(state.problem.conv, given);
        state.changed = true;
        render();
        focusCell(cell);
    });
});

/**
 * Shows the cell that an event is about, unless one is kept.
 * @param {Event} event
 */
function look(event) {
    const cell = cellOf(event.target);
    if (!cell || state.pinned || state.cell && idOf(cell) === idOf(state.cell))
        return;
    choose(cell, false);
    paint();
}

document.addEventListener('pointerover', look);
document.addEventListener('focusin', look);

/**
 * Keeps a cell, or lets it go if it is kept.
 * @param {Cell} cell
 */
function toggle(cell) {
    choose(cell, !(state.pinned && state.cell && idOf(state.cell) === idOf(cell)));
    paint();
}

document.addEventListener('click', event => {
    const cell = cellOf(event.target);
    if (cell)
        toggle(cell);
});

/**
 * Moves the focus; each array has one cell that Tab reaches.
 * @param {Cell} cell
 */
function focusCell(cell) {
    for (const old of document.querySelectorAll(`[data-array=${cell.array}] td[tabindex="0"]`))
        old.setAttribute('tabindex', '-1');
    const td = element(idOf(cell));
    td.setAttribute('tabindex', '0');
    td.focus();
}

document.addEventListener('keydown', event => {
    if (event.key === 'Escape') {
        choose(state.cell, false);
        paint();
        if (state.cell && element('why').contains(document.activeElement))
            focusCell(state.cell);
        return;
    }
    const cell = cellOf(event.target);
    if (!cell || event.altKey || event.metaKey)
        return;
    const shape = state.problem.shapes[cell.array], columns = shape[shape.length - 1];
    const rows = shape.length === 3 ? 1 : shape[shape.length - 2], last = product(shape) - 1;
    const begin = cell.index - cell.index % columns;
    /** @type {Record<string, number>} */
    const moves = {
        ArrowLeft: cell.index - 1,
        ArrowRight: cell.index + 1,
        ArrowUp: cell.index - columns,
        ArrowDown: cell.index + columns,
        PageUp: cell.index - rows * columns,
        PageDown: cell.index + rows * columns,
        Home: event.ctrlKey ? 0 : begin,
        End: event.ctrlKey ? last : begin + columns - 1
    };
    if (event.key in moves) {
        if (moves[event.key] >= 0 && moves[event.key] <= last)
            focusCell({array: cell.array, index: moves[event.key]});
    } else if (event.key === 'Enter' && GIVEN.includes(cell.array)) {
        choose(cell, true);
        paint();
        numberField().select();
    } else if (event.key === ' ' || event.key === 'Enter') {
        toggle(cell);
    } else {
        return;
    }
    event.preventDefault();
});

for (const id of ['language', 'names'])
    element(id).addEventListener('change', () => {
        clearRefusals();
        render();
    });
element('theme').addEventListener('change', () => document.documentElement.dataset.theme = chosen('theme'));
if (navigator.language.startsWith('zh'))
    /** @type {HTMLSelectElement} */ (element('language')).value = 'zh';
reset();
