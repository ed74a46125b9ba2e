/**
 * Every array of both methods, cell by cell: which cells each is made of, and its value.
 *
 * A cell's recipe is a sum of products of other cells; the values, the sums that the page
 * shows, and what lights up all come from the recipes.  cli/explain.c computes the same
 * numbers in the same order of additions; the tests hold the two together, bit for bit.
 */
'use strict';

/**
 * @typedef {{spatial_dims: number, batch: number, in_channels: number, out_channels: number, groups: number,
 *     in: number[], filter: number[], stride: number[], dilation: number[],
 *     pad_begin: number[], pad_end: number[]}} Conv
 * @typedef {{shape: number[], values: number[]}} Tensor
 * @typedef {{array: string, index: number}} Cell
 * @typedef {{terms: Cell[][], mean: boolean, zero: string}} Recipe zero: why it has no terms, a word of WORDS
 * @typedef {(index: number) => Recipe} Recipes
 */

/** The arrays, in the order in which they are made. */
const ARRAYS = [
    'x', 'w', 'delta_in', 'col_x', 'col_w', 'y', 'delta_in_2d', 'dB', 'dW_col', 'dW', 'dcol', 'delta_out',
    'input_padded', 'dz_stride_1', 'dz_padded', 'rot_weights'
];
const GIVEN = ARRAYS.slice(0, 3);

/** @param {number[]} sizes */
function product(sizes) { return sizes.reduce((a, b) => a * b, 1); }

/** @param {number} index @param {number[]} size @returns {number[]} the coordinates of a row-major index */
function split(index, size) {
    const at = new Array(size.length);
    for (let axis = size.length - 1; axis >= 0; axis--) {
        at[axis] = index % size[axis];
        index = Math.floor(index / size[axis]);
    }
    return at;
}

/** @param {number[]} at @param {number[]} size @returns {number} the row-major index, or -1 outside */
function join(at, size) {
    let index = 0;
    for (let axis = 0; axis < size.length; axis++) {
        if (at[axis] < 0 || at[axis] >= size[axis])
            return -1;
        index = index * size[axis] + at[axis];
    }
    return index;
}

/** A sentence for the reader: a word of WORDS with what it names. */
class Refusal extends Error {
    /** @param {string} word @param {Record<string, string | number>} names */
    constructor(word, names) {
        super(word);
        this.word = word;
        this.names = names;
    }
}

/** A problem: sizes, shapes of all arrays, and recipes of all cells. */
class Problem {
    /** @param {Conv} conv @param {number} most elements that all arrays together may have */
    constructor(conv, most = Infinity) {
        this.conv = conv;
        const axes = Array.from({length: conv.spatial_dims}, (_, axis) => axis);
        this.N = conv.batch;
        this.C = conv.in_channels;
        this.K = conv.out_channels;
        if (this.C % conv.groups || this.K % conv.groups)
            throw new Refusal('bad_groups', {groups: conv.groups, C: this.C, K: this.K});
        this.Cg = this.C / conv.groups;
        this.Kg = this.K / conv.groups;
        /** Extent of the dilated filter. */
        this.extent = axes.map(a => (conv.filter[a] - 1) * conv.dilation[a] + 1);
        this.padded = axes.map(a => conv.in[a] + conv.pad_begin[a] + conv.pad_end[a]);
        /** Output size if stride were 1. */
        this.dense = axes.map(a => this.padded[a] - this.extent[a] + 1);
        for (const a of axes)
            if (this.dense[a] < 1)
                throw new Refusal('too_long', {axis: a, extent: this.extent[a], padded: this.padded[a]});
        this.out = axes.map(a => Math.floor((this.dense[a] - 1) / conv.stride[a]) + 1);
        this.full = axes.map(a => conv.in[a] + this.extent[a] - 1);
        this.inSize = product(conv.in);
        this.filterSize = product(conv.filter);
        this.outSize = product(this.out);
        this.rows = this.N * this.outSize;
        this.taps = this.C * this.filterSize;
        /** @type {Record<string, number[]>} */
        this.shapes = {
            x: [this.N, this.C, ...conv.in],
            w: [this.K, this.Cg, ...conv.filter],
            delta_in: [this.N, this.K, ...this.out],
            col_x: [this.rows, this.taps],
            col_w: [this.taps, this.K],
            y: [this.N, this.K, ...this.out],
            delta_in_2d: [this.rows, this.K],
            dB: [this.K, 1],
            dW_col: [this.taps, this.K],
            dW: [this.K, this.Cg, ...conv.filter],
            dcol: [this.rows, this.taps],
            delta_out: [this.N, this.C, ...conv.in],
            input_padded: [this.N, this.C, ...this.padded],
            dz_stride_1: [this.N, this.K, ...this.dense],
            dz_padded: [this.N, this.K, ...this.full],
            rot_weights: [this.K, this.Cg, ...conv.filter]
        };
        const cells = ARRAYS.reduce((sum, name) => sum + product(this.shapes[name]), 0);
        if (cells > most)
            throw new Refusal('too_large', {cells, most});
        /** @type {Record<string, Recipes>} method 2, by which all arrays are made */
        this.method2 = this.recipesOfMethod2();
        /** @type {Record<string, Recipes>} method 1, the other way to three of them */
        this.method1 = this.recipesOfMethod1();
    }

    /**
     * The input element that an output pixel and a tap meet, or -1 for padding.
     * @param {number} pixel @param {number} tap
     */
    meet(pixel, tap) {
        const {conv} = this, o = split(pixel, this.out), t = split(tap, conv.filter);
        return join(o.map((_, a) => o[a] * conv.stride[a] - conv.pad_begin[a] + t[a] * conv.dilation[a]), conv.in);
    }

    /**
     * The element of x or delta_out that cell (row, j) of a column matrix stands for, or -1.
     * @param {number} row @param {number} j
     */
    place(row, j) {
        const at = this.meet(row % this.outSize, j % this.filterSize);
        return at < 0 ? -1
                      : (Math.floor(row / this.outSize) * this.C + Math.floor(j / this.filterSize)) * this.inSize + at;
    }

    /**
     * The weight that cell (j, k) of a weight matrix stands for, or -1 in other groups.
     * @param {number} j @param {number} k
     */
    weightAt(j, k) {
        const c = Math.floor(j / this.filterSize);
        if (Math.floor(c / this.Cg) !== Math.floor(k / this.Kg))
            return -1;
        return (k * this.Cg + c % this.Cg) * this.filterSize + j % this.filterSize;
    }

    /** @returns {Record<string, Recipes>} */
    recipesOfMethod2() {
        const {rows, taps, K, outSize, filterSize} = this;
        /** @type {(array: string, index: number, zero: string) => Recipe} */
        const copy = (array, index, zero) =>
            ({terms: index < 0 ? [] : [[{array, index}]], mean: false, zero: index < 0 ? zero : ''});
        /** @type {(count: number, term: (l: number) => Cell[], mean?: boolean) => Recipe} */
        const sum = (count, term, mean = false) =>
            ({terms: Array.from({length: count}, (_, l) => term(l)), mean, zero: ''});
        /** @type {(row: number, k: number) => number} the element of delta_in or y */
        const pixel = (row, k) => (Math.floor(row / outSize) * K + k) * outSize + row % outSize;
        return {
            col_x: i => copy('x', this.place(Math.floor(i / taps), i % taps), 'padding'),
            col_w: i => copy('w', this.weightAt(Math.floor(i / K), i % K), 'other_group'),
            y: i => {
                const k = Math.floor(i / outSize) % K;
                const row = Math.floor(i / outSize / K) * outSize + i % outSize;
                return sum(taps, j => [{array: 'col_x', index: row * taps + j}, {array: 'col_w', index: j * K + k}]);
            },
            delta_in_2d: i => copy('delta_in', pixel(Math.floor(i / K), i % K), ''),
            dB: k => sum(rows, row => [{array: 'delta_in_2d', index: row * K + k}], true),
            dW_col: i => {
                const j = Math.floor(i / K), k = i % K;
                if (this.weightAt(j, k) < 0)
                    return {terms: [], mean: false, zero: 'other_group'};
                return sum(rows,
                           row => [{array: 'col_x', index: row * taps + j}, {array: 'delta_in_2d', index: row * K + k}],
                           true);
            },
            dW: i => {
                const k = Math.floor(i / filterSize / this.Cg), c = Math.floor(i / filterSize) % this.Cg;
                const j = (Math.floor(k / this.Kg) * this.Cg + c) * filterSize + i % filterSize;
                return copy('dW_col', j * K + k, '');
            },
            dcol: i => {
                const row = Math.floor(i / taps), j = i % taps;
                return sum(K, k => [{array: 'delta_in_2d', index: row * K + k}, {array: 'col_w', index: j * K + k}]);
            },
            delta_out: i => {
                const terms = this.whoPlaces()[i].map(index => [{array: 'dcol', index}]);
                return {terms, mean: false, zero: terms.length ? '' : 'unused'};
            },
            input_padded: i =>
                this.moved(i, this.padded, 'x', this.conv.in, this.conv.pad_begin.map(p => -p), null, 'padding'),
            dz_stride_1: i => this.moved(i, this.dense, 'delta_in', this.out, null, this.conv.stride, 'stuffed'),
            dz_padded: i => this.moved(i, this.full, 'dz_stride_1', this.dense,
                                       this.extent.map((e, a) => this.conv.pad_begin[a] - e + 1), null, 'padding'),
            rot_weights: i => copy('w', i - i % filterSize + filterSize - 1 - i % filterSize, '')
        };
    }

    /** @returns {Record<string, Recipes>} */
    recipesOfMethod1() {
        const {conv, K, C, Cg, Kg, filterSize} = this;
        const paddedSize = product(this.padded), denseSize = product(this.dense), fullSize = product(this.full);
        /** @type {(from: number[], step: number[], tap: number, size: number[]) => number} */
        const reach = (from, step, tap, size) => {
            const t = split(tap, conv.filter);
            return join(from.map((f, a) => f * step[a] + t[a] * conv.dilation[a]), size);
        };
        const ones = conv.stride.map(() => 1);
        return {
            y: i => {
                const k = Math.floor(i / this.outSize) % K, n = Math.floor(i / this.outSize / K);
                const at = split(i % this.outSize, this.out), terms = [];
                for (let c = 0; c < Cg; c++)
                    for (let tap = 0; tap < filterSize; tap++)
                        terms.push([
                            {
                                array: 'input_padded',
                                index: (n * C + Math.floor(k / Kg) * Cg + c) * paddedSize +
                                           reach(at, conv.stride, tap, this.padded)
                            },
                            {array: 'w', index: (k * Cg + c) * filterSize + tap}
                        ]);
                return {terms, mean: false, zero: ''};
            },
            dW: i => {
                const k = Math.floor(i / filterSize / Cg), c = Math.floor(i / filterSize) % Cg, terms = [];
                for (let n = 0; n < this.N; n++)
                    for (let p = 0; p < denseSize; p++)
                        terms.push([
                            {
                                array: 'input_padded',
                                index: (n * C + Math.floor(k / Kg) * Cg + c) * paddedSize +
                                           reach(split(p, this.dense), ones, i % filterSize, this.padded)
                            },
                            {array: 'dz_stride_1', index: (n * K + k) * denseSize + p}
                        ]);
                return {terms, mean: true, zero: ''};
            },
            delta_out: i => {
                const c = Math.floor(i / this.inSize) % C, n = Math.floor(i / this.inSize / C),
                      group = Math.floor(c / Cg);
                const at = split(i % this.inSize, conv.in), terms = [];
                for (let k = group * Kg; k < (group + 1) * Kg; k++)
                    for (let tap = 0; tap < filterSize; tap++)
                        terms.push([
                            {array: 'dz_padded', index: (n * K + k) * fullSize + reach(at, ones, tap, this.full)},
                            {array: 'rot_weights', index: (k * Cg + c % Cg) * filterSize + tap}
                        ]);
                return {terms, mean: false, zero: ''};
            }
        };
    }

    /**
     * The recipe of element i of a box that is a copy of another's (at + offset) / step, and zero elsewhere.
     * @param {number} i @param {number[]} size @param {string} array @param {number[]} from
     * @param {number[] | null} offset @param {number[] | null} step @param {string} zero @returns {Recipe}
     */
    moved(i, size, array, from, offset, step, zero) {
        const elements = product(size);
        const at = split(i % elements, size).map((p, a) => (p + (offset ? offset[a] : 0)) / (step ? step[a] : 1));
        const index = at.every(Number.isInteger) ? join(at, from) : -1;
        if (index < 0)
            return {terms: [], mean: false, zero};
        return {terms: [[{array, index: Math.floor(i / elements) * product(from) + index}]], mean: false, zero: ''};
    }

    /**
     * For each element of delta_out the cells of dcol that are added to it, row after row.
     * @returns {number[][]}
     */
    whoPlaces() {
        if (!this.placing) {
            /** @type {number[][]} */
            this.placing = Array.from({length: product(this.shapes.delta_out)}, () => []);
            for (let row = 0; row < this.rows; row++)
                for (let j = 0; j < this.taps; j++) {
                    const at = this.place(row, j);
                    if (at >= 0)
                        this.placing[at].push(row * this.taps + j);
                }
        }
        return this.placing;
    }

    /**
     * What a cell is made of, by each method that makes it.
     * @param {Cell} cell @returns {{method: number, recipe: Recipe}[]}
     */
    recipes(cell) {
        const all = [];
        if (this.method2[cell.array])
            all.push({method: 2, recipe: this.method2[cell.array](cell.index)});
        if (this.method1[cell.array])
            all.push({method: 1, recipe: this.method1[cell.array](cell.index)});
        return all;
    }

    /**
     * The recipe of a cell by one method; what method 1 has none for is method 2's.
     * @param {number} method @param {Cell} cell
     */
    recipeBy(method, cell) {
        return (method === 1 && this.method1[cell.array] || this.method2[cell.array])(cell.index);
    }

    /**
     * The cells that a cell flows into.
     * @param {Cell} cell @returns {Cell[]}
     */
    flowsInto(cell) {
        if (!this.flows) {
            /** @type {Record<string, Cell[][]>} */
            const flows = {};
            for (const name of ARRAYS)
                flows[name] = Array.from({length: product(this.shapes[name])}, () => []);
            for (const array of ARRAYS)
                for (let index = 0; index < flows[array].length; index++) {
                    const to = {array, index};
                    for (const {recipe} of this.recipes(to))
                        for (const term of recipe.terms)
                            for (const from of term) {
                                const into = flows[from.array][from.index];
                                if (into[into.length - 1] !== to)
                                    into.push(to);
                            }
                }
            this.flows = flows;
        }
        return this.flows[cell.array][cell.index];
    }

    /**
     * All arrays from the three that are given.
     * @param {Record<string, number[]>} given @returns {Record<string, number[]>}
     */
    evaluate(given) {
        /** @type {Record<string, number[]>} */
        const values = {};
        for (const name of ARRAYS) {
            if (GIVEN.includes(name)) {
                values[name] = given[name];
                continue;
            }
            values[name] =
                Array.from({length: product(this.shapes[name])}, (_, i) => this.valueOf(this.method2[name](i), values));
        }
        return values;
    }

    /** @param {Recipe} recipe @param {Record<string, number[]>} values */
    valueOf(recipe, values) {
        let sum = 0;
        for (const term of recipe.terms)
            sum += term.reduce((all, cell) => all * values[cell.array][cell.index], 1);
        return recipe.mean && this.N ? sum * (1 / this.N) : sum;
    }

    /**
     * The products of given cells that a cell is the sum of, by one method, with the cells that they come through.
     * @param {Cell} cell @param {number} method @returns {{given: Cell[], via: Cell[]}[]}
     */
    products(cell, method) {
        if (GIVEN.includes(cell.array))
            return [{given: [cell], via: []}];
        return this.recipeBy(method, cell)
            .terms.flatMap(
                term =>
                    term.reduce((/** @type {{given: Cell[], via: Cell[]}[]} */ all, factor) => all.flatMap(
                                    a => this.products(factor, method)
                                             .map(b => ({given: [...a.given, ...b.given], via: [...a.via, ...b.via]}))),
                                [{given: [], via: term}]));
    }
}

/**
 * An array of 0, 1, 2, ... as the textbook's examples have.
 * @param {number[]} shape
 */
function counting(shape) { return Array.from({length: product(shape)}, (_, i) => i); }
