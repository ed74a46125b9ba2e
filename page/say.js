/** What the page says: words in the chosen language, names of arrays and cells, numbers, index letters. */
'use strict';

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

/** @param {number} value */
function minus(value) { return String(value).replace('-', '−'); }

/**
 * A number as C's %.8g tells it, nearly: in sums, where digits matter.
 * @param {number} value
 */
function show(value) { return minus(Number(value.toPrecision(8))); }

/**
 * The same as a factor.
 * @param {number} value
 */
function factor(value) { return value < 0 ? `(${show(value)})` : show(value); }

/**
 * A number in the cell of an array: whole numbers as they are, others with three digits, to keep arrays narrow.
 * @param {number} value
 */
function brief(value) { return Number.isInteger(value) ? show(value) : minus(Number(value.toPrecision(3))); }

// ---- index letters: of each array's axes, the same everywhere ----

const IMAGE = ['d', 'h', 'w'], TAP = ['t', 'r', 's'], PIXEL = ['o', 'p', 'q'];

/** @param {string[]} letters @param {number} dims @returns {string[]} those of the rank */
function ofRank(letters, dims) { return letters.slice(3 - dims); }

/**
 * The letters of a tensor's axes.
 * @param {string} array @param {number} dims
 */
function lettersOf(array, dims) {
    if (['w', 'dW', 'rot_weights'].includes(array))
        return ['k', 'c', ...ofRank(TAP, dims)];
    if (['x', 'delta_out', 'input_padded'].includes(array))
        return ['n', 'c', ...ofRank(IMAGE, dims)];
    return ['n', 'k', ...ofRank(PIXEL, dims)];
}

/**
 * Where something is, such as n0 c1.
 * @param {number[]} at @param {string[]} letters
 */
function coordinates(at, letters) { return at.map((i, axis) => letters[axis] + i).join(' '); }

/** @param {Problem} problem @param {number} row @returns {string} the output pixel of a row of a column matrix */
function pixelOf(problem, row) {
    return coordinates(split(row, [problem.N, ...problem.out]), ['n', ...ofRank(PIXEL, problem.conv.spatial_dims)]);
}

/** @param {Problem} problem @param {number} j @returns {string} the channel and tap of a column */
function tapOf(problem, j) {
    const {conv, C} = problem;
    return coordinates(split(j, [C, ...conv.filter]), ['c', ...ofRank(TAP, conv.spatial_dims)]);
}

/** @param {Problem} problem @param {Cell} cell @returns {string} such as delta_out[1][0][1][1] */
function title(problem, cell) {
    return nameOf(cell.array) + split(cell.index, problem.shapes[cell.array]).map(i => `[${i}]`).join('');
}

/**
 * The formula that made an array, with the letters and the numbers of the problem: col_x[(n, p, q), (c, r, s)] =
 * x[n, c, 2p - 1 + r, 2q - 1 + s].
 * @param {Problem} problem @param {string} array
 */
function formula(problem, array) {
    const {conv} = problem, dims = conv.spatial_dims;
    const times = (/** @type {number} */ by, /** @type {string} */ letter) => by === 1 ? letter : `${by}${letter}`;
    const axes = (/** @type {(axis: number) => string} */ of) => conv.in.map((_, axis) => of(axis)).join(', ');
    const tap = ofRank(TAP, dims), pixel = ofRank(PIXEL, dims);
    return fill(FORMULAS[array], {
        in: ofRank(IMAGE, dims).join(', '),
        tap: tap.join(', '),
        out: pixel.join(', '),
        meet: axes(a => `${times(conv.stride[a], pixel[a])}${conv.pad_begin[a] ? ` − ${conv.pad_begin[a]}` : ''} + ${
                       times(conv.dilation[a], tap[a])}`),
        stuffed: axes(a => times(conv.stride[a], pixel[a])),
        turned: axes(a => `${conv.filter[a] - 1} − ${tap[a]}`)
    });
}

// ---- a problem in words ----

/** @param {number} number @returns {string} as a word, if it is small */
function count(number) { return say('counts').split(',')[number] || String(number); }

/**
 * A word for one or for many.
 * @param {string} key @param {number} number @param {Record<string, string | number>} names
 */
function plural(key, number, names) {
    const forms = WORDS[chosen('language')][key].split('|');
    return fill(number === 1 ? forms[0] : forms[forms.length - 1], {count: count(number), ...names});
}

/** @param {number[]} axes @returns {string} one number if all are the same */
function same(axes) { return axes.every(n => n === axes[0]) ? String(axes[0]) : axes.join(', '); }

/**
 * "Two images of 3×3 with three channels, two filters of 2×2, stride 2."
 * @param {Conv} conv
 */
function describe(conv) {
    const padding = [...conv.pad_begin, ...conv.pad_end];
    const parts = [
        plural(`images_${conv.spatial_dims}`, conv.batch, {size: conv.in.join('×')}) +
            (conv.in_channels > 1 ? plural('with_channels', conv.in_channels, {}) : ''),
        plural('filters', conv.out_channels, {size: conv.filter.join('×')})
    ];
    const extras = /** @type {[string, number[], number][]} */ ([
        ['stride', conv.stride, 1], ['padding', padding, 0], ['dilation', conv.dilation, 1],
        ['groups', [conv.groups], 1]
    ]);
    for (const [word, axes, standard] of extras)
        if (axes.some(n => n !== standard))
            parts.push(say(`with_${word}`, {number: same(axes)}) +
                       (axes.length > 1 && word === 'padding' && same(axes).includes(',') ? say('begins_first') : ''));
    const text = parts.join(say('comma'));
    return text[0].toUpperCase() + text.slice(1) + say('stop');
}
