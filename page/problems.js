/** The problems to go on to, and the form for the reader's own. */
'use strict';

const MOST_LENGTH = 1000000; // of a size, stride, padding or dilation

/**
 * A square problem of the plane.
 * @param {Partial<Conv>} sizes
 * @returns {Conv}
 */
function planar(sizes) {
    return {
        spatial_dims: 2,
        batch: 1,
        in_channels: 1,
        out_channels: 1,
        groups: 1,
        in: [3, 3],
        filter: [2, 2],
        stride: [1, 1],
        dilation: [1, 1],
        pad_begin: [0, 0],
        pad_end: [0, 0],
        ...sizes
    };
}

/**
 * By their names in the list; simple and complex are the textbook's.
 * @type {Record<string, Conv>}
 */
const EXAMPLES = {
    simple: planar({}),
    complex: planar({batch: 2, in_channels: 3, out_channels: 2}),
    stride: planar({in : [5, 5], filter: [3, 3], stride: [2, 2]}),
    padding: planar({in : [3, 3], filter: [3, 3], pad_begin: [1, 1], pad_end: [1, 1]})
};

/** @param {Conv} conv @returns {string | undefined} the example that it is */
function exampleOf(conv) {
    const key = (/** @type {Conv} */ c) => JSON.stringify(Object.entries(c).sort());
    return Object.keys(EXAMPLES).find(name => key(EXAMPLES[name]) === key(conv));
}

/** @param {string} name @returns {HTMLInputElement} */
function field(name) { return /** @type {HTMLInputElement} */ (element('what-if').querySelector(`[name=${name}]`)); }

/** @param {Conv} conv shows it in the form */
function fillForm(conv) {
    const {in : size, filter, stride, dilation} = conv;
    /** @type {Record<string, number[]>} */
    const entries = {
        batch: [conv.batch],
        in_channels: [conv.in_channels],
        out_channels: [conv.out_channels],
        filter,
        stride,
        padding: [...conv.pad_begin, ...conv.pad_end],
        dilation,
        groups: [conv.groups]
    };
    field('in').value = String(size); // in full: how many there are is the rank
    for (const [name, values] of Object.entries(entries))
        field(name).value = same(values);
}

/**
 * The numbers of a field.
 * @param {string} name @param {number[]} counts how many there may be @param {number} least
 */
function list(name, counts, least) {
    const text = field(name).value.trim(), parts = text.split(/\s*[,，、x×]\s*|\s+/), count = Math.max(...counts);
    if (!counts.includes(parts.length) ||
        !parts.every(part => /^\d+$/.test(part) && Number(part) >= least && Number(part) <= MOST_LENGTH))
        throw new Refusal('bad_list', {
            field: say(`field_${name}`),
            text,
            count: say(count === 1 ? 'numbers_1' : 'numbers_many', {count}),
            least,
            most: MOST_LENGTH,
            example: new Array(count).fill(Math.max(least, 1)).join(',')
        });
    return parts.map(Number);
}

/** @param {Conv} conv the present problem @returns {Conv} the one that the form tells */
function readForm(conv) {
    const size = list('in', [1, 2, 3], 1);
    const dims = size.length === 1 ? conv.spatial_dims : size.length; // one for all axes, as everywhere
    const axes = (/** @type {string} */ name, /** @type {number} */ least) => {
        const given = list(name, [1, dims], least);
        return upTo(dims).map(axis => given[given.length === 1 ? 0 : axis]);
    };
    const padding = list('padding', [1, dims, 2 * dims], 0);
    const pad = upTo(2 * dims).map(i => padding[padding.length === 1 ? 0 : i % padding.length]);
    return {
        spatial_dims: dims,
        batch: list('batch', [1], 0)[0],
        in_channels: list('in_channels', [1], 1)[0],
        out_channels: list('out_channels', [1], 1)[0],
        groups: list('groups', [1], 1)[0],
        in: upTo(dims).map(axis => size[size.length === 1 ? 0 : axis]),
        filter: axes('filter', 1),
        stride: axes('stride', 1),
        dilation: axes('dilation', 1),
        pad_begin: pad.slice(0, dims),
        pad_end: pad.slice(dims)
    };
}
