/** Why a cell has its value: its sums, the cells behind them, and what both methods have in common. */
'use strict';

const MOST_NAMES = 4, MOST_NUMBERS = 60, MOST_PRODUCTS = 40; // of a sum, spelled out

/**
 * A cell's name, which leads to it.
 * @param {Problem} problem @param {Cell} cell
 */
function link(problem, cell) {
    return make('button', {type: 'button', class: 'name', 'data-cell': idOf(cell)}, title(problem, cell));
}

/**
 * The sum of a recipe.
 * @param {Problem} problem @param {Recipe} recipe @param {number} most @param {(cell: Cell) => Node | string} spellCell
 * @returns {(Node | string)[]}
 */
function spell(problem, recipe, most, spellCell) {
    const {terms} = recipe, divided = recipe.mean && problem.N > 1, together = divided && terms.length > 1;
    /** @type {(Node | string)[]} */
    const parts = together ? ['('] : [];
    terms.slice(0, most).forEach((term, i) => {
        parts.push(i ? ' + ' : '');
        term.forEach((cell, j) => parts.push(j ? '·' : '', spellCell(cell)));
    });
    if (terms.length > most)
        parts.push(` + ${say('why_more', {count: terms.length - most})}`);
    parts.push(together ? ')' : '', divided ? ` / ${problem.N}` : '');
    return parts;
}

/**
 * The cells that are reached from some, step by step: the first steps are near, the others far.
 * @param {Cell} begin @param {(cell: Cell) => Cell[]} next @returns {{near: Cell[], far: Cell[]}}
 */
function reach(begin, next) {
    const seen = new Set([idOf(begin)]);
    const step = (/** @type {Cell[]} */ edge) => edge.flatMap(next).filter(cell => {
        const isNew = !seen.has(idOf(cell));
        seen.add(idOf(cell));
        return isNew;
    });
    const near = step([begin]), far = [];
    for (let edge = step(near); edge.length; edge = step(edge))
        far.push(...edge);
    return {near, far};
}

/** @param {Problem} problem @param {Cell} cell what it is made of, by all methods */
function sources(problem, cell) {
    return reach(cell, from => problem.recipes(from).flatMap(r => r.recipe.terms.flat()));
}

/** @param {Problem} problem @param {Cell} cell where it goes */
function targets(problem, cell) { return reach(cell, to => problem.flowsInto(to)); }

/**
 * Small copies of the arrays of some cells.
 * @param {Shown} shown @param {Cell[]} cells @param {string} mark
 */
function copies(shown, cells, mark) {
    /** @type {Map<string, Map<number, string>>} */
    const arrays = new Map();
    for (const {array, index} of cells)
        arrays.set(array, (arrays.get(array) || new Map()).set(index, mark));
    return [...arrays].map(([array, marks]) => miniature(shown, array, marks));
}

/**
 * Small copies, the low ones beside the high ones; what they show stands in the sum already.
 * @param {(Node | string)[]} children
 */
function line(...children) { return make('div', {class: 'line', 'aria-hidden': 'true'}, ...children); }

/**
 * One way to a cell: its sum, and small copies of the arrays that it is made of.
 * @param {Shown} shown @param {Cell} cell @param {number} method @param {Recipe} recipe
 * @param {Set<string>} told ids of the far cells that stand there already
 */
function way(shown, cell, method, recipe, told) {
    const {problem, values} = shown;
    const label = problem.method1[cell.array] ? [make('span', {class: 'method'}, say('why_method', {method}))] : [];
    const result = method === 2 ? [make('span', {class: 'arrow'}, '→'), ...copies(shown, [cell], 'here')] : [];
    if (!recipe.terms.length)
        return [make('p', {}, ...label, recipe.zero ? say(`why_${recipe.zero}`) : '0'), line(...result)];
    const numbers = spell(problem, recipe, MOST_NUMBERS, c => factor(values[c.array][c.index]));
    const {near, far} =
        reach(cell, from => GIVEN.includes(from.array) ? [] : problem.recipeBy(method, from).terms.flat());
    const others = far.filter(c => !told.has(idOf(c)));
    for (const c of others)
        told.add(idOf(c));
    return [
        make('p', {}, ...label,
             make('span', {class: 'numbers'}, `${show(problem.valueOf(recipe, values))} = `, ...numbers),
             make('br', {}),
             make('span', {class: 'quiet'}, '= ',
                  ...spell(problem, recipe, MOST_NAMES / recipe.terms[0].length, c => link(problem, c)))),
        line(...copies(shown, near, 'from'), ...result, ...copies(shown, others, 'far-from'))
    ];
}

/**
 * All that the panel says of a cell.
 * @param {Shown} shown @param {Cell} cell @returns {HTMLElement[]}
 */
function why(shown, cell) {
    const {problem} = shown, given = GIVEN.includes(cell.array);
    const told = new Set(), ways = given ? [] : problem.recipes(cell);
    const lines = ways.flatMap(({method, recipe}) => way(shown, cell, method, recipe, told));
    const into = problem.flowsInto(cell);
    if (given)
        lines.push(line(...copies(shown, [cell], 'here'), make('span', {class: 'arrow'}, '→'),
                        ...copies(shown, into, 'into')));
    if (into.length)
        lines.push(make('p', {class: 'quiet'}, say('why_flows'),
                        ...into.slice(0, MOST_NAMES).flatMap(c => [' ', link(problem, c)]),
                        into.length > MOST_NAMES ? ` ${say('why_more', {count: into.length - MOST_NAMES})}` : ''));
    return lines;
}

// ---- why both methods are the same ----

/**
 * How many products a cell's sum has when written out, those with zeros that stand there too.
 * @param {Problem} problem @param {Cell} cell @param {number} method @returns {number}
 */
function attempts(problem, cell, method) {
    if (GIVEN.includes(cell.array))
        return 1;
    const {terms, zero} = problem.recipeBy(method, cell);
    if (!terms.length)
        return Number(['padding', 'stuffed', 'other_group'].includes(zero));
    return terms.reduce((sum, term) => sum + term.reduce((all, f) => all * attempts(problem, f, method), 1), 0);
}

/**
 * The sentence and the table that pair the products of both methods.
 * @param {Shown} shown @param {Cell} cell @returns {{count: string, table: HTMLElement[]}}
 */
function pairs({problem, values}, cell) {
    const method2 = problem.products(cell, 2), method1 = problem.products(cell, 1);
    const names = (/** @type {Cell[]} */ cells) => cells.map(c => title(problem, c));
    const key = (/** @type {Cell[]} */ given) => names(given).sort().join(' · ');
    const through = (/** @type {Cell[]} */ via) => names(via.filter(c => !GIVEN.includes(c.array))).join(', ');
    const partner = new Map(method1.map(p => [key(p.given), p]));
    const count = say('same_count', {
        cell: title(problem, cell),
        count: method2.filter(p => partner.has(key(p.given))).length,
        zeros: attempts(problem, cell, 1) - method1.length,
        zeros2: attempts(problem, cell, 2) - method2.length
    });
    const row = (/** @type {string} */ tag, /** @type {string[]} */ texts) =>
        make('tr', {}, ...texts.map(text => make(tag, tag === 'th' ? {scope: 'col'} : {}, text)));
    const rows = method2.slice(0, MOST_PRODUCTS).map(p => {
        const other = partner.get(key(p.given)), value = p.given.reduce((all, c) => all * values[c.array][c.index], 1);
        return row('td', [key(p.given), show(value), through(p.via), other ? through(other.via) : '-']);
    });
    const heads = ['same_product', 'same_value', 'same_method2', 'same_method1'].map(word => say(word));
    const more = method2.length - MOST_PRODUCTS;
    return {
        count: cell.array === 'dW' && problem.N > 1 ? `${count} ${say('same_mean', {N: problem.N})}` : count,
        table: [
            make('table', {class: 'products'}, row('th', heads), ...rows),
            ...more > 0 ? [make('p', {}, say('same_more', {count: more}))] : []
        ]
    };
}
