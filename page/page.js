/** The page: which problem it shows, which cell is chosen, and what the reader does. */
'use strict';

/**
 * @typedef {{problem: string, conv: Conv, difference: number | string, whole: string | null, page_limit: number,
 *     source: Record<string, string | null> | null, arrays: Record<string, Tensor>}} Data
 */

/** @type {Data} */
const data = JSON.parse(element('data').textContent || '');
for (const tensor of Object.values(data.arrays))
    tensor.values = tensor.values.map(Number); // "NaN", "Infinity": JSON has no numbers for them

/** The name in the list of the problem that the program put here. */
const OWN_NAME = !data.source && exampleOf(data.conv) || 'program';

const state = {
    problem: new Problem(data.conv),
    /** @type {Record<string, number[]>} */
    values: {},
    name: OWN_NAME,
    changed: false, // a number or a size
    /** @type {Cell | null} */
    cell: null,
    pinned: false,
    tried: false // the reader chose a cell, and knows how
};

/** @type {Film[]} */
const films = [...document.querySelectorAll('[data-film]')].map(
    root => new Film(/** @type {HTMLElement} */ (root), root.getAttribute('data-film') || ''));

/** @returns {boolean} whether the panel has a column of its own, as in style.css */
function isWide() { return window.matchMedia('(min-width: 60rem)').matches; }

// ---- the chosen cell ----

/** @param {EventTarget | null} target @returns {Cell | null} the cell that an event is about */
function cellOf(target) {
    const td = target instanceof Element ? target.closest('td[role=gridcell]') : null;
    return td ? cellOfId(td.id) : null;
}

/** @returns {HTMLInputElement} where a number is changed */
function numberField() { return /** @type {HTMLInputElement} */ (element('change').querySelector('input')); }

/** What the reader may do next. */
function hint() {
    const {cell, pinned, tried} = state;
    if (!cell || !tried)
        return say('hint_choose');
    return say(pinned ? 'hint_pinned' : 'hint_keep');
}

/** Shows the chosen cell: in the arrays, in the panel, and in the table of both methods. */
function paint() {
    const {cell, problem, pinned} = state;
    for (const mark of ['here', 'from', 'far-from', 'into', 'far-into', 'pinned'])
        for (const lit of document.querySelectorAll(`td[role=gridcell].${mark}`))
            lit.classList.remove(mark);
    element('close').hidden = !cell;
    element('marks').hidden = !cell;
    element('change').hidden = !cell || !GIVEN.includes(cell.array);
    element('hint').textContent = hint();
    element('why').classList.toggle('idle', !cell);
    const both = cell && problem.method1[cell.array] ? pairs(state, cell) : null;
    element('same-count').textContent = both ? both.count : say('same_none');
    element('same-table').replaceChildren(...both ? both.table : []);
    if (!cell) {
        const middle = {array: 'delta_out', index: Math.floor(problem.inSize / 2)};
        element('chosen').textContent = '';
        element('sum').replaceChildren(
            ...state.values.delta_out.length ? [make('p', {}, say('why_example'), ' ', link(problem, middle))] : []);
        return;
    }
    const from = sources(problem, cell), into = targets(problem, cell);
    for (const [mark, cells] of /** @type {[string, Cell[]][]} */ ([
             ['from', from.near], ['far-from', from.far], ['into', into.near], ['far-into', into.far], ['here', [cell]],
             ...pinned ? [['pinned', [cell]]] : []
         ]))
        for (const lit of cells)
            element(idOf(lit)).classList.add(mark);
    const notes = [GIVEN.includes(cell.array) ? say('why_given') : '', pinned ? say('why_pinned') : ''];
    element('chosen').textContent = `${title(problem, cell)} = ${show(state.values[cell.array][cell.index])}${
        notes.some(note => note) ? ` (${notes.filter(note => note).join(say('comma'))})` : ''}`;
    element('sum').replaceChildren(...why(state, cell));
    numberField().value = String(state.values[cell.array][cell.index]);
}

/** @param {Cell | null} cell @param {boolean} pinned */
function choose(cell, pinned) {
    state.cell = cell;
    state.pinned = pinned;
    paint();
}

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

// ---- the whole page ----

/** Whether this page's engine and the program agree on all of the program's numbers. */
function provenance() {
    if (state.changed || state.name !== OWN_NAME)
        return say('what_if_numbers');
    let cells = 0, count = 0;
    for (const array of ARRAYS)
        data.arrays[array].values.forEach((value, i) => {
            cells++;
            count += Number(!Object.is(value + 0, state.values[array][i] + 0));
        });
    return say(count ? 'engine_differs' : 'from_library', {cells, count, difference: data.difference});
}

/** What the page says of its problem. */
function renderProblem() {
    const {problem, name, changed} = state, original = name === OWN_NAME;
    element('words').textContent = describe(problem.conv);
    element('problem').replaceChildren(say('made_of'), ' ', make('code', {}, data.problem));
    const notes = [];
    if (original && data.whole)
        notes.push(say('cropped', {whole: data.whole}));
    if (original && data.source)
        notes.push(say('files', {input: data.source.input || '', weight: data.source.weight || ''}),
                   data.source.grad_output ? say('files_gradient', {grad_output: data.source.grad_output})
                                           : say('files_ones'));
    else if (!changed)
        notes.push(say('counting'));
    element('numbers').textContent = notes.join(' ');
    element('origin').textContent = provenance();
    const letters = [
        ...ofRank(IMAGE, problem.conv.spatial_dims), 'k', ...ofRank(TAP, problem.conv.spatial_dims),
        ...ofRank(PIXEL, problem.conv.spatial_dims)
    ];
    element('letters').textContent = say(`letters_${problem.conv.spatial_dims}`, {letters: letters.join(' ')});
    /** @type {HTMLSelectElement} */ (element('example')).value = name;
}

/** Draws everything anew: other shapes, or other words. */
function render() {
    const scroller = (/** @type {string} */ array) => document.querySelector(`[data-array=${array}] .planes`);
    const scrolled = ARRAYS.map(array => /** @type {[string, number]} */ ([array, scroller(array)?.scrollLeft || 0]));
    document.documentElement.lang = chosen('language');
    document.title = `${say('title')}: ${data.problem}`;
    for (const place of document.querySelectorAll('[data-word]'))
        place.textContent = say(place.getAttribute('data-word') || '');
    for (const place of document.querySelectorAll('[data-label]'))
        place.setAttribute('aria-label', say(place.getAttribute('data-label') || ''));
    renderProblem();
    for (const place of document.querySelectorAll('[data-array]'))
        place.replaceChildren(drawArray(state, place.getAttribute('data-array') || ''));
    for (const film of films)
        film.draw(state);
    for (const [array, at] of scrolled) {
        const planes = scroller(array);
        if (planes)
            planes.scrollLeft = at;
    }
    paint();
}

/** Writes the numbers into the arrays that stand there. */
function renumber() {
    renderProblem();
    for (const array of ARRAYS)
        state.values[array].forEach((value, index) => {
            const td = element(idOf({array, index})), text = brief(value);
            if (td.textContent !== text)
                td.textContent = text;
        });
    for (const film of films)
        film.draw(state);
    paint();
}

/**
 * Takes another problem, with numbers for it; those that do not fit become 0, 1, 2, ...
 * @param {string} name @param {Conv} conv @param {Record<string, number[]>} given
 */
function take(name, conv, given) {
    const problem = new Problem(conv, data.page_limit);
    for (const array of GIVEN)
        if (!given[array] || String(problem.shapes[array]) !== String(state.problem.shapes[array]))
            given[array] = counting(problem.shapes[array]);
    state.values = problem.evaluate(given);
    state.problem = problem;
    state.name = name;
    if (state.cell && state.cell.index >= product(problem.shapes[state.cell.array]))
        state.cell = null;
    state.pinned = state.pinned && !!state.cell;
}

/** @returns {Record<string, number[]>} copies of what is given */
function givenNow() { return Object.fromEntries(GIVEN.map(array => [array, [...state.values[array]]])); }

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

/** @param {string} name goes to a problem of the list */
function goTo(name) {
    clearRefusals();
    state.changed = false;
    state.cell = null;
    state.pinned = false;
    for (const film of films)
        film.step = 0;
    if (name === OWN_NAME) {
        state.problem = new Problem(data.conv);
        take(name, data.conv, Object.fromEntries(GIVEN.map(array => [array, [...data.arrays[array].values]])));
    } else {
        take(name, EXAMPLES[name], {});
    }
    if (isWide() && state.values.delta_out.length) // a first answer, where the panel hides nothing
        state.cell = {array: 'delta_out', index: Math.floor(state.problem.inSize / 2)};
    fillForm(state.problem.conv);
    render();
}

// ---- what the reader does ----

element('example').addEventListener('change', () => {
    const name = chosen('example');
    if (name !== 'own') {
        goTo(name);
        return;
    }
    element('own').setAttribute('open', '');
    field('in').focus();
    field('in').select();
});
element('reset').addEventListener('click', () => goTo(OWN_NAME));
element('what-if').addEventListener('submit', event => {
    event.preventDefault();
    attempt('refusal', () => {
        take('own', readForm(state.problem.conv), givenNow());
        state.changed = true;
        fillForm(state.problem.conv);
        render();
    });
});
element('show-film').addEventListener('click', () => {
    const film = films.find(f => f.kind === 'col2img');
    if (!film || !film.playButton)
        return;
    film.root.scrollIntoView({block: isWide() ? 'center' : 'start'});
    film.playButton.focus({preventScroll: true});
    film.go(0);
    film.play();
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
        take(state.name, state.problem.conv, given);
        state.changed = true;
        renumber();
        focusCell(cell);
    });
});
element('close').addEventListener('click', () => {
    choose(null, false);
    element('why').focus({preventScroll: true});
});

/**
 * Shows the cell that an event is about, unless one is kept.
 * @param {Event} event
 */
function look(event) {
    const cell = cellOf(event.target);
    if (!cell || state.pinned || state.tried && state.cell && idOf(cell) === idOf(state.cell))
        return;
    state.tried = true;
    choose(cell, false);
}

// Not pointerover, which also comes when the page moves under a pointer that rests; a finger that moves scrolls.
document.addEventListener('pointermove', event => {
    if (event.pointerType !== 'touch')
        look(event);
});
document.addEventListener('focusin', look);

/**
 * Keeps a cell, or lets it go if it is kept.
 * @param {Cell} cell
 */
function toggle(cell) {
    state.tried = true;
    choose(cell, !(state.pinned && state.cell && idOf(state.cell) === idOf(cell)));
}

document.addEventListener('click', event => {
    const named = event.target instanceof Element ? event.target.closest('[data-cell]') : null,
          cell = cellOf(event.target);
    if (named) {
        const to = cellOfId(named.getAttribute('data-cell') || '');
        state.tried = true;
        choose(to, state.pinned);
        focusCell(to);
    } else if (cell) {
        toggle(cell);
    }
});

document.addEventListener('keydown', event => {
    if (event.key === 'Escape') {
        choose(state.cell, false);
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
        state.tried = true;
        choose(cell, true);
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
if (OWN_NAME !== 'program')
    element('example').querySelector('[value=program]')?.remove();
goTo(OWN_NAME);
